/* The link's frames, through the method table.
 *
 * An input is a byte for the size of the receiver's buffer, one for the pieces in which the stream comes, and the
 * stream. What is taken is sealed again, and taken again. At last the state's words are overwritten with the
 * stream's. */
#include "fuzz_util.h"
#include "st_frame.h"

static uint32_t state_words[ST_FRAME_INDEX_COUNT];

static st_arg_t state_buffer(void) {
    return fuzz_buffer(state_words, sizeof(state_words));
}

static void begin(void) {
    memset(state_words, 0, sizeof(state_words));
    state_words[ST_FRAME_INDEX_FILL] = state_words[ST_FRAME_INDEX_SCAN] = ST_FRAME_BUFFER_START;
}

/* A frame that was taken comes out of its own bytes once more. */
static void seal_again(const uint8_t *payload, uint32_t length) {
    uint32_t fields[ST_FRAME_INDEX_COUNT];
    uint32_t capacity = ST_FRAME_BUFFER_START + length + length / 64 + 128;
    uint8_t *copy = fuzz_copy(payload, length);
    uint8_t *out = fuzz_memory(capacity);
    memcpy(fields, state_words, sizeof(fields));
    st_arg_t seal[] = {fuzz_buffer(out + ST_FRAME_BUFFER_START, capacity - ST_FRAME_BUFFER_START),
                       fuzz_buffer(fields, sizeof(fields)), fuzz_buffer(copy, length), fuzz_integer(1)};
    int32_t bytes = stk_frame_seal(seal);
    if (length > ST_FRAME_PAYLOAD + ST_FRAME_SEAL_BYTES) {
        FUZZ_REQUIRE(bytes == -ST_ERROR_ARGUMENT);
    } else {
        FUZZ_REQUIRE(bytes > 0);
        memset(fields, 0, sizeof(fields));
        fields[ST_FRAME_INDEX_SCAN] = ST_FRAME_BUFFER_START;
        fields[ST_FRAME_INDEX_FILL] = ST_FRAME_BUFFER_START + (uint32_t)bytes;
        st_arg_t take[] = {fuzz_buffer(out, capacity), fuzz_buffer(fields, sizeof(fields))};
        FUZZ_REQUIRE(stk_frame_take(take) == 1);
        FUZZ_REQUIRE(fields[ST_FRAME_INDEX_END] == ST_FRAME_PAYLOAD_AT + length);
        FUZZ_REQUIRE(length == 0 || memcmp(out + ST_FRAME_PAYLOAD_AT, copy, length) == 0);
    }
    free(out);
    free(copy);
}

static void take_all(st_arg_t buffer) {
    st_arg_t args[] = {buffer, state_buffer()};
    int32_t found;
    while ((found = stk_frame_take(args)) != 0) {
        FUZZ_REQUIRE(found == 1 || found == -ST_ERROR_LINK_FRAME || found == -ST_ERROR_LINK_VERSION);
        if (found == 1) {
            uint32_t end = state_words[ST_FRAME_INDEX_END];
            FUZZ_REQUIRE(end >= ST_FRAME_PAYLOAD_AT && end <= buffer.length);
            seal_again(buffer.data + ST_FRAME_PAYLOAD_AT, end - ST_FRAME_PAYLOAD_AT);
        }
    }
    FUZZ_REQUIRE(state_words[ST_FRAME_INDEX_FILL] + ST_FRAME_BLOCK_BYTES <= buffer.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    uint32_t room = ST_FRAME_BUFFER_START + ST_FRAME_BLOCK_BYTES * (1u + data[0] % 32u);
    uint32_t pace = 1u + 5u * data[1];
    st_arg_t buffer = fuzz_buffer(fuzz_memory(room), room);
    begin();
    for (size_t at = 2; at < size;) {
        uint32_t fill = state_words[ST_FRAME_INDEX_FILL];
        uint32_t part = ST_MIN(ST_MIN(pace, room - fill), (uint32_t)(size - at));
        memcpy(buffer.data + fill, data + at, part);
        state_words[ST_FRAME_INDEX_FILL] = fill + part;
        at += part;
        take_all(buffer);
    }
    memcpy(state_words, data, ST_MIN(size, sizeof(state_words)));
    st_arg_t args[] = {buffer, state_buffer()};
    int32_t found = stk_frame_take(args);
    FUZZ_REQUIRE(found <= 1);
    free(buffer.data);
    return 0;
}
