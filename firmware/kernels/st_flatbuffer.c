#include "st_flatbuffer.h"

void st_fb_open(st_flatbuffer_t *fb, const uint8_t *data, uint32_t bytes) {
    fb->data = data;
    fb->bytes = bytes;
    fb->damaged_at = 0;
    fb->damaged = 0;
}

static void damage(st_flatbuffer_t *fb, uint32_t at) {
    if (!fb->damaged) {
        fb->damaged = 1;
        fb->damaged_at = at;
    }
}

int st_fb_check(st_flatbuffer_t *fb, uint32_t at, uint32_t bytes) {
    if (at > fb->bytes || fb->bytes - at < bytes) {
        damage(fb, at);
        return 0;
    }
    return 1;
}

uint8_t st_fb_u8(st_flatbuffer_t *fb, uint32_t at) {
    return st_fb_check(fb, at, 1) ? fb->data[at] : 0;
}

uint16_t st_fb_u16(st_flatbuffer_t *fb, uint32_t at) {
    return st_fb_check(fb, at, 2) ? st_read_u16(fb->data + at) : 0;
}

uint32_t st_fb_u32(st_flatbuffer_t *fb, uint32_t at) {
    uint32_t word;
    if (!st_fb_check(fb, at, 4)) {
        return 0;
    }
    if (((uint32_t)(uintptr_t)(fb->data + at) & 3u) != 0) {
        return st_read_u32(fb->data + at);
    }
    memcpy(&word, __builtin_assume_aligned(fb->data + at, 4), 4); /* whole words: a third of the time */
    return word;
}

uint32_t st_fb_follow(st_flatbuffer_t *fb, uint32_t at) {
    uint32_t offset = st_fb_u32(fb, at);
    if (offset == 0 || offset >= fb->bytes - at) {
        damage(fb, at);
        return 0;
    }
    return at + offset;
}

uint32_t st_fb_field(st_flatbuffer_t *fb, uint32_t table, uint32_t id, uint32_t bytes) {
    if (table == 0) {
        return 0;
    }
    /* The offset to the vtable is signed and subtracted: arithmetic modulo 2^32. */
    uint32_t vtable = table - st_fb_u32(fb, table);
    uint32_t vtable_bytes = st_fb_u16(fb, vtable);
    if (vtable_bytes < 4 || !st_fb_check(fb, vtable, vtable_bytes)) {
        damage(fb, table);
        return 0;
    }
    uint32_t entry = 4 + 2 * id;
    if (entry + 2 > vtable_bytes) {
        return 0;
    }
    uint32_t offset = st_fb_u16(fb, vtable + entry);
    if (offset == 0) {
        return 0;
    }
    return st_fb_check(fb, table + offset, bytes) ? table + offset : 0;
}

int32_t st_fb_get_i8(st_flatbuffer_t *fb, uint32_t table, uint32_t id, int32_t missing) {
    uint32_t at = st_fb_field(fb, table, id, 1);
    return at ? (int8_t)st_fb_u8(fb, at) : missing;
}

int32_t st_fb_get_i32(st_flatbuffer_t *fb, uint32_t table, uint32_t id, int32_t missing) {
    uint32_t at = st_fb_field(fb, table, id, 4);
    return at ? (int32_t)st_fb_u32(fb, at) : missing;
}

uint32_t st_fb_get_table(st_flatbuffer_t *fb, uint32_t table, uint32_t id) {
    uint32_t at = st_fb_field(fb, table, id, 4);
    return at ? st_fb_follow(fb, at) : 0;
}

st_vector_t st_fb_get_vector(st_flatbuffer_t *fb, uint32_t table, uint32_t id, uint32_t element_bytes) {
    st_vector_t vector = {0, 0};
    uint32_t at = st_fb_get_table(fb, table, id);
    if (at == 0) {
        return vector;
    }
    uint32_t count = st_fb_u32(fb, at);
    if (fb->bytes - at < 4 || count > (fb->bytes - at - 4) / element_bytes) {
        damage(fb, at);
        return vector;
    }
    vector.at = at + 4;
    vector.count = count;
    return vector;
}

uint32_t st_fb_table_at(st_flatbuffer_t *fb, st_vector_t vector, uint32_t i) {
    if (i >= vector.count) {
        damage(fb, vector.at);
        return 0;
    }
    return st_fb_follow(fb, vector.at + 4 * i);
}

int32_t st_fb_i32_at(st_flatbuffer_t *fb, st_vector_t vector, uint32_t i) {
    if (i >= vector.count) {
        damage(fb, vector.at);
        return 0;
    }
    return (int32_t)st_fb_u32(fb, vector.at + 4 * i);
}
