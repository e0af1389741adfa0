/* st_depthwise_sums for the Cortex-M0+; st_depthwise.c is what it replaces.
 *
 * Cycles: 8 for every tap and 13 for every channel. One offset serves inputs and weights, which lie alike; the taps are
 * unrolled, and entered at the one that leaves as many. */
#include "st_depthwise.h"
#include "st_thumb.h"

#if defined(__ARM_ARCH_6M__)

#ifndef ST_HOT_SECTION
#define ST_HOT_SECTION ".text.st_depthwise"
#endif

/* r0 x and r1 weights of the channel, r2 offset of the tap, r3 and r4 both values, r5 sum, r6 depth, r7 zero point; r8 sums,
 * r9 their end, r10 where the taps are entered. 12 bytes. */
#define TAP                  \
    "ldrsb r3, [r0, r2]\n"   \
    "ldrsb r4, [r1, r2]\n"   \
    "subs r3, r3, r7\n"      \
    "muls r4, r3\n"          \
    "adds r5, r5, r4\n"      \
    "adds r2, r2, r6\n"

__asm__(ST_THUMB_BEGIN("st_depthwise_sums")
        "push {r4-r7, lr}\n"
        "mov r4, r8\n"
        "mov r5, r9\n"
        "mov r6, r10\n"
        "push {r4-r6}\n"
        "ldmia r0!, {r1-r6}\n" /* x, weights, sums, depth, taps, zero */
        "mov r8, r3\n"
        "movs r7, r6\n"
        "lsls r6, r4, #2\n"
        "adds r6, r6, r3\n"
        "mov r9, r6\n"
        "movs r6, #8\n"
        "subs r6, r6, r5\n"
        "movs r5, #12\n"
        "muls r5, r6\n"
        "adr r6, 2f\n"
        "adds r5, r5, r6\n"
        "mov r10, r5\n"
        "movs r6, r4\n"
        "movs r0, r1\n"
        "movs r1, r2\n"
        "1:\n"
        "movs r2, #0\n"
        "movs r5, #0\n"
        "mov pc, r10\n"
        ".balign 4\n"
        "2:\n" TAP TAP TAP TAP TAP TAP TAP TAP
        "mov r3, r8\n"
        "stmia r3!, {r5}\n"
        "mov r8, r3\n"
        "adds r0, #1\n"
        "adds r1, #1\n"
        "cmp r3, r9\n"
        "bne 1b\n"
        "pop {r4-r6}\n"
        "mov r8, r4\n"
        "mov r9, r5\n"
        "mov r10, r6\n"
        "pop {r4-r7, pc}\n"
        ".size st_depthwise_sums, . - st_depthwise_sums\n"
        ".previous\n");

#endif
