// MICROPY_HW_ROMFS_BYTES and MICROPY_HW_FLASH_STORAGE_BYTES come from board.toml, through CMake.
#define MICROPY_HW_BOARD_NAME "Raspberry Pi Pico, Stapes"

// Where names were found last, by name, in one byte each. The usual 128 are too few for the link and the recogniser
// together: what is needed for every frame would push each other out.
#define MICROPY_OPT_MAP_LOOKUP_CACHE_SIZE (1024)

// What MicroPython runs in every step lies in RAM: in flash it and the kernels' own code push each other out of the cache.
#define STAPES_IN_RAM(f) __attribute__((section(".time_critical." #f))) f
#define MICROPY_WRAP_MP_EXECUTE_BYTECODE(f) STAPES_IN_RAM(f)
#define MICROPY_WRAP_MP_MAP_LOOKUP(f) STAPES_IN_RAM(f)
#define MICROPY_WRAP_MP_LOAD_GLOBAL(f) STAPES_IN_RAM(f)
#define MICROPY_WRAP_MP_OBJ_GET_TYPE(f) STAPES_IN_RAM(f)
#define MICROPY_WRAP_MP_BINARY_OP(f) STAPES_IN_RAM(f)
