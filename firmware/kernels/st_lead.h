/* What the next layer with weights begins to read, which can be copied to RAM while the one before finishes: st_fetch.h. */
#ifndef ST_LEAD_H
#define ST_LEAD_H

#include "st_op.h"

#ifdef ST_FETCH

#define ST_LEAD_BYTES (1536) /* at most: copied in about the time in which 256 rows are finished */

/* A piece of the file; none: bytes is 0. */
typedef struct {
    const uint8_t *from;
    uint32_t bytes;
} st_lead_t;

/* That of the first layer with weights behind a record, if it fits into so many bytes. */
st_lead_t st_lead_find(const st_memory_t *memory, const st_record_t *record, uint32_t capacity);

#endif

#endif
