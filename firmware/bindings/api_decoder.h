/* What the methods of the decoder and of the end-pointer check alike. */
#ifndef API_DECODER_H
#define API_DECODER_H

#include "api_util.h"
#include "st_decoder.h"

/* args: the model's state, the model. */
int32_t st_api_get_model(const st_arg_t *args, st_decoder_model_t *model);

/* The search of an initialised decoder, and the graph it walks. */
int32_t st_api_get_search(const st_arg_t *state, const st_arg_t *file, st_search_t **search, st_graph_t *graph);

#endif
