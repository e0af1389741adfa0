/* Unsigned division where the dividend is the smaller one, without the RP2040's divider.
 *
 * MicroPython divides each time it looks up a name, where it was last by the size of the table that it is in now, and
 * the one is nearly always below the other. The SDK's function takes four times as long for that, the way from RAM to
 * flash included. What needs a division goes there as before. micropython.cmake has the linker take it. */
__asm__(".syntax unified\n"
        ".section .time_critical.stapes, \"ax\", %progbits\n"
        ".balign 4\n"
        ".global stapes_uidivmod\n"
        ".type stapes_uidivmod, %function\n"
        ".thumb_func\n"
        "stapes_uidivmod:\n"
        "cmp r0, r1\n"
        "bhs 1f\n"
        "movs r1, r0\n"
        "movs r0, #0\n"
        "bx lr\n"
        "1:\n"
        "ldr r2, 2f\n"
        "bx r2\n"
        ".balign 4\n"
        "2:\n"
        ".word divmod_u32u32\n"
        ".size stapes_uidivmod, . - stapes_uidivmod\n"
        ".previous\n");
