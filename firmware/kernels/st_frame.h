/* The link's frames: COBS(header, payload, CRC-32), then a zero byte. docs/link.md tells the rules,
 * layout.frame of the spec the header. */
#ifndef ST_FRAME_H
#define ST_FRAME_H

#include "st_common.h"

#define ST_FRAME_CRC_BYTES (4)
/* Where a payload begins in its receiver's buffer. */
#define ST_FRAME_PAYLOAD_AT (ST_FRAME_BUFFER_START + 1 + ST_FRAME_BYTES)

/* Find the next frame in buffer[ST_FRAME_BUFFER_START : state[fill]], decode it in place, check it.
 *
 * What follows the frame taken before is moved to the begin first, so that every payload lies at
 * ST_FRAME_PAYLOAD_AT; state[next] tells where that begins, behind the zeros that follow the frame. A buffer with less than a block of
 * room and no zero byte in it is emptied; the rest of that frame is refused when it comes.
 *
 * Args: buffer: bytes of it in all; state: uint32 [ST_FRAME_INDEX_COUNT], as the last call left it, but for
 *   state[fill], which says what has been received since. At first all are 0 but fill and scan, which are
 *   ST_FRAME_BUFFER_START.
 * Returns: 1: state has the header, and the payload's end; 0: there is no whole frame; -ST_ERROR_LINK_FRAME:
 *   a damaged one was passed over; -ST_ERROR_LINK_VERSION: one of another protocol version (type and version
 *   are set); -ST_ERROR_ARGUMENT: the state does not fit the buffer. */
st_status_t st_frame_take(uint8_t *buffer, uint32_t bytes, uint32_t *state);

/* Write a frame, its final zero included, and zeros up to a multiple of block bytes (at least 1).
 *
 * Args: out, capacity; fields: as state above; the header's fields but version are read, and sequence is
 *   counted up afterwards; payload, length: at most ST_FRAME_PAYLOAD + ST_FRAME_SEAL_BYTES.
 * Returns: bytes written, or -ST_ERROR_ARGUMENT, -ST_ERROR_BUFFER_SMALL. */
st_status_t st_frame_seal(uint8_t *out, uint32_t capacity, uint32_t *fields, const uint8_t *payload, uint32_t length,
                          uint32_t block);

#endif
