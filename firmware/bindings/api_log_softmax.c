/* Methods of the log-softmax: docs/kernels_api.md. */
#include "api_util.h"
#include "st_log_softmax.h"

int32_t stk_log_softmax_table(const st_arg_t *args) {
    ST_REQUIRE(st_is_aligned(&args[1], sizeof(int32_t)), ARGUMENT);
    ST_REQUIRE(args[1].length >= ST_LOG_SOFTMAX_TABLE_ENTRIES * sizeof(int32_t), BUFFER_SMALL);
    return st_log_softmax_table((uint32_t)args[0].value, (int32_t *)args[1].data);
}

int32_t stk_log_softmax(const st_arg_t *args) {
    uint32_t n = args[0].length;
    ST_REQUIRE(n <= ST_LOG_SOFTMAX_MAX_LOGITS, ARGUMENT);
    ST_REQUIRE(st_holds(&args[1], ST_LOG_SOFTMAX_TABLE_ENTRIES, sizeof(int32_t)), ARGUMENT);
    ST_REQUIRE(st_is_aligned(&args[2], sizeof(int16_t)), ARGUMENT);
    ST_REQUIRE(args[2].length >= n * sizeof(int16_t), BUFFER_SMALL);
    if (n > 0) {
        st_log_softmax((const int8_t *)args[0].data, n, (const int32_t *)args[1].data, (int16_t *)args[2].data);
    }
    return 0;
}
