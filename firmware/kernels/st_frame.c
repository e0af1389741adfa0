#include "st_frame.h"

#include "st_cobs.h"
#include "st_crc32.h"

#define START (ST_FRAME_BUFFER_START)
#define LEAST_HEADER (2) /* type and version keep their places in every version of the protocol */

/* Move what follows the last frame, and the zeros behind it, to the begin. */
static void drop_last(uint8_t *buffer, uint32_t *state) {
    uint32_t fill = state[ST_FRAME_INDEX_FILL];
    uint32_t at = ST_MAX(state[ST_FRAME_INDEX_NEXT], START);
    while (at < fill && buffer[at] == 0) {
        at++;
    }
    if (at > START) {
        memmove(buffer + START, buffer + at, fill - at);
        state[ST_FRAME_INDEX_FILL] = START + fill - at;
        state[ST_FRAME_INDEX_SCAN] = START;
    }
    state[ST_FRAME_INDEX_NEXT] = 0;
}

/* Tell a frame of another version from a damaged one. */
static st_status_t refuse_stranger(const uint8_t *header, uint32_t *state) {
    state[ST_FRAME_INDEX_TYPE] = header[ST_FRAME_TYPE_OFFSET];
    state[ST_FRAME_INDEX_VERSION] = header[ST_FRAME_VERSION_OFFSET];
    return header[ST_FRAME_VERSION_OFFSET] == ST_VERSION_PROTOCOL ? -ST_ERROR_LINK_FRAME : -ST_ERROR_LINK_VERSION;
}

static void read_header(const uint8_t *header, uint32_t *state) {
    state[ST_FRAME_INDEX_TYPE] = header[ST_FRAME_TYPE_OFFSET];
    state[ST_FRAME_INDEX_VERSION] = header[ST_FRAME_VERSION_OFFSET];
    state[ST_FRAME_INDEX_SEQUENCE] = st_read_u16(header + ST_FRAME_SEQUENCE_OFFSET);
    state[ST_FRAME_INDEX_NUMBER] = st_read_u32(header + ST_FRAME_NUMBER_OFFSET);
    state[ST_FRAME_INDEX_ACK] = st_read_u32(header + ST_FRAME_ACK_OFFSET);
    state[ST_FRAME_INDEX_PIECE] = header[ST_FRAME_PIECE_OFFSET];
    state[ST_FRAME_INDEX_ACK_PIECE] = header[ST_FRAME_ACK_PIECE_OFFSET];
    state[ST_FRAME_INDEX_TAG] = st_read_u16(header + ST_FRAME_TAG_OFFSET);
}

/* Decode and check the frame in buffer[START : zero]. */
static st_status_t open_frame(uint8_t *buffer, uint32_t zero, uint32_t *state) {
    const uint8_t *header = buffer + START + 1;
    uint32_t end = st_cobs_decode(buffer + START, zero - START);
    if (end < 1 + LEAST_HEADER + ST_FRAME_CRC_BYTES) {
        return -ST_ERROR_LINK_FRAME;
    }
    uint32_t bytes = end - 1 - ST_FRAME_CRC_BYTES;
    if (st_crc32(0, header, bytes) != st_read_u32(header + bytes)) {
        return -ST_ERROR_LINK_FRAME;
    }
    if (bytes < ST_FRAME_BYTES || header[ST_FRAME_VERSION_OFFSET] != ST_VERSION_PROTOCOL) {
        return refuse_stranger(header, state);
    }
    read_header(header, state);
    state[ST_FRAME_INDEX_END] = START + 1 + bytes;
    return 1;
}

/* Where the next zero byte is, end: nowhere. */
ST_HOT static uint32_t find_zero(const uint8_t *buffer, uint32_t at, uint32_t end) {
    while (at < end && buffer[at] != 0) {
        at++;
    }
    return at;
}

