/* How a function in assembly begins on the Cortex-M0+. Who uses it has ST_HOT_SECTION defined. */
#ifndef ST_THUMB_H
#define ST_THUMB_H

#define ST_THUMB_BEGIN(name)                           \
    ".syntax unified\n"                                \
    ".section " ST_HOT_SECTION ", \"ax\", %progbits\n" \
    ".balign 4\n"                                      \
    ".global " name "\n"                               \
    ".type " name ", %function\n"                      \
    ".thumb_func\n" name ":\n"

#endif
