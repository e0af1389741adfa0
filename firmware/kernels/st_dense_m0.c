/* st_dense_pair for the Cortex-M0+; st_dense_dot_pair in st_dense.c is the C that it replaces.
 *
 * A word W holds the weights w0 ... w3 of one row, w0 lowest. With every byte's sign bit flipped it is, without sign,
 * u0 + 2^8 u1 + 2^16 u2 + 2^24 u3, u = w + 128. W, W >> 8, W >> 16 and W >> 24 are multiplied as they are, no byte taken
 * out: with
 *
 *     y0 = x0, y1 = x1 - 2^8 x0, y2 = x2 - 2^8 x1, y3 = x3 - 2^8 x2
 *
 * the sum of (W >> 8 k) y[k] over k = 0 ... 3 is that of u[k] x[k], for what lies above the byte that is meant cancels.
 * -128 times the sum of all inputs, with which every row's sum starts, turns u into w. All of it is modulo 2^32.
 *
 * Cycles per weight: 4.4, of which loading takes 1.25; and 50 for every pair of rows. */
#include "st_dense.h"
#include "st_thumb.h"

#if defined(__ARM_ARCH_6M__)

#ifndef ST_HOT_SECTION
#define ST_HOT_SECTION ".text.st_dense"
#endif

/* int32_t st_dense_begin(int32_t *column, uint32_t depth): y in the order in which the loop wants them, y0 last. Four
 * inputs in r2 to r5, 25 cycles; r1 end, r12 sum of all. */
__asm__(ST_THUMB_BEGIN("st_dense_begin")
        "push {r4-r6, lr}\n"
        "movs r2, #0\n"
        "mov r12, r2\n"
        "lsls r1, r1, #2\n"
        "adds r1, r1, r0\n"
        "cmp r0, r1\n"
        "beq 2f\n"
        "1:\n"
        "ldmia r0!, {r2-r5}\n"
        "add r12, r2\n"
        "add r12, r3\n"
        "add r12, r4\n"
        "add r12, r5\n"
        "movs r6, r2\n"
        "lsls r2, r4, #8\n"
        "subs r5, r5, r2\n"
        "lsls r2, r3, #8\n"
        "subs r4, r4, r2\n"
        "lsls r2, r6, #8\n"
        "subs r3, r3, r2\n"
        "subs r0, #16\n"
        "stmia r0!, {r3-r6}\n"
        "cmp r0, r1\n"
        "bne 1b\n"
        "2:\n"
        "mov r0, r12\n"
        "lsls r0, r0, #7\n"
        "negs r0, r0\n"
        "pop {r4-r6, pc}\n"
        ".size st_dense_begin, . - st_dense_begin\n"
        ".previous\n");

/* void st_dense_end(int32_t *column, uint32_t depth): 21 cycles for four inputs. */
__asm__(ST_THUMB_BEGIN("st_dense_end")
        "push {r4-r7, lr}\n"
        "lsls r1, r1, #2\n"
        "adds r1, r1, r0\n"
        "cmp r0, r1\n"
        "beq 2f\n"
        "1:\n"
        "ldmia r0!, {r2-r5}\n"
        "lsls r6, r5, #8\n"
        "adds r6, r6, r2\n"
        "lsls r7, r6, #8\n"
        "adds r7, r7, r3\n"
        "lsls r2, r7, #8\n"
        "adds r4, r4, r2\n"
        "subs r0, #16\n"
        "stmia r0!, {r5-r7}\n"
        "stmia r0!, {r4}\n"
        "cmp r0, r1\n"
        "bne 1b\n"
        "2:\n"
        "pop {r4-r7, pc}\n"
        ".size st_dense_end, . - st_dense_end\n"
        ".previous\n");

/* r0 y, r1 and r2 weights of both rows, r3 and r4 their words, r5 and r7 y, r6 scratch; r8 and r9 sums, r10 end of the
 * first row, r12 mask of signs, r14 where the sums go. */
#define PRODUCTS(y, shift)       \
    "lsrs r6, r3, #" shift "\n"  \
    "muls r6, " y "\n"           \
    "add r8, r6\n"               \
    "lsrs r6, r4, #" shift "\n"  \
    "muls r6, " y "\n"           \
    "add r9, r6\n"

/* Four weights of both rows: 58 bytes, 35 cycles. */
#define STEP                \
    "ldmia r1!, {r3}\n"     \
    "ldmia r2!, {r4}\n"     \
    "mov r6, r12\n"         \
    "eors r3, r6\n"         \
    "eors r4, r6\n"         \
    "ldmia r0!, {r5, r7}\n" \
    PRODUCTS("r5", "8")     \
    PRODUCTS("r7", "16")    \
    "ldmia r0!, {r5, r7}\n" \
    PRODUCTS("r5", "24")    \
    "muls r3, r7\n"         \
    "add r8, r3\n"          \
    "muls r4, r7\n"         \
    "add r9, r4\n"

/* void st_dense_pair(const int8_t *weights, uint32_t depth, const int32_t *column, int32_t start, int32_t sums[2]):
 * the steps that do not fill the loop come first, it is entered at the one that leaves as many. */
__asm__(ST_THUMB_BEGIN("st_dense_pair")
        "push {r4-r7, lr}\n"
        "mov r4, r8\n"
        "mov r5, r9\n"
        "mov r6, r10\n"
        "push {r4-r6}\n"
        "mov r8, r3\n"
        "mov r9, r3\n"
        "ldr r3, [sp, #32]\n" /* the fifth argument: behind the eight words pushed */
        "mov r14, r3\n"
        "movs r3, #128\n"
        "lsls r4, r3, #8\n"
        "orrs r3, r4\n"
        "lsls r4, r3, #16\n"
        "orrs r3, r4\n"
        "mov r12, r3\n"
        "lsrs r6, r1, #2\n"
        "negs r6, r6\n"
        "lsls r6, r6, #30\n"
        "lsrs r6, r6, #30\n"
        "movs r5, #58\n"
        "muls r6, r5\n"
        "movs r5, r2\n"
        "adds r2, r0, r1\n"
        "mov r10, r2\n"
        "movs r1, r0\n"
        "movs r0, r5\n"
        "add pc, r6\n"
        "nop\n" /* pc reads as the address after this */
        "1:\n" STEP STEP STEP STEP
        "cmp r1, r10\n"
        "bne 1b\n"
        "mov r3, r14\n"
        "mov r4, r8\n"
        "mov r5, r9\n"
        "stmia r3!, {r4, r5}\n"
        "pop {r4-r6}\n"
        "mov r8, r4\n"
        "mov r9, r5\n"
        "mov r10, r6\n"
        "pop {r4-r7, pc}\n"
        ".size st_dense_pair, . - st_dense_pair\n"
        ".previous\n");

#endif
