// MICROPY_HW_ROMFS_BYTES and MICROPY_HW_FLASH_STORAGE_BYTES come from board.toml, through CMake.
#define MICROPY_HW_BOARD_NAME "Raspberry Pi Pico 2, Stapes"
