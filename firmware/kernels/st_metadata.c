#include "st_metadata.h"

#include "st_crc32.h"

#define MODEL_BUFFERS (4)
#define MODEL_METADATA (6)
#define METADATA_NAME (0)
#define METADATA_BUFFER (1)
#define BUFFER_DATA (0)

static int is_named(st_flatbuffer_t *fb, uint32_t entry) {
    static const char name[] = ST_MODEL_METADATA_NAME;
    st_vector_t text = st_fb_get_vector(fb, entry, METADATA_NAME, 1);
    return text.count == sizeof(name) - 1 && memcmp(fb->data + text.at, name, sizeof(name) - 1) == 0;
}

st_vector_t st_metadata_find(st_flatbuffer_t *fb, uint32_t model) {
    st_vector_t none = {0, 0};
    st_vector_t entries = st_fb_get_vector(fb, model, MODEL_METADATA, 4);
    st_vector_t buffers = st_fb_get_vector(fb, model, MODEL_BUFFERS, 4);
    for (uint32_t i = 0; i < entries.count && !fb->damaged; i++) {
        uint32_t entry = st_fb_table_at(fb, entries, i);
        if (is_named(fb, entry)) {
            uint32_t buffer = (uint32_t)st_fb_get_i32(fb, entry, METADATA_BUFFER, 0);
            return st_fb_get_vector(fb, st_fb_table_at(fb, buffers, buffer), BUFFER_DATA, 1);
        }
    }
    return none;
}

static st_status_t check_crc(const st_flatbuffer_t *fb, uint32_t at) {
    static const uint8_t zeros[4] = {0, 0, 0, 0};
    uint32_t crc = st_crc32(0, fb->data, at);
    crc = st_crc32(crc, zeros, 4);
    crc = st_crc32(crc, fb->data + at + 4, fb->bytes - at - 4);
    return crc == st_read_u32(fb->data + at) ? 0 : -ST_ERROR_MODEL_CRC;
}

/* The unit names: as many NUL-terminated strings as the header says, to the end. */
static int check_units(const uint8_t *header, uint32_t bytes) {
    uint32_t at = st_read_u16(header + ST_METADATA_HEADER_BYTES_OFFSET) + 2u * header[ST_METADATA_MEL_BANDS_OFFSET];
    uint32_t end = at;
    uint32_t units = header[ST_METADATA_UNIT_COUNT_OFFSET];
    if (units < 2 || units > ST_MODEL_MAX_UNITS) {
        return 0;
    }
    for (; units > 0 && end < bytes; end++) {
        units -= header[end] == 0;
    }
    return units == 0 && st_crc32(0, header + at, end - at) == st_read_u32(header + ST_METADATA_UNITS_CRC_OFFSET);
}

/* Offset of the first bad field of the end-pointers' block, which a model need not have; or -1. */
static int32_t bad_endpoint(const uint8_t *header) {
    const uint8_t *block = header + ST_METADATA_BYTES;
    if (st_read_u16(header + ST_METADATA_HEADER_BYTES_OFFSET) < ST_METADATA_BYTES + ST_ENDPOINT_BYTES) {
        return -1;
    }
    for (int32_t at = ST_ENDPOINT_SPECULATIVE_THRESHOLD_OFFSET; at < ST_ENDPOINT_REJECTION_OFFSET; at += 2) {
        int32_t threshold = st_read_i16(block + at);
        if (threshold < INT8_MIN || threshold > INT8_MAX + 1) {
            return ST_METADATA_BYTES + at;
        }
    }
    for (int32_t at = ST_ENDPOINT_SPECULATIVE_STEPS_OFFSET; at < ST_ENDPOINT_LEAD_STEPS_OFFSET; at++) {
        if (block[at] == 0) {
            return ST_METADATA_BYTES + at;
        }
    }
    return -1;
}

/* Offset of the first field that this firmware's front end and search cannot serve, or -1. */
static int32_t foreign_field(const uint8_t *header, uint32_t bytes) {
    uint32_t context = header[ST_METADATA_CONTEXT_SIZE_OFFSET];
    if (st_read_u16(header + ST_METADATA_HEADER_BYTES_OFFSET) < ST_METADATA_BYTES) {
        return ST_METADATA_HEADER_BYTES_OFFSET;
    }
    if (st_read_u32(header + ST_METADATA_SAMPLE_RATE_HZ_OFFSET) != ST_AUDIO_SAMPLE_RATE_HZ) {
        return ST_METADATA_SAMPLE_RATE_HZ_OFFSET;
    }
    if (st_read_u16(header + ST_METADATA_FRAME_LENGTH_OFFSET) != ST_FRONTEND_FRAME_LENGTH) {
        return ST_METADATA_FRAME_LENGTH_OFFSET;
    }
    if (st_read_u16(header + ST_METADATA_FRAME_SHIFT_OFFSET) != ST_FRONTEND_FRAME_SHIFT) {
        return ST_METADATA_FRAME_SHIFT_OFFSET;
    }
    if (header[ST_METADATA_MEL_BANDS_OFFSET] != ST_FRONTEND_MEL_BANDS) {
        return ST_METADATA_MEL_BANDS_OFFSET;
    }
    if (header[ST_METADATA_STACK_OFFSET] != ST_FRONTEND_STACK) {
        return ST_METADATA_STACK_OFFSET;
    }
    if (context > ST_MODEL_MAX_CONTEXT) {
        return ST_METADATA_CONTEXT_SIZE_OFFSET;
    }
    return check_units(header, bytes) ? bad_endpoint(header) : ST_METADATA_UNIT_COUNT_OFFSET;
}

st_status_t st_metadata_check(st_flatbuffer_t *fb, st_vector_t metadata, int32_t *detail) {
    const uint8_t *header = fb->data + metadata.at;
    *detail = (int32_t)metadata.count;
    if (metadata.count < ST_METADATA_BYTES || memcmp(header, ST_MAGIC_METADATA, 4) != 0) {
        return -ST_ERROR_MODEL_METADATA;
    }
    *detail = st_read_u16(header + ST_METADATA_VERSION_OFFSET);
    if (*detail != ST_VERSION_METADATA) {
        return -ST_ERROR_MODEL_VERSION;
    }
    *detail = (int32_t)st_read_u32(header + ST_METADATA_FILE_CRC_OFFSET);
    st_status_t status = check_crc(fb, metadata.at + ST_METADATA_FILE_CRC_OFFSET);
    if (status < 0) {
        return status;
    }
    *detail = foreign_field(header, metadata.count);
    return *detail < 0 ? 0 : -ST_ERROR_MODEL_METADATA;
}
