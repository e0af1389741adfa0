/* st_audio_run for the Cortex-M0+; the C that it replaces is in st_audio.c. 32 cycles per sample.
 *
 * What is rare lies behind the loop: a word of silence, one that equals the word before it, a sample that does not fit
 * or is louder than any before it. */
#include "st_audio.h"

#if defined(__ARM_ARCH_6M__)

#ifndef ST_HOT_SECTION
#define ST_HOT_SECTION ".text.st_audio"
#endif
#include "st_thumb.h"

/* r0 words, r1 samples, r2 and r3 two words in work, r4 scratch, r5 offset, r6 pole, r7 gain; r8 shift and flip in one
 * (a shift takes the lowest byte, and the mask takes it away), r9 mask, r10 end of the words, r11 peak, r12 last word,
 * r14 magnitude. On the stack: 0 zeros, 4 equals, 8 clipped, 12 the st_audio_run_t. */

/* A sample of the word in x, stored at r1 + at; the labels end in n. */
#define SAMPLE(x, at, n)              \
    "asrs " x ", " x ", #1\n"         \
    "subs " x ", " x ", r5\n"         \
    "movs r4, " x "\n"                \
    "asrs r4, r6\n"                   \
    "adds r5, r5, r4\n"               \
    "asrs " x ", r7\n"                \
    "adds " x ", #1\n"                \
    "asrs " x ", " x ", #1\n"         \
    "sxth r4, " x "\n"                \
    "cmp r4, " x "\n"                 \
    "bne 5" n "f\n"                   \
    "6" n ":\n"                       \
    "strh r4, [r1, #" at "]\n"        \
    "asrs " x ", r4, #31\n"           \
    "eors r4, " x "\n"                \
    "subs r4, r4, " x "\n"            \
    "add r14, r4\n"                   \
    "cmp r4, r11\n"                   \
    "bgt 7" n "f\n"                   \
    "8" n ":\n"

/* Count one more at a place of the stack, in the register r. */
#define COUNT(r, at)               \
    "ldr " r ", [sp, #" at "]\n"   \
    "adds " r ", #1\n"             \
    "str " r ", [sp, #" at "]\n"

/* What is rare in SAMPLE: saturate and count; a new peak. */
#define RARE(x, n)                    \
    "5" n ":\n"                       \
    "asrs r4, " x ", #31\n"           \
    "movs " x ", #1\n"                \
    "lsls " x ", " x ", #15\n"        \
    "subs " x ", #1\n"                \
    "eors r4, " x "\n"                \
    COUNT(x, "8")                     \
    "b 6" n "b\n"                     \
    "7" n ":\n"                       \
    "mov r11, r4\n"                   \
    "b 8" n "b\n"

/* A word of silence in x: count it; r4 keeps the mask. */
#define SILENT(x, n)                  \
    "1" n ":\n"                       \
    COUNT(x, "0")                     \
    "movs " x ", #0\n"                \
    "b 2" n "b\n"

__asm__(ST_THUMB_BEGIN("st_audio_run")
        ST_THUMB_SAVE
        "mov r10, r2\n"
        "movs r4, #0\n"
        "movs r5, #0\n"
        "movs r6, #0\n"
        "push {r0}\n"
        "push {r4-r6}\n"
        "ldmia r0!, {r4-r7}\n"
        "mov r8, r4\n"
        "mov r9, r5\n"
        "mov r11, r6\n"
        "mov r12, r7\n"
        "ldmia r0!, {r4-r7}\n"
        "mov r14, r4\n"
        "movs r0, r1\n"
        "movs r1, r3\n"
        "1:\n"
        "ldmia r0!, {r2, r3}\n"
        "mov r4, r8\n"
        "lsls r2, r4\n"
        "eors r2, r4\n"
        "lsls r3, r4\n"
        "eors r3, r4\n"
        "mov r4, r9\n"
        "ands r2, r4\n"
        "beq 11f\n"
        "21:\n"
        "ands r3, r4\n"
        "beq 12f\n"
        "22:\n"
        "cmp r2, r12\n"
        "beq 31f\n"
        "41:\n"
        "mov r12, r3\n"
        "cmp r3, r2\n"
        "beq 32f\n"
        "42:\n"
        SAMPLE("r2", "0", "1")
        SAMPLE("r3", "2", "2")
        "adds r1, #4\n"
        "cmp r0, r10\n"
        "bne 1b\n"
        "pop {r1-r3}\n"
        "pop {r0}\n"
        "mov r4, r11\n"
        "str r4, [r0, #8]\n"
        "mov r4, r12\n"
        "str r4, [r0, #12]\n"
        "mov r4, r14\n"
        "str r4, [r0, #16]\n"
        "str r5, [r0, #20]\n"
        "adds r0, #32\n"
        "stmia r0!, {r1-r3}\n"
        ST_THUMB_RETURN
        SILENT("r2", "1")
        SILENT("r3", "2")
        "31:\n"
        COUNT("r4", "4")
        "b 41b\n"
        "32:\n"
        COUNT("r4", "4")
        "b 42b\n"
        RARE("r2", "1")
        RARE("r3", "2")
        ".size st_audio_run, . - st_audio_run\n"
        ".previous\n");

#endif
