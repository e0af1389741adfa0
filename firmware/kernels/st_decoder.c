#include "st_decoder.h"

#include "st_log_softmax.h"

#define INPUT (0)
#define OUTPUT (1)

/* One tensor of a subgraph: where it is in the model's state, and how it is quantised. */
typedef struct {
    int32_t bytes;
    uint32_t scale;
    int32_t zero_point;
} tensor_t;

static int get_tensor(const st_decoder_model_t *model, int subgraph, int output, int k, tensor_t *tensor) {
    tensor->bytes = st_model_tensor_bytes(model->state, model->file, subgraph, output, k);
    return tensor->bytes > 0 && tensor->bytes <= UINT16_MAX &&
           st_model_tensor_scale(model->state, model->file, subgraph, output, k, &tensor->scale,
                                 &tensor->zero_point) >= 0;
}

/* Does output 0 of one subgraph fit input k of another as it is? */
static int fits(const st_decoder_model_t *model, int from, int to, int k, uint16_t *bytes) {
    tensor_t source;
    tensor_t target;
    if (!get_tensor(model, from, OUTPUT, 0, &source) || !get_tensor(model, to, INPUT, k, &target)) {
        return 0;
    }
    *bytes = (uint16_t)source.bytes;
    return source.bytes == target.bytes && source.scale == target.scale && source.zero_point == target.zero_point;
}

static st_status_t find_subgraphs(st_decoder_t *decoder, const st_decoder_model_t *model) {
    st_status_t encoder = st_model_subgraph(model->state, model->file, "encoder", 7);
    st_status_t predictor = st_model_subgraph(model->state, model->file, "predictor", 9);
    st_status_t joint = st_model_subgraph(model->state, model->file, "joint", 5);
    st_status_t worst = ST_MIN(encoder, ST_MIN(predictor, joint));
    decoder->encoder = (int16_t)encoder;
    decoder->predictor = (int16_t)predictor;
    decoder->joint = (int16_t)joint;
    return ST_MIN(worst, 0);
}

/* Labels that the predictor takes; of a context of none it is given a blank. */
static int labels(const st_decoder_t *decoder) {
    return ST_MAX(decoder->context_size, 1);
}

/* Read the metadata and hold the subgraphs against it and against each other. */
static st_status_t inspect(st_decoder_t *decoder, const st_decoder_model_t *model) {
    uint32_t bytes = 0;
    tensor_t logits;
    memset(decoder, 0, sizeof(*decoder));
    const uint8_t *metadata = st_model_metadata(model->file, &bytes);
    if (metadata == NULL || bytes < ST_METADATA_BYTES) {
        return -ST_ERROR_MODEL_METADATA;
    }
    decoder->context_size = metadata[ST_METADATA_CONTEXT_SIZE_OFFSET];
    decoder->unit_count = metadata[ST_METADATA_UNIT_COUNT_OFFSET];
    if (decoder->context_size > ST_MODEL_MAX_CONTEXT || decoder->unit_count < 2 ||
        decoder->unit_count > ST_MODEL_MAX_UNITS) {
        return -ST_ERROR_MODEL_METADATA;
    }
    st_status_t status = find_subgraphs(decoder, model);
    if (status < 0) {
        return status;
    }
    int context_bytes = st_model_tensor_bytes(model->state, model->file, decoder->predictor, INPUT, 0);
    if (!fits(model, decoder->encoder, decoder->joint, 0, &decoder->encoder_bytes) ||
        !fits(model, decoder->predictor, decoder->joint, 1, &decoder->predictor_bytes) ||
        !get_tensor(model, decoder->joint, OUTPUT, 0, &logits) || logits.bytes != decoder->unit_count ||
        context_bytes != 4 * labels(decoder)) {
        return -ST_ERROR_MODEL_SUBGRAPH;
    }
    return 0;
}

/* Place the tables; returns the bytes of all. */
static st_status_t plan(st_decoder_t *decoder, const int32_t *config) {
    st_status_t search = st_search_size(config, decoder->context_size);
    if (search < 0) {
        return search;
    }
    decoder->rows = decoder->context_size == 0 ? 1 : decoder->context_size == 1 ? decoder->unit_count : ST_DECODER_ROWS;
    decoder->encoded = ST_ALIGN8(sizeof(*decoder));
    decoder->predicted = decoder->encoded + ST_ALIGN8(decoder->encoder_bytes);
    decoder->tags = decoder->predicted + ST_ALIGN8((uint32_t)decoder->rows * decoder->predictor_bytes);
    decoder->log_probs = decoder->tags + ST_ALIGN8(decoder->rows * sizeof(uint16_t));
    decoder->table = decoder->log_probs + ST_ALIGN8(decoder->unit_count * sizeof(int16_t));
    decoder->search = decoder->table + ST_LOG_SOFTMAX_TABLE_ENTRIES * (uint32_t)sizeof(int32_t);
    decoder->bytes = decoder->search + (uint32_t)search;
    return (st_status_t)decoder->bytes;
}

st_status_t st_decoder_size(const st_decoder_model_t *model, const int32_t *config) {
    st_decoder_t decoder;
    st_status_t status = inspect(&decoder, model);
    return status < 0 ? status : plan(&decoder, config);
}

