/* Put in front of every kernel source of an RP2040 image: the linker script copies
 * .time_critical* to RAM, so that the hot loops do not wait for the flash cache. */
#define ST_HOT_SECTION ".time_critical.stapes"
#define ST_HOT __attribute__((noinline, section(".time_critical.stapes")))
#define ST_HOT_TABLE __attribute__((section(".time_critical.stapes_tables")))
