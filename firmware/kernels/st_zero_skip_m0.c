/* st_zero_skip_sums4 and st_zero_skip_sums8 for the Cortex-M0+; st_zero_skip.c is what they replace.
 *
 * Four bits. A word holds the weights u = w + 8 of two entries. Masked with 000F000F it leaves the weights of two rows,
 * 16 bits apart, and that times x is two products at once. The products of 16 entries fit a lane: 16 * 15 * 255 < 2^16.
 * Then they are moved on: `high` takes the upper lane, `whole` the word as it is; the lower lane's sum is
 * whole - (high << 16) modulo 2^32. A third sum, of x alone, takes the 8 away.
 *
 * Eight bits. u = w + 128, and W holds those of the four rows. W, W >> 8, W >> 16 and W >> 24 times x are summed as they
 * are, modulo 2^32: what lies above the weight that is meant is 256 times the next sum, and is taken away at the end.
 *
 * Sums lie in the high registers, which an addition reaches in one cycle. Cycles per entry of four weights: 13.25
 * and 17.25, and 15 for every 16 entries, 3 for every 8. The entries that do not fill the loop come first: it is
 * entered at the one that leaves as many. */
#include "st_zero_skip.h"
#include "st_thumb.h"

#if defined(__ARM_ARCH_6M__)

#ifndef ST_HOT_SECTION
#define ST_HOT_SECTION ".text.st_zero_skip"
#endif

/* On the stack: 0 end of the groups, 4 whole of r9, 8 counts, 12 segments left, 16 segments, 20 sums, 24 their end,
 * 28 x. Comes with r0 packed, r1 x, r2 sums. */
#define ENTER                  \
    ST_THUMB_SAVE              \
    "sub sp, #32\n"            \
    "ldmia r0!, {r3-r6}\n"     \
    "str r4, [sp, #8]\n"       \
    "str r5, [sp, #12]\n"      \
    "str r5, [sp, #16]\n"      \
    "str r2, [sp, #20]\n"      \
    "lsls r6, r6, #4\n"        \
    "adds r6, r6, r2\n"        \
    "str r6, [sp, #24]\n"      \
    "str r1, [sp, #28]\n"      \
    "movs r0, r3\n"

#define LEAVE            \
    "add sp, #32\n"      \
    ST_THUMB_RETURN

/* r4 = entries of the segment, counts go on. */
#define COUNT              \
    "ldr r5, [sp, #8]\n"   \
    "ldrh r4, [r5]\n"      \
    "adds r5, #2\n"        \
    "str r5, [sp, #8]\n"

/* r6 = what follows the segment's groups; an empty segment goes to label 2. */
#define SEGMENT_END(bytes)     \
    "adds r6, r4, #3\n"        \
    "lsrs r6, r6, #2\n"        \
    "beq 2b\n"                 \
    "movs r5, #" bytes "\n"    \
    "muls r6, r5\n"            \
    "adds r6, r6, r0\n"

/* To the next segment at label 1, if there is one; labels 6 and 7. With one segment per block nothing changes. */
#define NEXT_SEGMENT         \
    "6:\n"                   \
    "ldr r5, [sp, #16]\n"    \
    "cmp r5, #1\n"           \
    "beq 7f\n"               \
    "adds r1, #255\n"        \
    "adds r1, #1\n"          \
    "ldr r6, [sp, #12]\n"    \
    "subs r6, #1\n"          \
    "str r6, [sp, #12]\n"    \
    "bne 9f\n"               \
    "str r5, [sp, #12]\n"    \
    "ldr r1, [sp, #28]\n"    \
    "b 7f\n"                 \
    "9:\n"                   \
    "b 1b\n"                 \
    "7:\n"

/* Store the sums of the block in r2 to r5; to the next block at label 0, if there is one. */
#define NEXT_BLOCK              \
    "ldr r6, [sp, #20]\n"       \
    "stmia r6!, {r2-r5}\n"      \
    "str r6, [sp, #20]\n"       \
    "ldr r5, [sp, #24]\n"       \
    "cmp r6, r5\n"              \
    "beq 8f\n"                  \
    "b 0b\n"                    \
    "8:\n"

/* r5 = x of entry k of the columns in r2. */
#define COLUMN_0 "uxtb r5, r2\n"
#define COLUMN_1 "lsrs r5, r2, #8\nuxtb r5, r5\n"
#define COLUMN_2 "lsrs r5, r2, #16\nuxtb r5, r5\n"
#define COLUMN_3 "lsrs r5, r2, #24\n"
#define LOAD_X "ldrb r5, [r1, r5]\n"

