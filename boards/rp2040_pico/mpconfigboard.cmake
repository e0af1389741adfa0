# Raspberry Pi Pico. Build with `make firmware BOARD=rp2040_pico`, which reads board.toml.
set(PICO_BOARD "pico")
set(PICO_PLATFORM "rp2040")

if(NOT STAPES_ROMFS_BYTES OR NOT STAPES_STORAGE_BYTES)
    message(FATAL_ERROR "STAPES_ROMFS_BYTES and STAPES_STORAGE_BYTES are missing: run make firmware BOARD=rp2040_pico")
endif()

list(APPEND MICROPY_DEF_BOARD
    MICROPY_HW_ROMFS_BYTES=${STAPES_ROMFS_BYTES}
    MICROPY_HW_FLASH_STORAGE_BYTES=${STAPES_STORAGE_BYTES}
)

set_source_files_properties(${MICROPY_DIR}/py/bc.c PROPERTIES
    COMPILE_OPTIONS "-include;${CMAKE_CURRENT_LIST_DIR}/bc_in_ram.h"
)
