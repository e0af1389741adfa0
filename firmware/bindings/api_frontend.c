/* Methods of the front end: docs/kernels_api.md. */
#include "api_util.h"
#include "st_frontend.h"

#define MAX_SAMPLES (ST_LIMITS_MAX_RECORDING_S * ST_AUDIO_SAMPLE_RATE_HZ)

static int32_t check_state(const st_arg_t *arg) {
    ST_REQUIRE(st_is_aligned(arg, 4), ARGUMENT);
    ST_REQUIRE(arg->length >= sizeof(st_frontend_t), BUFFER_SMALL);
    return 0;
}

static int32_t check_started(const st_arg_t *arg) {
    int32_t status = check_state(arg);
    if (status == 0 && ((const st_frontend_t *)arg->data)->magic != ST_FRONTEND_MAGIC) {
        status = -ST_ERROR_STATE;
    }
    return status;
}

int32_t stk_frontend_size(const st_arg_t *args) {
    (void)args;
    return (int32_t)sizeof(st_frontend_t);
}

int32_t stk_frontend_init(const st_arg_t *args) {
    int32_t status = check_state(&args[0]);
    if (status < 0) {
        return status;
    }
    ST_REQUIRE(st_holds(&args[1], ST_FRONTEND_MEL_BANDS, sizeof(int16_t)), ARGUMENT);
    st_frontend_init((st_frontend_t *)args[0].data, (const int16_t *)args[1].data);
    return 0;
}

int32_t stk_frontend_steps(const st_arg_t *args) {
    int32_t status = check_started(&args[0]);
    if (status < 0) {
        return status;
    }
    ST_REQUIRE(args[1].value >= 0, ARGUMENT);
    return (int32_t)st_frontend_steps((const st_frontend_t *)args[0].data, (uint32_t)args[1].value);
}

int32_t stk_frontend_apply(const st_arg_t *args) {
    int32_t status = check_started(&args[0]);
    if (status < 0) {
        return status;
    }
    st_frontend_t *state = (st_frontend_t *)args[0].data;
    ST_REQUIRE(st_is_aligned(&args[1], sizeof(int16_t)), ARGUMENT);
    uint32_t n = args[1].length / sizeof(int16_t);
    ST_REQUIRE(args[1].length % sizeof(int16_t) == 0 && n <= MAX_SAMPLES, ARGUMENT);
    uint32_t steps = st_frontend_steps(state, n);
    ST_REQUIRE(args[2].length >= steps * ST_FRONTEND_FEATURE_SIZE, BUFFER_SMALL);
    return (int32_t)st_frontend_apply(state, (const int16_t *)args[1].data, n, (int8_t *)args[2].data);
}

int32_t stk_frontend_logmel(const st_arg_t *args) {
    int32_t scratch[2 * ST_FFT_COMPLEX_POINTS];
    ST_REQUIRE(st_holds(&args[0], ST_FRONTEND_FRAME_LENGTH, sizeof(int16_t)), ARGUMENT);
    ST_REQUIRE(st_is_aligned(&args[1], sizeof(int16_t)), ARGUMENT);
    ST_REQUIRE(args[1].length >= ST_FRONTEND_MEL_BANDS * sizeof(int16_t), BUFFER_SMALL);
    st_frontend_log_mel((const int16_t *)args[0].data, (int16_t *)args[1].data, scratch);
    return 0;
}
