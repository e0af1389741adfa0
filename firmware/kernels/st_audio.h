/* From a microphone's words to samples: shift, high-pass, gain, saturation, and how loud it was.
 *
 * A word is one slot of an I2S frame, the reading of an ADC, or what st_pdm.c made of a PDM
 * microphone's bits; [audio_config_index] of the spec says where the sample lies in it. The
 * high-pass has one pole: offset += (x - offset) / 2^pole, y = x - offset, with the first word's
 * x as the first offset, so that a constant offset is gone from the first sample on. */
#ifndef ST_AUDIO_H
#define ST_AUDIO_H

#include "st_common.h"

#define ST_AUDIO_MAGIC (0x31445541u) /* "AUD1" */

/* State between calls; the layout is private. */
typedef struct {
    uint32_t magic;
    uint8_t shift;
    uint8_t gain;
    uint8_t pole;
    uint8_t primed;     /* a word has been seen: offset and last are valid */
    uint32_t mask;      /* of the bits of a shifted word that are sound */
    uint32_t flip;      /* makes offset binary two's complement */
    int32_t offset;     /* Q.30 of full scale */
    uint32_t last;      /* word, as sound */
    int32_t levels[ST_AUDIO_LEVEL_INDEX_COUNT];
} st_audio_t;

/* A run over words. The layout is known to st_audio_m0.c. */
typedef struct {
    uint32_t turn;      /* shift, 0 to 31, and flip, the highest bit */
    uint32_t mask;      /* as in st_audio_t; the lowest 8 bits are 0 */
    int32_t peak;
    uint32_t last;
    uint32_t magnitude; /* sum */
    int32_t offset;
    int32_t pole;
    int32_t down;       /* 14 less the gain */
    int32_t zeros;      /* words that are 0 */
    int32_t equals;     /* words that equal the one before */
    int32_t clipped;
} st_audio_run_t;

/* Make samples of the words up to end, and count. st_audio_run takes an even number of words, two at least, and the
 * three counts of a new run, which are 0. */
void st_audio_run(st_audio_run_t *run, const uint32_t *words, const uint32_t *end, int16_t *samples);
void st_audio_run_naive(st_audio_run_t *run, const uint32_t *words, const uint32_t *end, int16_t *samples);

/* Start. config: int32 [5], see [audio_config_index]. Returns 0 or -ST_ERROR_ARGUMENT. */
st_status_t st_audio_init(st_audio_t *state, const int32_t *config);

/* Make n samples, int16 [n], of words, uint32 [n]. Any cutting into calls gives the same samples. */
void st_audio_apply(st_audio_t *state, const uint32_t *words, uint32_t n, int16_t *samples);

/* Report the levels, int32 [7], and begin to measure anew. */
void st_audio_levels(st_audio_t *state, int32_t *levels);

#endif
