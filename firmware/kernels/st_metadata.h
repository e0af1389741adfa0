/* The entry "stapes" of a model's metadata: layout in firmware/spec/spec.toml. */
#ifndef ST_METADATA_H
#define ST_METADATA_H

#include "st_flatbuffer.h"

/* Find the entry's data in a model table. Empty when there is none. */
st_vector_t st_metadata_find(st_flatbuffer_t *fb, uint32_t model);

/* Check magic, version, checksum of the whole file, and that the front end it was trained for is
 * this one. Returns 0 or the error's negative code; *detail says which field (byte offset). */
st_status_t st_metadata_check(st_flatbuffer_t *fb, st_vector_t metadata, int32_t *detail);

#endif
