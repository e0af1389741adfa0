/* How a function in assembly begins on the Cortex-M0+, keeps the registers r4 to r11, and returns. Who uses it has
 * ST_HOT_SECTION defined. */
#ifndef ST_THUMB_H
#define ST_THUMB_H

#define ST_THUMB_BEGIN(name)                           \
    ".syntax unified\n"                                \
    ".section " ST_HOT_SECTION ", \"ax\", %progbits\n" \
    ".balign 4\n"                                      \
    ".global " name "\n"                               \
    ".type " name ", %function\n"                      \
    ".thumb_func\n" name ":\n"

/* Leaves r8 to r11 as they are, also in r4 to r7. */
#define ST_THUMB_SAVE        \
    "push {r4-r7, lr}\n"     \
    "mov r4, r8\n"           \
    "mov r5, r9\n"           \
    "mov r6, r10\n"          \
    "mov r7, r11\n"          \
    "push {r4-r7}\n"

#define ST_THUMB_RETURN      \
    "pop {r4-r7}\n"          \
    "mov r8, r4\n"           \
    "mov r9, r5\n"           \
    "mov r10, r6\n"          \
    "mov r11, r7\n"          \
    "pop {r4-r7, pc}\n"

#endif
