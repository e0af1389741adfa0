/* Consistent overhead byte stuffing: frames without zero bytes, so that zero ends a frame.
 *
 * Reference: Cheshire and Baker, Consistent Overhead Byte Stuffing, IEEE/ACM ToN 7(2), 1999. */
#ifndef ST_COBS_H
#define ST_COBS_H

#include "st_common.h"

/* The most that encoding adds to so many bytes; the zero behind the frame is not counted. */
#define ST_COBS_MOST(bytes) (1u + (bytes) / 254u)

/* Decode frame[0 : length], its final zero left out, in place: the payload comes to lie in
 * frame[1 : the result]; what lies behind it is undefined.
 *
 * Returns: the end of the payload, 0 if the frame is damaged. */
uint32_t st_cobs_decode(uint8_t *frame, uint32_t length);

/* A frame being encoded. */
typedef struct {
    uint8_t *out;
    uint32_t at;   /* where the next byte goes */
    uint32_t code; /* where the code byte of the group goes */
} st_cobs_t;

void st_cobs_begin(st_cobs_t *cobs, uint8_t *out);

/* Encode more bytes; out must have room for all of them and ST_COBS_MOST. */
void st_cobs_put(st_cobs_t *cobs, const uint8_t *data, uint32_t length);

/* Close the last group. Returns the bytes of the frame. */
uint32_t st_cobs_end(st_cobs_t *cobs);

#endif