/* r0 groups, r1 x of the segment, r2 columns, r3 weights of a pair of entries, r4 and r5 their x, r6 scratch, r7 mask; r8
 * lanes of rows 0 and 2, r9 of 1 and 3; r10 sum of x; r11 and r12 high; r14 whole of r8. Who enters at the second entry of
 * a pair has 0 for the first one's x. */
#define PRODUCTS4(set)    \
    "add r10, r4\n"       \
    "add r10, r5\n"       \
    "lsrs r6, r3, #4\n"   \
    "ands r6, r7\n"       \
    "muls r6, r4\n" set   \
    " r9, r6\n"           \
    "lsrs r6, r3, #12\n"  \
    "ands r6, r7\n"       \
    "muls r6, r5\n"       \
    "add r9, r6\n"        \
    "lsrs r6, r3, #8\n"   \
    "ands r6, r7\n"       \
    "muls r6, r5\n" set   \
    " r8, r6\n"           \
    "ands r3, r7\n"       \
    "muls r3, r4\n"       \
    "add r8, r3\n"

/* The symbols are the entries' distances from the jump to them. */
#define GROUP4(a, b, c, d, set)                                              \
    "ldmia r0!, {r2, r3}\n"                                                  \
    ".set st_zs4_" a ", . - 3b - 2\n"                                        \
    "uxtb r4, r2\n"                                                          \
    "ldrb r4, [r1, r4]\n"                                                    \
    ".set st_zs4_" b ", . - 3b - 2\n" COLUMN_1 LOAD_X PRODUCTS4(set)         \
    ".set st_zs4_" c ", . - 3b - 2\n"                                        \
    "lsrs r4, r2, #16\n"                                                     \
    "uxtb r4, r4\n"                                                          \
    "ldrb r4, [r1, r4]\n"                                                    \
    ".set st_zs4_" d ", . - 3b - 2\n"                                        \
    "ldmia r0!, {r3}\n" COLUMN_3 LOAD_X PRODUCTS4("add")

/* 16 entries are done: the lanes of r8 and r9 move on. */
#define CHUNK               \
    "mov r6, r8\n"          \
    "add r14, r6\n"         \
    "lsrs r6, r6, #16\n"    \
    "add r11, r6\n"         \
    "mov r6, r9\n"          \
    "ldr r5, [sp, #4]\n"    \
    "adds r5, r5, r6\n"     \
    "str r5, [sp, #4]\n"    \
    "lsrs r6, r6, #16\n"    \
    "add r12, r6\n"

#define TABLE(a, b, c, d, e, f, g, h)                           \
    ".hword st_zs4_" a ", st_zs4_" b ", st_zs4_" c ", st_zs4_" d \
    ", st_zs4_" e ", st_zs4_" f ", st_zs4_" g ", st_zs4_" h "\n"

__asm__(ST_THUMB_BEGIN("st_zero_skip_sums4") ENTER
        "movs r7, #15\n"
        "lsls r6, r7, #16\n"
        "orrs r7, r6\n"
        "b 0f\n"
        "2:\n"
        "b 6f\n"
        "0:\n" /* a block */
        "movs r6, #0\n"
        "mov r10, r6\n"
        "mov r11, r6\n"
        "mov r12, r6\n"
        "mov r14, r6\n"
        "str r6, [sp, #4]\n"
        "1:\n" /* a segment */
        COUNT
        SEGMENT_END("12")
        "str r6, [sp, #0]\n"
        "movs r5, #0\n"
        "mov r8, r5\n"
        "mov r9, r5\n"
        "subs r5, r5, r4\n"
        "lsls r5, r5, #27\n"
        "lsrs r5, r5, #26\n"
        "ldmia r0!, {r2, r3}\n"
        "movs r4, #0\n"
        "adr r6, 3f\n"
        ".balign 4\n"
        "ldrh r5, [r6, r5]\n"
        "add pc, r5\n"
        "3:\n"
        TABLE("0", "1", "2", "3", "4", "5", "6", "7")
        TABLE("8", "9", "10", "11", "12", "13", "14", "15")
        TABLE("16", "17", "18", "19", "20", "21", "22", "23")
        TABLE("24", "25", "26", "27", "28", "29", "30", "31")
        "4:\n"
        GROUP4("0", "1", "2", "3", "mov")
        GROUP4("4", "5", "6", "7", "add")
        GROUP4("8", "9", "10", "11", "add")
        GROUP4("12", "13", "14", "15", "add")
        CHUNK
        GROUP4("16", "17", "18", "19", "mov")
        GROUP4("20", "21", "22", "23", "add")
        GROUP4("24", "25", "26", "27", "add")
        GROUP4("28", "29", "30", "31", "add")
        CHUNK
        "ldr r5, [sp, #0]\n"
        "cmp r0, r5\n"
        "beq 6f\n"
        "b 4b\n"
       NEXT_SEGMENT
        "mov r5, r10\n"
        "lsls r5, r5, #3\n"
        "mov r4, r11\n"
        "lsls r6, r4, #16\n"
        "mov r2, r14\n"
        "subs r2, r2, r6\n"
        "subs r2, r2, r5\n"
        "subs r4, r4, r5\n"
        "ldr r3, [sp, #4]\n"
        "mov r6, r12\n"
        "lsls r6, r6, #16\n"
        "subs r3, r3, r6\n"
        "subs r3, r3, r5\n"
        "mov r6, r12\n"
        "subs r5, r6, r5\n"
        NEXT_BLOCK LEAVE
        ".size st_zero_skip_sums4, . - st_zero_skip_sums4\n"
        ".previous\n");