st_status_t st_frame_take(uint8_t *buffer, uint32_t bytes, uint32_t *state) {
    uint32_t fill = state[ST_FRAME_INDEX_FILL];
    if (fill < START || fill > bytes || state[ST_FRAME_INDEX_SCAN] < START || state[ST_FRAME_INDEX_SCAN] > fill ||
        state[ST_FRAME_INDEX_NEXT] > fill) {
        return -ST_ERROR_ARGUMENT;
    }
    drop_last(buffer, state);
    fill = state[ST_FRAME_INDEX_FILL];
    uint32_t zero = find_zero(buffer, state[ST_FRAME_INDEX_SCAN], fill);
    if (zero == fill) {
        if (fill + ST_FRAME_BLOCK_BYTES > bytes) {
            state[ST_FRAME_INDEX_LOST] = 1;
            state[ST_FRAME_INDEX_FILL] = START;
        }
        state[ST_FRAME_INDEX_SCAN] = state[ST_FRAME_INDEX_FILL];
        return 0;
    }
    uint32_t next = zero + 1;
    while (next < fill && buffer[next] == 0) {
        next++;
    }
    state[ST_FRAME_INDEX_NEXT] = next;
    if (state[ST_FRAME_INDEX_LOST]) {
        state[ST_FRAME_INDEX_LOST] = 0;
        return -ST_ERROR_LINK_FRAME;
    }
    return open_frame(buffer, zero, state);
}

static void write_header(uint8_t *header, const uint32_t *fields) {
    header[ST_FRAME_TYPE_OFFSET] = (uint8_t)fields[ST_FRAME_INDEX_TYPE];
    header[ST_FRAME_VERSION_OFFSET] = ST_VERSION_PROTOCOL;
    st_write_u16(header + ST_FRAME_SEQUENCE_OFFSET, fields[ST_FRAME_INDEX_SEQUENCE]);
    st_write_u32(header + ST_FRAME_NUMBER_OFFSET, fields[ST_FRAME_INDEX_NUMBER]);
    st_write_u32(header + ST_FRAME_ACK_OFFSET, fields[ST_FRAME_INDEX_ACK]);
    header[ST_FRAME_PIECE_OFFSET] = (uint8_t)fields[ST_FRAME_INDEX_PIECE];
    header[ST_FRAME_ACK_PIECE_OFFSET] = (uint8_t)fields[ST_FRAME_INDEX_ACK_PIECE];
    st_write_u16(header + ST_FRAME_TAG_OFFSET, fields[ST_FRAME_INDEX_TAG]);
}

st_status_t st_frame_seal(uint8_t *out, uint32_t capacity, uint32_t *fields, const uint8_t *payload, uint32_t length,
                          uint32_t block) {
    uint8_t header[ST_FRAME_BYTES];
    uint8_t crc[ST_FRAME_CRC_BYTES];
    st_cobs_t cobs;
    if (length > ST_FRAME_PAYLOAD + ST_FRAME_SEAL_BYTES || block < 1 || block > ST_FRAME_PAYLOAD) {
        return -ST_ERROR_ARGUMENT;
    }
    uint32_t bytes = ST_FRAME_BYTES + length + ST_FRAME_CRC_BYTES;
    if (bytes + ST_COBS_MOST(bytes) + block > capacity) {
        return -ST_ERROR_BUFFER_SMALL;
    }
    write_header(header, fields);
    st_write_u32(crc, st_crc32(st_crc32(0, header, sizeof(header)), payload, length));
    st_cobs_begin(&cobs, out);
    st_cobs_put(&cobs, header, sizeof(header));
    st_cobs_put(&cobs, payload, length);
    st_cobs_put(&cobs, crc, sizeof(crc));
    uint32_t end = st_cobs_end(&cobs);
    do {
        out[end++] = 0;
    } while (end % block);
    fields[ST_FRAME_INDEX_SEQUENCE] = (fields[ST_FRAME_INDEX_SEQUENCE] + 1) & 0xFFFFu;
    return (st_status_t)end;
}
