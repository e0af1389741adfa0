/* Types and attributes that every kernel uses. Pure C99: integers only, no malloc, no libm,
 * no global state, no MicroPython headers. */
#ifndef ST_COMMON_H
#define ST_COMMON_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "stapes_spec.h"

/* Status of a kernel call: 0 or a count on success, -ST_ERROR_... on failure. */
typedef int32_t st_status_t;

/* Hot loops: an image build may define ST_HOT to place them in RAM. */
#ifndef ST_HOT
#define ST_HOT
#endif
/* Constants that they read: the same. */
#ifndef ST_HOT_TABLE
#define ST_HOT_TABLE
#endif

#define ST_MIN(a, b) ((a) < (b) ? (a) : (b))
#define ST_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Round n up to a multiple of 8, the alignment of everything inside a state buffer. */
#define ST_ALIGN8(n) (((uint32_t)(n) + 7u) & ~7u)

/* Little-endian reads and writes that never fault, whatever the address (the Cortex-M0+ traps on an
 * unaligned word). For headers and flatbuffers; hot loops use aligned pointers. */
static inline uint16_t st_read_u16(const uint8_t *p) {
    return (uint16_t)(p[0] | (p[1] << 8));
}

static inline uint32_t st_read_u32(const uint8_t *p) {
    return (uint32_t)p[0] | ((uint32_t)p[1] << 8) | ((uint32_t)p[2] << 16) | ((uint32_t)p[3] << 24);
}

static inline void st_write_u16(uint8_t *p, uint32_t value) {
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static inline void st_write_u32(uint8_t *p, uint32_t value) {
    st_write_u16(p, value);
    st_write_u16(p + 2, value >> 16);
}

static inline int16_t st_read_i16(const uint8_t *p) {
    return (int16_t)st_read_u16(p);
}

static inline int32_t st_read_i32(const uint8_t *p) {
    return (int32_t)st_read_u32(p);
}

#endif
