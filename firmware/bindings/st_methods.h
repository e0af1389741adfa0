/* The one method table of the module `stapes_kernels`: name and argument signature.
 *
 * Signature letters: r = readable buffer, w = writable buffer, i = integer.
 * Each method is `int32_t stk_NAME(const st_arg_t *args)` in api_*.c, returns a value >= 0 or
 * -ST_ERROR_..., and checks every length and alignment once. The MicroPython glue, the host's
 * cffi binding and the reference twin all follow this list. Meaning of every method:
 * docs/kernels_api.md.
 *
 * Usage: #define ST_METHOD(name, signature) ... ; #include "st_methods.h"; #undef ST_METHOD */

ST_METHOD(frontend_size, "")
ST_METHOD(frontend_init, "wr")
ST_METHOD(frontend_steps, "ri")
ST_METHOD(frontend_apply, "wrw")
ST_METHOD(frontend_logmel, "rw")

ST_METHOD(audio_size, "")
ST_METHOD(audio_init, "wr")
ST_METHOD(audio_apply, "wrw")
ST_METHOD(audio_levels, "ww")
ST_METHOD(pdm_size, "")
ST_METHOD(pdm_init, "w")
ST_METHOD(pdm_apply, "wrw")
ST_METHOD(ring_look, "wiii")
ST_METHOD(ring_hear, "wrwwii")

ST_METHOD(log_softmax_table, "iw")
ST_METHOD(log_softmax, "rrw")

ST_METHOD(model_size, "rw")
ST_METHOD(model_init, "wrw")
ST_METHOD(model_reset, "wr")
ST_METHOD(model_subgraph, "rrr")
ST_METHOD(model_tensor, "rriii")
ST_METHOD(model_tensor_size, "rriii")
ST_METHOD(model_invoke, "wri")
ST_METHOD(encoder_step, "wri")

ST_METHOD(graph_check, "rw")

ST_METHOD(decoder_size, "rrrr")
ST_METHOD(decoder_init, "wrrrr")
ST_METHOD(decoder_restart, "wrr")
ST_METHOD(decoder_context, "wrr")
ST_METHOD(decoder_step, "wwrr")
ST_METHOD(decoder_status, "rrw")
ST_METHOD(decoder_partial, "rrw")
ST_METHOD(decoder_lattice, "wrwiii")

ST_METHOD(endpoint_size, "")
ST_METHOD(endpoint_init, "wrrr")
ST_METHOD(endpoint_step, "wrwrr")
ST_METHOD(endpoint_status, "rw")

ST_METHOD(recognizer_step, "wrwrwrwwwi")

ST_METHOD(frame_take, "ww")
ST_METHOD(frame_seal, "wwri")
