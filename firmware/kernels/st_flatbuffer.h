/* A flatbuffer read in place, with every offset checked.
 *
 * Positions are byte offsets in the file; 0 means "absent". A reader that would leave the file
 * returns 0 and remembers the position in damaged_at: callers check it once per table instead of
 * once per field. Nothing here recurses, so offsets that form a cycle do no harm.
 *
 * Reference: the FlatBuffers binary format, https://flatbuffers.dev/internals/ */
#ifndef ST_FLATBUFFER_H
#define ST_FLATBUFFER_H

#include "st_common.h"

typedef struct {
    const uint8_t *data;
    uint32_t bytes;
    uint32_t damaged_at; /* position of the first bad read, 0 when none */
    int32_t damaged;
} st_flatbuffer_t;

/* A vector: position of its first element and how many there are. */
typedef struct {
    uint32_t at;
    uint32_t count;
} st_vector_t;

void st_fb_open(st_flatbuffer_t *fb, const uint8_t *data, uint32_t bytes);

/* Whether [at, at + bytes) lies in the file; marks damage when it does not. */
int st_fb_check(st_flatbuffer_t *fb, uint32_t at, uint32_t bytes);

uint8_t st_fb_u8(st_flatbuffer_t *fb, uint32_t at);
uint16_t st_fb_u16(st_flatbuffer_t *fb, uint32_t at);
uint32_t st_fb_u32(st_flatbuffer_t *fb, uint32_t at);

/* Follow the unsigned offset stored at a position. */
uint32_t st_fb_follow(st_flatbuffer_t *fb, uint32_t at);

/* Position of field id of a table, 0 when it is absent. */
uint32_t st_fb_field(st_flatbuffer_t *fb, uint32_t table, uint32_t id, uint32_t bytes);

/* Scalar fields; absent ones have the value missing. */
int32_t st_fb_get_i8(st_flatbuffer_t *fb, uint32_t table, uint32_t id, int32_t missing);
int32_t st_fb_get_i32(st_flatbuffer_t *fb, uint32_t table, uint32_t id, int32_t missing);

/* Table, and vector of elements of the given size, that a field refers to. */
uint32_t st_fb_get_table(st_flatbuffer_t *fb, uint32_t table, uint32_t id);
st_vector_t st_fb_get_vector(st_flatbuffer_t *fb, uint32_t table, uint32_t id, uint32_t element_bytes);

/* Element i of a vector of tables, and of a vector of int32. Outside of it: damage. */
uint32_t st_fb_table_at(st_flatbuffer_t *fb, st_vector_t vector, uint32_t i);
int32_t st_fb_i32_at(st_flatbuffer_t *fb, st_vector_t vector, uint32_t i);

#endif