/* r0 groups, r1 x of the segment, r2 columns, r3, r4 and r7 weights, r5 x, r6 scratch; r8 to r11 sums of W, W >> 8,
 * W >> 16, W >> 24; r12 sum of x; r14 end of the segment's groups. */
#define PRODUCTS8(word)        \
    LOAD_X                     \
    "add r12, r5\n"            \
    "lsrs r6, " word ", #24\n" \
    "muls r6, r5\n"            \
    "add r11, r6\n"            \
    "lsrs r6, " word ", #16\n" \
    "muls r6, r5\n"            \
    "add r10, r6\n"            \
    "lsrs r6, " word ", #8\n"  \
    "muls r6, r5\n"            \
    "add r9, r6\n"             \
    "muls " word ", r5\n"      \
    "add r8, " word "\n"
#define GROUP8(a, b, c, d)                                    \
    "ldmia r0!, {r2, r3, r4, r7}\n"                           \
    ".set st_zs8_" a ", . - 3b - 2\n" COLUMN_0 PRODUCTS8("r3") \
    ".set st_zs8_" b ", . - 3b - 2\n" COLUMN_1 PRODUCTS8("r4") \
    ".set st_zs8_" c ", . - 3b - 2\n" COLUMN_2 PRODUCTS8("r7") \
    ".set st_zs8_" d ", . - 3b - 2\n"                       \
    "ldmia r0!, {r3}\n" COLUMN_3 PRODUCTS8("r3")

__asm__(ST_THUMB_BEGIN("st_zero_skip_sums8") ENTER
        "b 0f\n"
        "2:\n"
        "b 6f\n"
        "0:\n"
        "movs r6, #0\n"
        "mov r8, r6\n"
        "mov r9, r6\n"
        "mov r10, r6\n"
        "mov r11, r6\n"
        "mov r12, r6\n"
        "1:\n"
        COUNT
        SEGMENT_END("20")
        "mov r14, r6\n"
        "negs r5, r4\n"
        "lsls r5, r5, #29\n"
        "lsrs r5, r5, #28\n"
        "ldmia r0!, {r2, r3, r4, r7}\n"
        "adr r6, 3f\n"
        ".balign 4\n"
        "ldrh r5, [r6, r5]\n"
        "add pc, r5\n"
        "3:\n"
        ".hword st_zs8_0, st_zs8_1, st_zs8_2, st_zs8_3, st_zs8_4, st_zs8_5, st_zs8_6, st_zs8_7\n"
        "4:\n"
        GROUP8("0", "1", "2", "3")
        GROUP8("4", "5", "6", "7")
        "cmp r0, r14\n"
        "bne 4b\n"
        NEXT_SEGMENT
        "mov r6, r12\n"
        "lsls r6, r6, #7\n"
        "mov r2, r8\n"
        "mov r3, r9\n"
        "mov r4, r10\n"
        "mov r5, r11\n"
        "lsls r7, r3, #8\n"
        "subs r2, r2, r7\n"
        "lsls r7, r4, #8\n"
        "subs r3, r3, r7\n"
        "lsls r7, r5, #8\n"
        "subs r4, r4, r7\n"
        "subs r2, r2, r6\n"
        "subs r3, r3, r6\n"
        "subs r4, r4, r6\n"
        "subs r5, r5, r6\n"
        NEXT_BLOCK LEAVE
        ".size st_zero_skip_sums8, . - st_zero_skip_sums8\n"
        ".previous\n");

#endif
