#include "st_cobs.h"

#define FULL (255u) /* the code of a group of 254 bytes with no zero behind it */

ST_HOT uint32_t st_cobs_decode(uint8_t *frame, uint32_t length) {
    uint32_t from = 0;
    uint32_t to = 1;
    uint32_t code = length == 0 ? 0 : frame[0];
    while (code != 0 && from + code < length) {
        /* Until the first full group everything lies where it belongs. */
        if (to != from + 1) {
            memmove(frame + to, frame + from + 1, code - 1);
        }
        to += code - 1;
        from += code;
        uint32_t next = frame[from]; /* its place may be the zero's */
        if (code != FULL) {
            frame[to++] = 0;
        }
        code = next;
    }
    if (code == 0 || from + code != length) {
        return 0;
    }
    if (to != from + 1) {
        memmove(frame + to, frame + from + 1, code - 1);
    }
    return to + code - 1;
}

void st_cobs_begin(st_cobs_t *cobs, uint8_t *out) {
    cobs->out = out;
    cobs->code = 0;
    cobs->at = 1;
}

static void close_group(st_cobs_t *cobs) {
    cobs->out[cobs->code] = (uint8_t)(cobs->at - cobs->code);
    cobs->code = cobs->at++;
}

ST_HOT void st_cobs_put(st_cobs_t *cobs, const uint8_t *data, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) {
        /* A full group is closed only once it is known that more follows. */
        if (cobs->at - cobs->code == FULL) {
            close_group(cobs);
        }
        if (data[i] == 0) {
            close_group(cobs);
        } else {
            cobs->out[cobs->at++] = data[i];
        }
    }
}

uint32_t st_cobs_end(st_cobs_t *cobs) {
    cobs->out[cobs->code] = (uint8_t)(cobs->at - cobs->code);
    return cobs->at;
}
