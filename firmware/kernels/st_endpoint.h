/* Two end-pointers: a speculative one that fires early and may be withdrawn, and the final one.
 *
 * Once per encoder step, after the decoder's, st_endpoint_step looks at the features that were
 * encoded, the encoder's output and the search, and returns a verdict (ST_VERDICT_...):
 *
 *   waiting    -> speculate -> speculated    the speaker seems to have finished
 *   speculated -> retract   -> waiting       but goes on
 *   either     -> final     -> over          has finished; nothing more until the next init
 *
 * Rules (ST_ENDPOINT_RULE_...), each with what must have been heard before it may speak:
 *
 *   energy    loud steps; so many quiet ones in a row. A step is loud when its energy, the sum of its
 *             features, is nearer to the peak than to the floor and the floor is energy_range away. The
 *             floor follows the energy down at once and up by energy_drift a step; the peak likewise.
 *   trailing  a unit; so many blanks after the last one, how many depends on whether the best
 *             hypothesis is a whole command, one that nothing can follow, a part of one, or no word.
 *   net       a unit; the model's subgraph `endpointer` (docs/endpoints.md) gives a logit, which
 *             must reach a threshold so many steps in a row; or the trailing rule says so. While the logit
 *             is below 0 - speech goes on, though no unit was found - that one waits as for a part of a command.
 *
 * energy and trailing speculate lead_steps before they are final. A speculative decision is
 * withdrawn when the best hypothesis has another last unit; with energy when a step is loud; with the
 * net also when the logit falls below retract_threshold, unless the trailing rule is near its end.
 *
 * Reference: Kaldi, src/online2/online-endpoint.h (trailing); R. Maas et al., Combining Acoustic
 * Embeddings and Decoding Features for End-of-Utterance Detection in Real-Time Far-Field Speech
 * Recognition Systems, ICASSP 2018 (net). */
#ifndef ST_ENDPOINT_H
#define ST_ENDPOINT_H

#include "st_decoder.h"

#define ST_ENDPOINT_MAGIC (0x31455453u) /* "STE1" */
#define ST_ENDPOINT_FEATURE_BYTES (12)  /* search_features, padded to a multiple of 4 */

typedef struct {
    uint32_t magic;
    int32_t config[ST_ENDPOINT_CONFIG_INDEX_COUNT];
    uint32_t file_crc; /* which model it is */
    int32_t encoder;   /* subgraphs */
    int32_t joint;
    int32_t net; /* -1: the rule needs none */
    int32_t phase;
    int32_t above_speculative; /* steps in a row */
    int32_t above_final;
    int32_t units; /* of the hypothesis that was speculated on, and when its last one came */
    int32_t last;
    int32_t logit;
    int32_t energy;
    int32_t floor;
    int32_t peak;
    int32_t silent_steps;
    int32_t loud_steps;
    int32_t steps;
    int8_t features[ST_ENDPOINT_FEATURE_BYTES];
} st_endpoint_t;

/* Start an utterance; the net's recurrent state is the model's (st_model_reset).
 * Returns: 0; -ST_ERROR_ARGUMENT (a value of config, int32 [ST_ENDPOINT_CONFIG_INDEX_COUNT], is out of
 * range); -ST_ERROR_MODEL_SUBGRAPH (no encoder or joint, or the rule is net and the endpointer is
 * missing or its inputs do not fit the encoder in size, scale and zero point). */
st_status_t st_endpoint_init(st_endpoint_t *endpoint, const st_decoder_model_t *model, const int32_t *config);

/* One step, after st_decoder_step. Returns a verdict, what running the net returns, or
 * -ST_ERROR_STATE (another model than init's). */
st_status_t st_endpoint_step(st_endpoint_t *endpoint, const st_search_t *search, const st_decoder_model_t *model,
                             const st_graph_t *graph);

/* Fill status, int32 [ST_ENDPOINT_STATUS_INDEX_COUNT]: figures of the last step. */
void st_endpoint_status(const st_endpoint_t *endpoint, int32_t *status);

#endif
