/* st_add_run for the Cortex-M0+; the C that it replaces is in st_add.c. 24 cycles per element. */
#include "st_add.h"
#include "st_thumb.h"

#if defined(__ARM_ARCH_6M__)

#ifndef ST_HOT_SECTION
#define ST_HOT_SECTION ".text.st_add"
#endif

/* r0 index, counting up to 0; r1, r2 and r3 ends of a, b and y; r4 and r5 their elements, r6 the sum, r7 scratch; r8 and r9
 * factors, r10 offset, r11 and r12 limits, r14 2^23. On the stack: 0 the st_add_t. */
__asm__(ST_THUMB_BEGIN("st_add_run")
        ST_THUMB_SAVE
        "ldr r7, [sp, #36]\n" /* the fifth argument: behind the nine words pushed */
        "push {r0}\n"
        "ldmia r0!, {r4, r5, r6}\n"
        "mov r8, r4\n"
        "mov r9, r5\n"
        "mov r10, r6\n"
        "ldmia r0!, {r4, r5}\n"
        "mov r11, r4\n"
        "mov r12, r5\n"
        "movs r4, #1\n"
        "lsls r4, r4, #23\n"
        "mov r14, r4\n"
        "adds r1, r1, r7\n"
        "adds r2, r2, r7\n"
        "adds r3, r3, r7\n"
        "negs r0, r7\n"
        "1:\n"
        "ldrsb r4, [r1, r0]\n"
        "ldrsb r5, [r2, r0]\n"
        "mov r6, r8\n"
        "muls r6, r4\n"
        "mov r7, r9\n"
        "muls r7, r5\n"
        "adds r6, r6, r7\n"
        "add r6, r10\n"
        "lsls r7, r6, #12\n"
        "add r7, r14\n"
        "lsrs r7, r7, #24\n"
        "beq 3f\n"
        "asrs r6, r6, #20\n"
        "cmp r6, r11\n"
        "blt 4f\n"
        "cmp r6, r12\n"
        "bgt 5f\n"
        "2:\n"
        "strb r6, [r3, r0]\n"
        "adds r0, #1\n"
        "bne 1b\n"
        "pop {r3-r7}\n"
        "mov r8, r4\n"
        "mov r9, r5\n"
        "mov r10, r6\n"
        "mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        "4:\n"
        "mov r6, r11\n"
        "b 2b\n"
        "5:\n"
        "mov r6, r12\n"
        "b 2b\n"
        "3:\n" /* too near: as the reference does it */
        "mov r6, r12\n"
        "push {r0-r3, r6, r7}\n"
        "ldr r0, [sp, #24]\n"
        "movs r1, r4\n"
        "movs r2, r5\n"
        "bl st_add_one\n"
        "movs r4, r0\n"
        "pop {r0-r3, r6, r7}\n"
        "mov r12, r6\n"
        "movs r6, #1\n"
        "lsls r6, r6, #23\n"
        "mov r14, r6\n"
        "movs r6, r4\n"
        "b 2b\n"
        ".size st_add_run, . - st_add_run\n"
        ".previous\n");

#endif
