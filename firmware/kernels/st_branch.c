#include "st_branch.h"

#include "st_log2.h"

#define HEAVY (0)
#define LIGHT (1)
#define ARBITRATOR (2)
#define PARTS (3)
#define FULL_EFFORT (100)
#define LN2 (5678) /* Q.13 */
#define THRESHOLD_SHIFT (13 + ST_LOG2_FRACTION_BITS - ST_ARBITRATOR_LOGIT_FRACTION_BITS)
/* The float32 2^-ST_ARBITRATOR_LOGIT_FRACTION_BITS. */
#define LOGIT_SCALE ((127u - ST_ARBITRATOR_LOGIT_FRACTION_BITS) << 23)

/* --- checks while planning ----------------------------------------------------------------- */

/* The name of a part; a function, not a table of addresses, which a native module could not hold. */
static const char *name_of(int part, uint32_t *length) {
    *length = part == HEAVY ? 7 : (part == LIGHT ? 13 : 10);
    return part == HEAVY ? "encoder" : (part == LIGHT ? "encoder_light" : "arbitrator");
}

/* Index of the first subgraph of a name, -1: there is none. A bad table has no name: who plans it will say so. */
static int32_t find(st_flatbuffer_t fb, st_vector_t subgraphs, int part) {
    uint32_t length;
    const char *wanted = name_of(part, &length);
    for (uint32_t i = 0; i < subgraphs.count; i++) {
        st_plan_view_t view;
        st_plan_open(&fb, st_fb_table_at(&fb, subgraphs, i), &view);
        if (view.name.count == length && memcmp(fb.data + view.name.at, wanted, length) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

static st_status_t open_part(st_plan_t *plan, st_vector_t subgraphs, int32_t index, st_plan_view_t *view) {
    plan->info[ST_INFO_INDEX_SUBGRAPH] = index;
    st_plan_open(&plan->fb, st_fb_table_at(&plan->fb, subgraphs, (uint32_t)index), view);
    if (plan->fb.damaged) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_TRUNCATED, (int32_t)plan->fb.damaged_at);
    }
    uint32_t most = ST_MAX(view->inputs.count, view->outputs.count);
    if (view->inputs.count == 0 || view->outputs.count == 0 || most > ST_PLAN_MAX_SLOTS) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_BRANCHES, (int32_t)most);
    }
    return 0;
}

/* The tensor at a place of the inputs or outputs of a part. */
static st_status_t load(st_plan_t *plan, const st_plan_view_t *view, st_vector_t list, uint32_t k, st_tensor_t *tensor) {
    plan->source.tensors = view->tensors;
    return st_plan_load(plan, st_fb_i32_at(&plan->fb, list, k), tensor);
}

/* Tensor k of one part's list must be like tensor k of another's. */
static st_status_t compare(st_plan_t *plan, const st_plan_view_t *a, st_vector_t list_a, const st_plan_view_t *b,
                           st_vector_t list_b, uint32_t k) {
    st_tensor_t first;
    st_tensor_t second;
    st_status_t status = load(plan, a, list_a, k, &first);
    if (status == 0) {
        status = load(plan, b, list_b, k, &second);
    }
    if (status == 0 && (first.type != second.type || !st_tensor_same_shape(&first, &second) ||
                        !st_tensor_same_scale(&first, &second))) {
        status = st_plan_refuse(plan, ST_ERROR_MODEL_BRANCHES, second.index);
    }
    return status;
}

static st_status_t check_light(st_plan_t *plan, const st_plan_view_t *heavy, const st_plan_view_t *light) {
    if (light->inputs.count != heavy->inputs.count) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_BRANCHES, (int32_t)light->inputs.count);
    }
    if (light->outputs.count != heavy->outputs.count) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_BRANCHES, (int32_t)light->outputs.count);
    }
    st_status_t status = 0;
    for (uint32_t k = 0; status == 0 && k < heavy->inputs.count; k++) {
        status = compare(plan, heavy, heavy->inputs, light, light->inputs, k);
    }
    for (uint32_t k = 0; status == 0 && k < heavy->outputs.count; k++) {
        status = compare(plan, heavy, heavy->outputs, light, light->outputs, k);
    }
    return status;
}

