/* Methods of the microphone's audio path: docs/kernels_api.md. */
#include "api_util.h"
#include "st_audio.h"
#include "st_pdm.h"

static int32_t check(const st_arg_t *state, uint32_t bytes, uint32_t magic) {
    ST_REQUIRE(st_is_aligned(state, 4), ARGUMENT);
    ST_REQUIRE(state->length >= bytes, BUFFER_SMALL);
    ST_REQUIRE(magic == 0 || *(const uint32_t *)state->data == magic, STATE);
    return 0;
}

int32_t stk_audio_size(const st_arg_t *args) {
    (void)args;
    return (int32_t)sizeof(st_audio_t);
}

int32_t stk_audio_init(const st_arg_t *args) {
    int32_t status = check(&args[0], sizeof(st_audio_t), 0);
    if (status < 0) {
        return status;
    }
    ST_REQUIRE(st_holds(&args[1], ST_AUDIO_CONFIG_INDEX_COUNT, sizeof(int32_t)), ARGUMENT);
    return st_audio_init((st_audio_t *)args[0].data, (const int32_t *)args[1].data);
}

int32_t stk_audio_apply(const st_arg_t *args) {
    int32_t status = check(&args[0], sizeof(st_audio_t), ST_AUDIO_MAGIC);
    if (status < 0) {
        return status;
    }
    ST_REQUIRE(st_is_aligned(&args[1], 4) && args[1].length % 4 == 0, ARGUMENT);
    ST_REQUIRE(st_is_aligned(&args[2], 2), ARGUMENT);
    uint32_t n = args[1].length / 4;
    ST_REQUIRE(args[2].length / 2 >= n, BUFFER_SMALL);
    st_audio_apply((st_audio_t *)args[0].data, (const uint32_t *)args[1].data, n, (int16_t *)args[2].data);
    return (int32_t)n;
}

int32_t stk_audio_levels(const st_arg_t *args) {
    int32_t status = check(&args[0], sizeof(st_audio_t), ST_AUDIO_MAGIC);
    if (status < 0) {
        return status;
    }
    ST_REQUIRE(st_is_aligned(&args[1], 4), ARGUMENT);
    ST_REQUIRE(args[1].length >= ST_AUDIO_LEVEL_INDEX_COUNT * sizeof(int32_t), BUFFER_SMALL);
    st_audio_levels((st_audio_t *)args[0].data, (int32_t *)args[1].data);
    return 0;
}

int32_t stk_pdm_size(const st_arg_t *args) {
    (void)args;
    return (int32_t)sizeof(st_pdm_t);
}

int32_t stk_pdm_init(const st_arg_t *args) {
    int32_t status = check(&args[0], sizeof(st_pdm_t), 0);
    if (status < 0) {
        return status;
    }
    st_pdm_init((st_pdm_t *)args[0].data);
    return 0;
}

int32_t stk_pdm_apply(const st_arg_t *args) {
    int32_t status = check(&args[0], sizeof(st_pdm_t), ST_PDM_MAGIC);
    if (status < 0) {
        return status;
    }
    ST_REQUIRE(st_is_aligned(&args[1], 4) && args[1].length % (4 * ST_PDM_SAMPLE_WORDS) == 0, ARGUMENT);
    ST_REQUIRE(st_is_aligned(&args[2], 4), ARGUMENT);
    uint32_t n = args[1].length / (4 * ST_PDM_SAMPLE_WORDS);
    ST_REQUIRE(args[2].length / 4 >= n, BUFFER_SMALL);
    st_pdm_apply((st_pdm_t *)args[0].data, (const uint32_t *)args[1].data, n, (uint32_t *)args[2].data);
    return (int32_t)n;
}
