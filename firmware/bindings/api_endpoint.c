/* Methods of the end-pointer: docs/kernels_api.md. */
#include "api_decoder.h"
#include "st_endpoint.h"

#define STATE_ALIGNMENT (8)

int32_t stk_endpoint_size(const st_arg_t *args) {
    (void)args;
    return (int32_t)sizeof(st_endpoint_t);
}

int32_t stk_endpoint_init(const st_arg_t *args) {
    st_decoder_model_t model;
    int32_t status = st_api_get_model(args + 1, &model);
    if (status < 0) {
        return status;
    }
    ST_REQUIRE(st_is_aligned(&args[0], STATE_ALIGNMENT), ARGUMENT);
    ST_REQUIRE(args[0].length >= sizeof(st_endpoint_t), BUFFER_SMALL);
    ST_REQUIRE(st_holds(&args[3], ST_ENDPOINT_CONFIG_INDEX_COUNT, sizeof(int32_t)), ARGUMENT);
    return st_endpoint_init((st_endpoint_t *)args[0].data, &model, (const int32_t *)args[3].data);
}

/* An initialised state, or NULL. */
static st_endpoint_t *get_endpoint(const st_arg_t *arg) {
    st_endpoint_t *endpoint = (st_endpoint_t *)arg->data;
    if (arg->length < sizeof(*endpoint) || !st_is_aligned(arg, STATE_ALIGNMENT) ||
        endpoint->magic != ST_ENDPOINT_MAGIC) {
        return NULL;
    }
    return endpoint;
}

int32_t stk_endpoint_step(const st_arg_t *args) {
    st_decoder_model_t model;
    st_graph_t graph;
    st_search_t *search;
    st_endpoint_t *endpoint = get_endpoint(&args[0]);
    ST_REQUIRE(endpoint != NULL, STATE);
    int32_t status = st_api_get_model(args + 2, &model);
    if (status < 0 || (status = st_api_get_search(&args[1], &args[4], &search, &graph)) < 0) {
        return status;
    }
    return st_endpoint_step(endpoint, search, &model, &graph);
}

int32_t stk_endpoint_status(const st_arg_t *args) {
    const st_endpoint_t *endpoint = get_endpoint(&args[0]);
    ST_REQUIRE(endpoint != NULL, STATE);
    ST_REQUIRE(st_holds(&args[1], ST_ENDPOINT_STATUS_INDEX_COUNT, sizeof(int32_t)), ARGUMENT);
    st_endpoint_status(endpoint, (int32_t *)args[1].data);
    return 0;
}
