/* Methods of the command graph and the decoder: docs/kernels_api.md. */
#include "api_decoder.h"

#include "st_context.h"
#include "st_lattice.h"
#include "st_lattice_write.h"
#include "st_plan.h"

#define STATE_ALIGNMENT (8)

int32_t stk_graph_check(const st_arg_t *args) {
    st_graph_t graph;
    ST_REQUIRE(st_holds(&args[1], ST_INFO_INDEX_COUNT, sizeof(int32_t)), ARGUMENT);
    return st_graph_check(args[0].data, args[0].length, &graph, (int32_t *)args[1].data);
}

int32_t st_api_get_model(const st_arg_t *args, st_decoder_model_t *model) {
    ST_REQUIRE(st_is_aligned(&args[0], STATE_ALIGNMENT) && st_is_aligned(&args[1], ST_MODEL_ALIGNMENT), ARGUMENT);
    /* An initialised state holds its own size in its second word. */
    ST_REQUIRE(args[0].length >= sizeof(st_plan_head_t) && st_read_u32(args[0].data + 4) <= args[0].length, STATE);
    model->state = args[0].data;
    model->file.data = args[1].data;
    model->file.bytes = args[1].length;
    return 0;
}

/* An initialised decoder, or NULL. */
static st_decoder_t *get_decoder(const st_arg_t *arg) {
    st_decoder_t *decoder = (st_decoder_t *)arg->data;
    if (arg->length < sizeof(*decoder) || !st_is_aligned(arg, STATE_ALIGNMENT) ||
        decoder->magic != ST_DECODER_MAGIC || decoder->bytes > arg->length) {
        return NULL;
    }
    return decoder;
}

int32_t st_api_get_search(const st_arg_t *state, const st_arg_t *file, st_search_t **search, st_graph_t *graph) {
    const st_decoder_t *decoder = get_decoder(state);
    ST_REQUIRE(decoder != NULL, STATE);
    int32_t status = st_graph_open(file->data, file->length, graph, NULL);
    if (status < 0) {
        return status;
    }
    *search = st_decoder_search(decoder);
    ST_REQUIRE((*search)->graph_crc == graph->crc, STATE);
    return 0;
}

int32_t stk_decoder_size(const st_arg_t *args) {
    st_decoder_model_t model;
    st_graph_t graph;
    int32_t status = st_api_get_model(args, &model);
    if (status < 0) {
        return status;
    }
    ST_REQUIRE(st_holds(&args[3], ST_CONFIG_INDEX_COUNT, sizeof(int32_t)), ARGUMENT);
    status = st_graph_open(args[2].data, args[2].length, &graph, NULL);
    return status < 0 ? status : st_decoder_size(&model, (const int32_t *)args[3].data);
}

int32_t stk_decoder_init(const st_arg_t *args) {
    st_decoder_model_t model;
    int32_t status = st_api_get_model(args + 1, &model);
    if (status < 0) {
        return status;
    }
    ST_REQUIRE(st_is_aligned(&args[0], STATE_ALIGNMENT), ARGUMENT);
    ST_REQUIRE(st_holds(&args[4], ST_CONFIG_INDEX_COUNT, sizeof(int32_t)), ARGUMENT);
    return st_decoder_init((st_decoder_t *)args[0].data, args[0].length, &model, args[3].data, args[3].length,
                           (const int32_t *)args[4].data);
}

int32_t stk_decoder_restart(const st_arg_t *args) {
    st_graph_t graph;
    st_search_t *search;
    int32_t status = st_api_get_search(&args[0], &args[1], &search, &graph);
    if (status < 0) {
        return status;
    }
    ST_REQUIRE(st_holds(&args[2], ST_CONFIG_INDEX_COUNT, sizeof(int32_t)), ARGUMENT);
    status = st_search_tune(search, (const int32_t *)args[2].data);
    if (status == 0) {
        st_search_start(search, &graph);
    }
    return status;
}

int32_t stk_decoder_context(const st_arg_t *args) {
    st_graph_t graph;
    st_search_t *search;
    int32_t status = st_api_get_search(&args[0], &args[1], &search, &graph);
    return status < 0 ? status : st_context_set(search, args[2].data, args[2].length);
}

int32_t stk_decoder_step(const st_arg_t *args) {
    st_decoder_model_t model;
    st_graph_t graph;
    st_search_t *search;
    int32_t status = st_api_get_model(args + 1, &model);
    if (status < 0 || (status = st_api_get_search(&args[0], &args[3], &search, &graph)) < 0) {
        return status;
    }
    return st_decoder_step((st_decoder_t *)args[0].data, &model, &graph);
}

int32_t stk_decoder_status(const st_arg_t *args) {
    st_graph_t graph;
    st_search_t *search;
    int32_t status = st_api_get_search(&args[0], &args[1], &search, &graph);
    if (status < 0) {
        return status;
    }
    ST_REQUIRE(st_holds(&args[2], ST_STATUS_INDEX_COUNT, sizeof(int32_t)), ARGUMENT);
    st_search_status(search, &graph, (int32_t *)args[2].data);
    return 0;
}

int32_t stk_decoder_partial(const st_arg_t *args) {
    st_graph_t graph;
    st_search_t *search;
    int32_t status = st_api_get_search(&args[0], &args[1], &search, &graph);
    if (status < 0) {
        return status;
    }
    ST_REQUIRE(st_is_aligned(&args[2], sizeof(uint16_t)), ARGUMENT);
    return st_lattice_partial(search, (uint16_t *)args[2].data, args[2].length / sizeof(uint16_t));
}

int32_t stk_decoder_lattice(const st_arg_t *args) {
    st_graph_t graph;
    st_search_t *search;
    int32_t status = st_api_get_search(&args[0], &args[1], &search, &graph);
    if (status < 0) {
        return status;
    }
    ST_REQUIRE(args[5].value >= 0, ARGUMENT);
    return st_lattice_write(search, &graph, args[2].data, args[2].length, (uint32_t)args[3].value,
                            (uint32_t)args[4].value, (uint32_t)args[5].value);
}
