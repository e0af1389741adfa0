/* Methods of the link's frames: docs/kernels_api.md. */
#include "api_util.h"
#include "st_frame.h"

int32_t stk_frame_take(const st_arg_t *args) {
    ST_REQUIRE(st_holds(&args[1], ST_FRAME_INDEX_COUNT, sizeof(uint32_t)), ARGUMENT);
    return st_frame_take(args[0].data, args[0].length, (uint32_t *)args[1].data);
}

int32_t stk_frame_seal(const st_arg_t *args) {
    ST_REQUIRE(st_holds(&args[1], ST_FRAME_INDEX_COUNT, sizeof(uint32_t)), ARGUMENT);
    ST_REQUIRE(args[3].value > 0, ARGUMENT);
    return st_frame_seal(args[0].data, args[0].length, (uint32_t *)args[1].data, args[2].data, args[2].length,
                         (uint32_t)args[3].value);
}
