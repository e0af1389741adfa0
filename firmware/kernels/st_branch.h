/* The branches of a model: two encoders that share their inputs, their states and their output, and the
 * arbitrator that says which of them a step deserves.
 *
 * Subgraphs "encoder" (the heavy one), "encoder_light" and "arbitrator"; docs/model_file.md. Whichever encoder
 * is planned second gets no memory for its inputs and its output: it takes the other's. So each reads the states
 * that the branch before it left, whichever that was, and the output is where it always is.
 *
 * Reference: J. Macoskey et al., Amortized Neural Networks for Low-Latency Speech Recognition,
 * arXiv:2108.01553. */
#ifndef ST_BRANCH_H
#define ST_BRANCH_H

#include "st_model.h"
#include "st_plan.h"

/* Find the branches and compare their tensors, before anything is planned.
 *
 * Sets plan->branches and, with branches, plan->heavy and plan->light, indices of subgraphs.
 * Returns: 0; -ST_ERROR_MODEL_SUBGRAPH, one of the three is missing, info[detail]: 0 encoder, 1 encoder_light,
 *   2 arbitrator; -ST_ERROR_MODEL_BRANCHES, info[subgraph] is the light encoder or the arbitrator and info[detail]
 *   the tensor there, or how many inputs or outputs it has. Both encoders have as many inputs and outputs as each
 *   other, and these have equal types, shapes, scales and zero points, outputs 1 and on included. The
 *   arbitrator has one input that is not recurrent, like the encoders' first, and one int8 logit of scale
 *   2^-ST_ARBITRATOR_LOGIT_FRACTION_BITS and zero point 0. What st_plan_load refuses. */
st_status_t st_branch_find(st_plan_t *plan, st_vector_t subgraphs);

/* The least logit of the arbitrator, Q.4 nats, that calls for the heavy branch: the logit of 1 - effort,
 * rounded, half up. 128 (no int8 reaches it) for 0 per cent, -128 for 100. effort: 0 to 100. */
int32_t st_branch_threshold(int32_t effort);

/* One step of the encoder on what is in input 0 of subgraph "encoder".
 *
 * With branches the arbitrator runs too, and moves on, whatever the effort is.
 * Returns: ST_BRANCH_HEAVY or ST_BRANCH_LIGHT, which encoder ran (a model without branches has a heavy one);
 *   -ST_ERROR_ARGUMENT (effort), or what st_model_subgraph and st_model_invoke return. */
st_status_t st_branch_step(uint8_t *state, st_model_file_t file, int32_t effort);

#endif
