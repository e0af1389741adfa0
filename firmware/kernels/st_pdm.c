/* See st_pdm.h. The integrators and combs wrap modulo 2^32, as a CIC filter's may: its output, the
 * number of ones weighted, is 0 to 16^4 = 2^16. */
#include "st_pdm.h"
#include "st_fixed.h"
#include "st_tables.h"

#define KEPT (ST_PDM_TAPS - ST_PDM_DECIMATION) /* values that the next sample needs, too */
#define HALF (1u << 15) /* of the CIC filter's range */

void st_pdm_init(st_pdm_t *state) {
    memset(state, 0, sizeof(*state));
    state->magic = ST_PDM_MAGIC;
    state->end = KEPT;
}

/* The CIC filter's value for the 16 upper bits of a word: -2^15 to 2^15 - 1.
 *
 * Eight bits at a time: what the bits themselves add comes from a table, what the integrators add to
 * each other meanwhile from the numbers of ways, 8, 8 9 / 2 = 36 and 8 9 10 / 6 = 120. */
static inline int16_t cic(st_pdm_t *state, uint32_t bits) {
    uint32_t a = state->integrators[0], b = state->integrators[1];
    uint32_t c = state->integrators[2], d = state->integrators[3];
    for (int i = 0; i < ST_PDM_RATE / 8; i++) {
        uint32_t sums = st_pdm_byte_table[bits >> 24];
        d += 8 * c + 36 * b + 120 * a + (sums >> 17);
        c += 8 * b + 36 * a + (sums >> 10 & 0x7F);
        b += 8 * a + (sums >> 4 & 0x3F);
        a += sums & 0xF;
        bits <<= 8;
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
    const int16_t *taps = st_pdm_table, *late = values + ST_PDM_TAPS;
    int32_t sum = 0;
    for (int i = 0; i < ST_PDM_TAPS / 8; i++) {
        sum += taps[0] * (values[0] + late[-1]) + taps[1] * (values[1] + late[-2])
            + taps[2] * (values[2] + late[-3]) + taps[3] * (values[3] + late[-4]);
        taps += 4;
        values += 4;
        late -= 4;
    }
    return sum;
}

ST_HOT void st_pdm_apply(st_pdm_t *state, const uint32_t *words, uint32_t n, uint32_t *samples) {
    for (uint32_t i = 0; i < n; i++) {
        if (state->end == 2 * ST_PDM_TAPS) {
            memmove(state->values, state->values + 2 * ST_PDM_TAPS - KEPT, KEPT * sizeof(int16_t));
            state->end = KEPT;
        }
        int16_t *fresh = state->values + state->end;
        state->end += ST_PDM_DECIMATION;
        for (uint32_t k = 0; k < ST_PDM_SAMPLE_WORDS; k++) {
            uint32_t bits = words[ST_PDM_SAMPLE_WORDS * i + k];
            fresh[2 * k] = cic(state, bits);
            fresh[2 * k + 1] = cic(state, bits << ST_PDM_RATE);
        }
        samples[i] = (uint32_t)st_clamp(fir(state->values + state->end - ST_PDM_TAPS), -(1 << 30), (1 << 30) - 1) << 1;
    }
}