static st_status_t check_arbitrator(st_plan_t *plan, const st_plan_view_t *heavy, const st_plan_view_t *arbitrator) {
    st_tensor_t logit;
    if (arbitrator->inputs.count != arbitrator->outputs.count) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_BRANCHES, (int32_t)arbitrator->outputs.count);
    }
    st_status_t status = compare(plan, heavy, heavy->inputs, arbitrator, arbitrator->inputs, 0);
    if (status == 0) {
        status = load(plan, arbitrator, arbitrator->outputs, 0, &logit);
    }
    if (status == 0 && (!st_tensor_is_activation(&logit) || logit.elements != 1 || logit.scale != LOGIT_SCALE ||
                        logit.zero_point != 0)) {
        status = st_plan_refuse(plan, ST_ERROR_MODEL_BRANCHES, logit.index);
    }
    return status;
}

st_status_t st_branch_find(st_plan_t *plan, st_vector_t subgraphs) {
    st_plan_view_t heavy;
    st_plan_view_t other;
    int32_t index[PARTS];
    for (int part = 0; part < PARTS; part++) {
        index[part] = find(plan->fb, subgraphs, part);
    }
    if (index[LIGHT] < 0 && index[ARBITRATOR] < 0) {
        return 0;
    }
    for (int part = 0; part < PARTS; part++) {
        if (index[part] < 0) {
            return st_plan_refuse(plan, ST_ERROR_MODEL_SUBGRAPH, part);
        }
    }
    st_status_t status = open_part(plan, subgraphs, index[HEAVY], &heavy);
    if (status == 0 && (status = open_part(plan, subgraphs, index[LIGHT], &other)) == 0) {
        status = check_light(plan, &heavy, &other);
    }
    if (status == 0 && (status = open_part(plan, subgraphs, index[ARBITRATOR], &other)) == 0) {
        status = check_arbitrator(plan, &heavy, &other);
    }
    if (status == 0) {
        plan->info[ST_INFO_INDEX_SUBGRAPH] = -1;
        plan->branches = 1;
        plan->heavy = index[HEAVY];
        plan->light = index[LIGHT];
    }
    return status;
}

/* --- a step ------------------------------------------------------------------------------------ */

int32_t st_branch_threshold(int32_t effort) {
    if (effort <= 0 || effort >= FULL_EFFORT) {
        return effort <= 0 ? INT8_MAX + 1 : INT8_MIN;
    }
    int32_t odds = st_log2((uint32_t)(FULL_EFFORT - effort)) - st_log2((uint32_t)effort);
    return (odds * LN2 + (1 << (THRESHOLD_SHIFT - 1))) >> THRESHOLD_SHIFT;
}

static st_status_t subgraph(const uint8_t *state, st_model_file_t file, int part) {
    uint32_t length;
    const char *name = name_of(part, &length);
    return st_model_subgraph(state, file, name, length);
}

/* Run the arbitrator on the encoder's features. Returns the logit + 128, or an error. */
static st_status_t arbitrate(uint8_t *state, st_model_file_t file, int heavy) {
    st_status_t arbitrator = subgraph(state, file, ARBITRATOR);
    if (arbitrator < 0) {
        return arbitrator;
    }
    memcpy(state + st_model_tensor(state, file, arbitrator, 0, 0), state + st_model_tensor(state, file, heavy, 0, 0),
           (size_t)st_model_tensor_bytes(state, file, heavy, 0, 0));
    st_status_t status = st_model_invoke(state, file, arbitrator);
    return status < 0 ? status : (int8_t)state[st_model_tensor(state, file, arbitrator, 1, 0)] - INT8_MIN;
}

ST_HOT st_status_t st_branch_step(uint8_t *state, st_model_file_t file, int32_t effort) {
    if (effort < 0 || effort > FULL_EFFORT) {
        return -ST_ERROR_ARGUMENT;
    }
    st_status_t heavy = subgraph(state, file, HEAVY);
    if (heavy < 0) {
        return heavy;
    }
    st_status_t light = subgraph(state, file, LIGHT);
    if (light < 0) {
        return st_model_invoke(state, file, heavy);
    }
    st_status_t logit = arbitrate(state, file, heavy);
    if (logit < 0) {
        return logit;
    }
    int branch = logit + INT8_MIN >= st_branch_threshold(effort) ? ST_BRANCH_HEAVY : ST_BRANCH_LIGHT;
    st_status_t status = st_model_invoke(state, file, branch == ST_BRANCH_HEAVY ? heavy : light);
    return status < 0 ? status : branch;
}
