/* See st_pdm.h. The integrators and combs wrap modulo 2^32, as a CIC filter's may: its output, the
 * number of ones weighted, is 0 to 16^4 = 2^16. */
#include "st_pdm.h"
#include "st_fixed.h"
#include "st_tables.h"

#define HALF (1u << 15) /* of the CIC filter's range */

void st_pdm_init(st_pdm_t *state) {
    memset(state, 0, sizeof(*state));
    state->magic = ST_PDM_MAGIC;
}

/* The CIC filter's value for the 16 upper bits of a word: -2^15 to 2^15 - 1. */
static inline int16_t cic(st_pdm_t *state, uint32_t bits) {
    uint32_t a = state->integrators[0], b = state->integrators[1];
    uint32_t c = state->integrators[2], d = state->integrators[3];
    for (int i = 0; i < ST_PDM_RATE; i++) {
        a += bits >> 31;
        b += a;
        c += b;
        d += c;
        bits <<= 1;
    }
    state->integrators[0] = a;
    state->integrators[1] = b;
    state->integrators[2] = c;
    state->integrators[3] = d;
    for (int i = 0; i < ST_PDM_ORDER; i++) {
        uint32_t before = state->combs[i];
        state->combs[i] = d;
        d -= before;
    }
    return (int16_t)ST_MIN((int32_t)(d - HALF), INT16_MAX);
}

static inline int32_t fir(const int16_t *values) {
    int32_t sum = 0;
    for (int i = 0; i < ST_PDM_TAPS / 2; i++) {
        sum += st_pdm_table[i] * (values[i] + values[ST_PDM_TAPS - 1 - i]);
    }
    return sum;
}

ST_HOT void st_pdm_apply(st_pdm_t *state, const uint32_t *words, uint32_t n, uint32_t *samples) {
    int16_t *fresh = state->values + ST_PDM_TAPS - ST_PDM_DECIMATION;
    for (uint32_t i = 0; i < n; i++) {
        memmove(state->values, state->values + ST_PDM_DECIMATION,
            (ST_PDM_TAPS - ST_PDM_DECIMATION) * sizeof(int16_t));
        for (uint32_t k = 0; k < ST_PDM_SAMPLE_WORDS; k++) {
            uint32_t bits = words[ST_PDM_SAMPLE_WORDS * i + k];
            fresh[2 * k] = cic(state, bits);
            fresh[2 * k + 1] = cic(state, bits << ST_PDM_RATE);
        }
        samples[i] = (uint32_t)st_clamp(fir(state->values), -(1 << 30), (1 << 30) - 1) << 1;
    }
}
