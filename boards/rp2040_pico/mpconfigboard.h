// MICROPY_HW_ROMFS_BYTES and MICROPY_HW_FLASH_STORAGE_BYTES come from board.toml, through CMake.
#define MICROPY_HW_BOARD_NAME "Raspberry Pi Pico, Stapes"

// Where names were found last, by name, in one byte each. The usual 128 are too few for the link and the recogniser
// together: what is needed for every frame would push each other out.
#define MICROPY_OPT_MAP_LOOKUP_CACHE_SIZE (1024)
