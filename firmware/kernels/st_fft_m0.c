/* st_fft_rows for the Cortex-M0+; st_fft_rows_naive in st_fft.c is what it replaces.
 *
 * All of a butterfly in registers but the second point, which waits in its own place while the fourth is turned. Cycles
 * per butterfly: 146. */
#include "st_fft.h"
#include "st_thumb.h"

#if defined(__ARM_ARCH_6M__)

#ifndef ST_HOT_SECTION
#define ST_HOT_SECTION ".text.st_fft"
#endif

/* (r4, r6) = the point at r2, divided by 4 and turned by the next twiddle of r3; r5, r7 and r8 scratch. */
#define TURN                 \
    "ldr r4, [r2]\n"         \
    "ldr r5, [r2, #4]\n"     \
    "adds r4, #2\n"          \
    "asrs r4, r4, #2\n"      \
    "adds r5, #2\n"          \
    "asrs r5, r5, #2\n"      \
    "ldmia r3!, {r6, r7}\n"  \
    "mov r8, r4\n"           \
    "muls r4, r6\n"          \
    "muls r6, r5\n"          \
    "muls r5, r7\n"          \
    "adds r4, r4, r5\n"      \
    "mov r5, r8\n"           \
    "muls r5, r7\n"          \
    "subs r6, r6, r5\n"      \
    "add r4, r9\n"           \
    "asrs r4, r4, #14\n"     \
    "add r6, r9\n"           \
    "asrs r6, r6, #14\n"

/* r0 first point, r1 bytes between points, r2 another point, r3 twiddles; r9 2^13, r10 and r11 sum of the first and the
 * third, r12 and r14 their difference. On the stack: 0 end, 4 twiddles, 8 bytes between butterflies. */
__asm__(ST_THUMB_BEGIN("st_fft_rows")
        ST_THUMB_SAVE
        "sub sp, #12\n"
        "str r1, [sp]\n"
        "str r3, [sp, #4]\n"
        "lsls r4, r2, #2\n"
        "str r4, [sp, #8]\n"
        "movs r1, r2\n"
        "movs r4, #1\n"
        "lsls r4, r4, #13\n"
        "mov r9, r4\n"
        "1:\n"
        "ldr r3, [sp, #4]\n"
        "lsls r2, r1, #1\n"
        "adds r2, r2, r0\n" TURN
        "ldr r5, [r0]\n"
        "ldr r7, [r0, #4]\n"
        "adds r5, #2\n"
        "asrs r5, r5, #2\n"
        "adds r7, #2\n"
        "asrs r7, r7, #2\n"
        "adds r2, r5, r4\n"
        "mov r10, r2\n"
        "subs r5, r5, r4\n"
        "mov r12, r5\n"
        "adds r2, r7, r6\n"
        "mov r11, r2\n"
        "subs r7, r7, r6\n"
        "mov r14, r7\n"
        "adds r2, r0, r1\n" TURN
        "str r4, [r2]\n"
        "str r6, [r2, #4]\n"
        "lsls r7, r1, #1\n"
        "adds r2, r2, r7\n" TURN
        "lsls r7, r1, #1\n"
        "subs r2, r2, r7\n"
        "ldr r5, [r2]\n"
        "ldr r7, [r2, #4]\n"
        "adds r3, r5, r4\n" /* r3 and r4 sum of the second and the fourth, r5 and r7 their difference */
        "subs r5, r5, r4\n"
        "adds r4, r7, r6\n"
        "subs r7, r7, r6\n"
        "mov r6, r12\n"
        "adds r6, r6, r7\n"
        "str r6, [r2]\n"
        "mov r6, r14\n"
        "subs r6, r6, r5\n"
        "str r6, [r2, #4]\n"
        "lsls r6, r1, #1\n"
        "adds r2, r2, r6\n"
        "mov r6, r12\n"
        "subs r6, r6, r7\n"
        "str r6, [r2]\n"
        "mov r6, r14\n"
        "adds r6, r6, r5\n"
        "str r6, [r2, #4]\n"
        "subs r2, r2, r1\n"
        "mov r6, r10\n"
        "mov r7, r11\n"
        "subs r5, r6, r3\n"
        "str r5, [r2]\n"
        "subs r5, r7, r4\n"
        "str r5, [r2, #4]\n"
        "adds r6, r6, r3\n"
        "str r6, [r0]\n"
        "adds r7, r7, r4\n"
        "str r7, [r0, #4]\n"
        "ldr r6, [sp, #8]\n"
        "adds r0, r0, r6\n"
        "ldr r6, [sp]\n"
        "cmp r0, r6\n"
        "blo 1b\n"
        "add sp, #12\n"
        ST_THUMB_RETURN
        ".size st_fft_rows, . - st_fft_rows\n"
        ".previous\n");

#endif
