/* Methods of the ring that a microphone's words come through: docs/kernels_api.md. */
#include "api_util.h"
#include "st_ring.h"

/* A ring's values, or NULL. */
static int32_t *ring_of(const st_arg_t *arg) {
    int32_t *ring = (int32_t *)(void *)arg->data;
    return st_holds(arg, ST_RING_INDEX_COUNT, sizeof(int32_t)) && st_ring_is_sound(ring) ? ring : NULL;
}

int32_t stk_ring_look(const st_arg_t *args) {
    int32_t *ring = ring_of(&args[0]);
    int32_t count = args[3].value;
    ST_REQUIRE(ring != NULL && count >= 0 && count <= ST_FRONTEND_STEP_SAMPLES, ARGUMENT);
    st_ring_look(ring, (uint32_t)args[1].value, (uint32_t)args[2].value);
    return st_ring_missing_ms(ring, (uint32_t)count);
}

int32_t stk_ring_hear(const st_arg_t *args) {
    int32_t *ring = ring_of(&args[0]);
    uint32_t count = args[3].length / sizeof(int16_t);
    ST_REQUIRE(ring != NULL && ring[ST_RING_INDEX_WORDS] == 1 && count <= ST_FRONTEND_STEP_SAMPLES, ARGUMENT);
    ST_REQUIRE(st_holds(&args[1], (uint32_t)ring[ST_RING_INDEX_SIZE], sizeof(uint32_t)), BUFFER_SMALL);
    ST_REQUIRE(st_is_aligned(&args[2], 4), ARGUMENT);
    ST_REQUIRE(args[2].length >= sizeof(st_audio_t), BUFFER_SMALL);
    st_audio_t *audio = (st_audio_t *)(void *)args[2].data;
    ST_REQUIRE(audio->magic == ST_AUDIO_MAGIC, STATE);
    ST_REQUIRE(st_is_aligned(&args[3], sizeof(int16_t)), ARGUMENT);
    st_ring_look(ring, (uint32_t)args[4].value, (uint32_t)args[5].value);
    int32_t wait_ms = st_ring_missing_ms(ring, count);
    if (wait_ms == 0) {
        const uint32_t *words = (const uint32_t *)(const void *)args[1].data;
        st_ring_take(ring, words, audio, (int16_t *)(void *)args[3].data, count);
    }
    return wait_ms;
}
