# The kernels as a user C module, for ports built with CMake (rp2, esp32).
get_filename_component(STAPES_FIRMWARE_DIR ${CMAKE_CURRENT_LIST_DIR}/../.. ABSOLUTE)

add_library(usermod_stapes INTERFACE)

file(GLOB STAPES_KERNEL_SOURCES CONFIGURE_DEPENDS
    ${STAPES_FIRMWARE_DIR}/kernels/*.c
    ${STAPES_FIRMWARE_DIR}/bindings/api_*.c
)

target_sources(usermod_stapes INTERFACE
    ${STAPES_KERNEL_SOURCES}
    ${STAPES_EXTRA_SOURCES}
    ${STAPES_FIRMWARE_DIR}/bindings/module_usermod.c
)

# What reads the RP2040's flash in one go. The ESP32's flash is a matter of its own cache.
if(PICO_PLATFORM STREQUAL "rp2040")
    target_sources(usermod_stapes INTERFACE
        ${CMAKE_CURRENT_LIST_DIR}/rp2040_fetch.c
        ${CMAKE_CURRENT_LIST_DIR}/rp2040_divide.c
    )
    target_link_options(usermod INTERFACE "LINKER:--defsym=__wrap___aeabi_uidivmod=stapes_uidivmod")
    set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/rp2040_fetch.c PROPERTIES COMPILE_OPTIONS "-O2;-DST_FETCH")
    set(STAPES_FETCH ";-DST_FETCH")
endif()

target_include_directories(usermod_stapes INTERFACE
    ${STAPES_FIRMWARE_DIR}/bindings
    ${STAPES_FIRMWARE_DIR}/kernels
    ${STAPES_FIRMWARE_DIR}/spec/generated
)

# The kernels are tuned for speed, the image around them for size. A jump table would lie in flash
# and be read through the XIP cache from code that runs in RAM.
set_source_files_properties(${STAPES_KERNEL_SOURCES} PROPERTIES
    COMPILE_OPTIONS "-O2;-fno-jump-tables;-Wextra;-Wno-unused-parameter${STAPES_FETCH};-include;${CMAKE_CURRENT_LIST_DIR}/st_hot.h"
)

set_source_files_properties(${STAPES_FIRMWARE_DIR}/bindings/module_usermod.c PROPERTIES
    COMPILE_OPTIONS "-include;${CMAKE_CURRENT_LIST_DIR}/st_hot.h"
)

target_link_libraries(usermod INTERFACE usermod_stapes)

# USB serial in bulk, where the port has TinyUSB and MicroPython's own standard input: the RP2.
if(PICO_SDK_PATH)
    target_sources(usermod_stapes INTERFACE ${CMAKE_CURRENT_LIST_DIR}/stapes_usb.c)
    target_compile_definitions(usermod INTERFACE CFG_TUD_CDC_RX_BUFSIZE=1024 CFG_TUD_CDC_TX_BUFSIZE=1024)
    target_link_options(usermod INTERFACE
        "LINKER:--wrap=tud_cdc_rx_cb"
        "LINKER:--wrap=mp_hal_stdin_rx_chr"
        "LINKER:--wrap=mp_hal_stdio_poll"
    )
endif()
