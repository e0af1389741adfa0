/* Methods model_* and encoder_step: argument checks, then st_model_* and st_branch_step. */
#include "api_util.h"
#include "st_branch.h"
#include "st_model.h"
#include "st_plan.h"

static st_model_file_t file_of(const st_arg_t *arg) {
    st_model_file_t file = {arg->data, arg->length};
    return file;
}

static int is_model(const st_arg_t *arg) {
    return st_is_aligned(arg, ST_MODEL_ALIGNMENT);
}

/* A state that init has filled, as far as its size can tell. */
static int is_state(const st_arg_t *arg) {
    return st_is_aligned(arg, 8) && arg->length >= sizeof(st_plan_head_t) &&
           st_read_u32(arg->data + 4) <= arg->length;
}

int32_t stk_model_size(const st_arg_t *args) {
    ST_REQUIRE(is_model(&args[0]) && st_holds(&args[1], ST_INFO_INDEX_COUNT, 4), ARGUMENT);
    return st_model_size(file_of(&args[0]), (int32_t *)(void *)args[1].data);
}

int32_t stk_model_init(const st_arg_t *args) {
    ST_REQUIRE(st_is_aligned(&args[0], 8) && is_model(&args[1]), ARGUMENT);
    ST_REQUIRE(st_holds(&args[2], ST_INFO_INDEX_COUNT, 4), ARGUMENT);
    return st_model_init(args[0].data, args[0].length, file_of(&args[1]), (int32_t *)(void *)args[2].data);
}

int32_t stk_model_reset(const st_arg_t *args) {
    ST_REQUIRE(is_model(&args[1]), ARGUMENT);
    ST_REQUIRE(is_state(&args[0]), STATE);
    return st_model_reset(args[0].data, file_of(&args[1]));
}

int32_t stk_model_subgraph(const st_arg_t *args) {
    ST_REQUIRE(is_model(&args[1]), ARGUMENT);
    ST_REQUIRE(is_state(&args[0]), STATE);
    return st_model_subgraph(args[0].data, file_of(&args[1]), (const char *)args[2].data, args[2].length);
}

int32_t stk_model_tensor(const st_arg_t *args) {
    ST_REQUIRE(is_model(&args[1]), ARGUMENT);
    ST_REQUIRE(is_state(&args[0]), STATE);
    return st_model_tensor(args[0].data, file_of(&args[1]), args[2].value, args[3].value, args[4].value);
}

int32_t stk_model_tensor_size(const st_arg_t *args) {
    ST_REQUIRE(is_model(&args[1]), ARGUMENT);
    ST_REQUIRE(is_state(&args[0]), STATE);
    return st_model_tensor_bytes(args[0].data, file_of(&args[1]), args[2].value, args[3].value, args[4].value);
}

int32_t stk_model_invoke(const st_arg_t *args) {
    ST_REQUIRE(is_model(&args[1]), ARGUMENT);
    ST_REQUIRE(is_state(&args[0]), STATE);
    return st_model_invoke(args[0].data, file_of(&args[1]), args[2].value);
}

int32_t stk_encoder_step(const st_arg_t *args) {
    ST_REQUIRE(is_model(&args[1]), ARGUMENT);
    ST_REQUIRE(is_state(&args[0]), STATE);
    return st_branch_step(args[0].data, file_of(&args[1]), args[2].value);
}
