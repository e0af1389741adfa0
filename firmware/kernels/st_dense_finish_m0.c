/* st_dense_finish_loop for the Cortex-M0+; st_dense_finish_naive in st_dense.c is what it replaces.
 *
 * A sum v of 0 <= v < 2^16 and a multiplier m = 2^16 h + l: the product's half below 2^16 cannot carry into what is left,
 * so that round(v m / 2^31) = (v h + (v l >> 16) + 2^14) >> 15. Of the two roundings that follow each other, the second
 * needs only floors: round(u / 2^e) = (floor(u / 2^(e - 1)) + 1) >> 1, so both shifts are one, by 14 + e, and one bit more.
 * Sums of -2^15 <= v < 0 go the same way with signs; ties go away from zero, which takes 1 off what is negative. With a
 * lower limit of 0, ReLU's, a negative sum is 0 at once. All other sums, and shifts to the left, are left to
 * st_dense_scale.
 *
 * Cycles per row: 38, 26 for what ReLU takes away, 49 for a negative one. */
#include "st_dense.h"
#include "st_thumb.h"

#if defined(__ARM_ARCH_6M__)

#ifndef ST_HOT_SECTION
#define ST_HOT_SECTION ".text.st_dense"
#endif

/* r1 sums, r2 bias, r3 multipliers, r4 shifts, r5 sum, r6 its product, r0 and r7 scratch; r8 y less the shifts' address,
 * r9 end of the sums, r10 zero point, r11 upper limit, r12 2^14, r14 lower limit. */
__asm__(ST_THUMB_BEGIN("st_dense_finish_loop")
        ST_THUMB_SAVE
        "ldmia r0!, {r1-r7}\n"
        "mov r9, r5\n"
        "mov r10, r6\n"
        "mov r14, r7\n"
        "ldmia r0!, {r5, r6}\n"
        "mov r11, r5\n"
        "subs r6, r6, r4\n"
        "mov r8, r6\n"
        "movs r5, #1\n"
        "lsls r5, r5, #14\n"
        "mov r12, r5\n"
        "1:\n"
        "ldmia r1!, {r5}\n"
        "ldmia r2!, {r6}\n"
        "adds r5, r5, r6\n"
        "bmi 4f\n"
        "ldmia r3!, {r6}\n"
        "lsrs r7, r5, #16\n"
        "bne 6f\n"
        "ldrb r0, [r4]\n"
        "cmp r0, #127\n" /* to the left, or not at all */
        "bls 6f\n"
        "uxth r7, r6\n"
        "lsrs r6, r6, #16\n"
        "muls r6, r5\n"
        "muls r7, r5\n"
        "lsrs r7, r7, #16\n"
        "adds r6, r6, r7\n"
        "add r6, r12\n"
        "movs r7, #14\n"
        "subs r7, r7, r0\n" /* a shift by a register takes the lowest byte */
        "lsrs r6, r7\n"
        "adds r6, #1\n"
        "lsrs r6, r6, #1\n"
        "cmp r6, r11\n"
        "bgt 3f\n"
        "2:\n"
        "add r6, r10\n"
        "mov r7, r8\n"
        "strb r6, [r4, r7]\n"
        "adds r4, #1\n"
        "cmp r1, r9\n"
        "bne 1b\n"
        ST_THUMB_RETURN
        "3:\n"
        "mov r6, r11\n"
        "b 2b\n"
        "4:\n" /* negative */
        "ldmia r3!, {r6}\n"
        "mov r0, r14\n"
        "cmp r0, #0\n"
        "bne 5f\n"
        "movs r6, #0\n"
        "b 2b\n"
        "5:\n"
        "asrs r7, r5, #15\n"
        "adds r7, #1\n"
        "bne 6f\n"
        "ldrb r0, [r4]\n"
        "cmp r0, #127\n"
        "bls 6f\n"
        "uxth r7, r6\n"
        "lsrs r6, r6, #16\n"
        "muls r6, r5\n"
        "muls r7, r5\n"
        "asrs r7, r7, #16\n"
        "adds r6, r6, r7\n"
        "add r6, r12\n"
        "asrs r6, r6, #15\n"
        "asrs r7, r6, #31\n"
        "adds r6, r6, r7\n"
        "mvns r0, r0\n" /* - 1 - shift */
        "asrs r6, r0\n"
        "adds r6, #1\n"
        "asrs r6, r6, #1\n"
        "cmp r6, r14\n"
        "bge 2b\n"
        "mov r6, r14\n"
        "b 2b\n"
        "6:\n" /* r6 is the multiplier still */
        "mov r0, r14\n"
        "push {r0-r4}\n"
        "movs r0, r5\n"
        "movs r1, r6\n"
        "movs r2, #0\n"
        "ldrsb r2, [r4, r2]\n"
        "bl st_dense_scale\n"
        "movs r6, r0\n"
        "pop {r0-r4}\n"
        "mov r14, r0\n"
        "movs r7, #1\n"
        "lsls r7, r7, #14\n"
        "mov r12, r7\n"
        "cmp r6, r11\n"
        "bgt 3b\n"
        "cmp r6, r14\n"
        "bge 2b\n"
        "mov r6, r14\n"
        "b 2b\n"
        ".size st_dense_finish_loop, . - st_dense_finish_loop\n"
        ".previous\n");

#endif