static void *at(const st_decoder_t *decoder, uint32_t offset) {
    return (uint8_t *)decoder + offset;
}

static st_status_t prepare_softmax(const st_decoder_t *decoder, const st_decoder_model_t *model) {
    tensor_t logits;
    if (!get_tensor(model, decoder->joint, OUTPUT, 0, &logits) ||
        st_log_softmax_table(logits.scale, at(decoder, decoder->table)) < 0) {
        return -ST_ERROR_MODEL_SUBGRAPH;
    }
    return 0;
}

st_status_t st_decoder_init(st_decoder_t *decoder, uint32_t bytes, const st_decoder_model_t *model,
                            const uint8_t *graph, uint32_t graph_bytes, const int32_t *config) {
    st_decoder_t planned;
    st_graph_t checked;
    uint32_t metadata_bytes;
    st_status_t status = inspect(&planned, model);
    if (status < 0 || (status = plan(&planned, config)) < 0 ||
        (status = st_graph_check(graph, graph_bytes, &checked, NULL)) < 0) {
        return status;
    }
    const uint8_t *metadata = st_model_metadata(model->file, &metadata_bytes);
    if (checked.units_crc != st_read_u32(metadata + ST_METADATA_UNITS_CRC_OFFSET) ||
        st_graph_max_unit(&checked) >= planned.unit_count) {
        return -ST_ERROR_GRAPH_UNITS;
    }
    if (bytes < planned.bytes) {
        return -ST_ERROR_BUFFER_SMALL;
    }
    *decoder = planned;
    status = prepare_softmax(decoder, model);
    if (status < 0) {
        return status;
    }
    memset(at(decoder, decoder->tags), 0xff, decoder->rows * sizeof(uint16_t));
    status = st_search_init(st_decoder_search(decoder), config, decoder->context_size, decoder->unit_count, &checked);
    decoder->magic = status < 0 ? 0 : ST_DECODER_MAGIC;
    return status;
}

/* What the scorer needs during a step. */
typedef struct {
    const st_decoder_t *decoder;
    const st_decoder_model_t *model;
    st_status_t status;
} scorer_t;

static void *model_tensor(const st_decoder_model_t *model, int subgraph, int output, int k) {
    return model->state + st_model_tensor(model->state, model->file, subgraph, output, k);
}

/* The predictor's output after a context, computed unless a row holds it. */
ST_HOT static const uint8_t *predict(scorer_t *scorer, uint32_t context) {
    const st_decoder_t *decoder = scorer->decoder;
    const st_decoder_model_t *model = scorer->model;
    uint32_t row = decoder->context_size <= 1 ? context : (context ^ (context >> 5)) & (ST_DECODER_ROWS - 1);
    uint8_t *predicted = (uint8_t *)at(decoder, decoder->predicted) + row * decoder->predictor_bytes;
    uint16_t *tags = at(decoder, decoder->tags);
    if (tags[row] == context) {
        return predicted;
    }
    int32_t *units = model_tensor(model, decoder->predictor, INPUT, 0);
    for (int i = 0; i < labels(decoder); i++) {
        units[i] = (int32_t)(context >> (8 * (labels(decoder) - 1 - i))) & 0xff;
    }
    scorer->status = st_model_invoke(model->state, model->file, decoder->predictor);
    if (scorer->status < 0) {
        return NULL;
    }
    memcpy(predicted, model_tensor(model, decoder->predictor, OUTPUT, 0), decoder->predictor_bytes);
    tags[row] = (uint16_t)context;
    return predicted;
}

ST_HOT static const int16_t *score(void *opaque, uint32_t context) {
    scorer_t *scorer = opaque;
    const st_decoder_t *decoder = scorer->decoder;
    const st_decoder_model_t *model = scorer->model;
    const uint8_t *predicted = predict(scorer, context);
    if (predicted == NULL) {
        return NULL;
    }
    /* Both inputs each time: running a subgraph may overwrite its inputs and the other's. */
    memcpy(model_tensor(model, decoder->joint, INPUT, 0), at(decoder, decoder->encoded), decoder->encoder_bytes);
    memcpy(model_tensor(model, decoder->joint, INPUT, 1), predicted, decoder->predictor_bytes);
    scorer->status = st_model_invoke(model->state, model->file, decoder->joint);
    if (scorer->status < 0) {
        return NULL;
    }
    int16_t *log_probs = at(decoder, decoder->log_probs);
    const int8_t *logits = model_tensor(model, decoder->joint, OUTPUT, 0);
    st_log_softmax(logits, decoder->unit_count, at(decoder, decoder->table), log_probs);
    return log_probs;
}

ST_HOT st_status_t st_decoder_step(st_decoder_t *decoder, const st_decoder_model_t *model, const st_graph_t *graph) {
    scorer_t scorer = {decoder, model, 0};
    if (st_model_subgraph(model->state, model->file, "encoder", 7) != decoder->encoder) {
        return -ST_ERROR_STATE;
    }
    const void *encoded = model_tensor(model, decoder->encoder, OUTPUT, 0);
    memcpy(at(decoder, decoder->encoded), encoded, decoder->encoder_bytes);
    st_status_t status = st_search_step(st_decoder_search(decoder), graph, score, &scorer);
    return scorer.status < 0 ? scorer.status : status;
}
