#include "st_frontend.h"

#include "st_fixed.h"
#include "st_log2.h"
#include "st_tables.h"

#define LENGTH ST_FRONTEND_FRAME_LENGTH
#define BANDS ST_FRONTEND_MEL_BANDS
#define FIRST_BIN (2)   /* st_mel_first_bin_table[0] */
#define END_BIN (244)   /* st_mel_first_bin_table[BANDS + 1] */
#define MEAN_EXTRA_BITS (6) /* the running mean has 6 more fraction bits than log-mel */
#define FEATURE_SHIFT (ST_FRONTEND_LOG_FRACTION_BITS + MEAN_EXTRA_BITS - ST_FRONTEND_FEATURE_FRACTION_BITS)

/* floor(dividend / divisor), divisor > 0, bit by bit: the Cortex-M0+ cannot divide, and a native
 * module should not need the compiler's library for two divisions a frame. */
static uint32_t divide(uint32_t dividend, uint32_t divisor) {
    uint32_t quotient = 0, remainder = 0;
    for (int bit = 31; bit >= 0; bit--) {
        remainder = (remainder << 1) | ((dividend >> bit) & 1u);
        quotient <<= 1;
        if (remainder >= divisor) {
            remainder -= divisor;
            quotient |= 1u;
        }
    }
    return quotient;
}

/* Mean of a frame: 5243 / 2^21 is 1 / 400 within 0.003 %, and pre-emphasis takes the rest away. */
static int32_t frame_mean(const int16_t *samples) {
    int32_t sum = 0;
    for (int i = 0; i < LENGTH; i++) {
        sum += samples[i];
    }
    return ((sum >> 8) * 5243 + (1 << 12)) >> 13;
}

/* Pre-emphasis by 31/32, Q5: 32 x[i] - 31 x[i - 1]; |result| < 2^23. */
static inline int32_t emphasise(int32_t now, int32_t before) {
    return (now - before) * 32 + before;
}

/* Bits that the largest magnitude after pre-emphasis needs; 0 for a frame of nothing. */
static int emphasised_bits(const int16_t *samples, int32_t mean) {
    int32_t before = samples[0] - mean;
    uint32_t all = 0;
    for (int i = 0; i < LENGTH; i++) {
        int32_t now = samples[i] - mean;
        int32_t value = emphasise(now, before);
        all |= (uint32_t)(value ^ (value >> 31));
        before = now;
    }
    return st_msb32(all) + 1;
}

/* Scale the emphasised frame to 17 bits with sign, window it and lay it out for the FFT, with 20
 * bits. bits: what emphasised_bits said, >= 1. The result is the frame times 2^(25 - bits). */
static void window_frame(const int16_t *samples, int32_t mean, int bits, int32_t *scratch) {
    int left = bits < 16 ? 16 - bits : 0;
    int right = bits > 16 ? bits - 16 : 0;
    int32_t before = samples[0] - mean;
    memset(scratch, 0, 2 * ST_FFT_COMPLEX_POINTS * sizeof(int32_t));
    for (int i = 0; i < LENGTH; i++) {
        int32_t now = samples[i] - mean;
        int32_t value = (emphasise(now, before) * (1 << left)) >> right;
        int32_t weight = st_window_table[i < LENGTH / 2 ? i : LENGTH - 1 - i];
        scratch[2 * st_fft_slot((uint32_t)i >> 1) + (i & 1)] = (value * weight) >> 11;
        before = now;
    }
}

/* Right shift that brings every bin into 16 bits with sign. */
static int spectrum_shift(const int32_t *bins) {
    uint32_t all = 0;
    for (int i = 2 * FIRST_BIN; i < 2 * END_BIN; i++) {
        all |= (uint32_t)(bins[i] ^ (bins[i] >> 31));
    }
    int bits = st_msb32(all) + 1;
    return bits > 15 ? bits - 15 : 0;
}

/* log2(1 + power / 2^floor_exponent), Q5.10, of a band power in the spectrum's own scale. */
static int16_t log_power(uint64_t power, int floor_exponent) {
    if (floor_exponent > 60) {
        return 0; /* power < 2^37: less than the last bit */
    }
    int shift = floor_exponent > 0 ? floor_exponent : 0;
    uint32_t high = (uint32_t)(power >> 32), low = (uint32_t)power;
    uint32_t one = 1u << (shift & 31);
    if (shift >= 32) {
        high += one;
    } else {
        low += one;
        high += low < one;
    }
    int32_t value = st_log2(high, low) - floor_exponent * (1 << ST_LOG2_FRACTION_BITS);
    return (int16_t)st_clamp((value + (1 << 4)) >> (ST_LOG2_FRACTION_BITS - 10), 0, INT16_MAX);
}

/* Sum the bins' power into the bands and take logarithms. Two bands overlap at any bin: the
 * falling one gets what the rising one leaves. */
static void mel_bands(const int32_t *bins, int shift, int floor_exponent, int16_t *log_mel) {
    uint64_t falling = 0;
    const uint16_t *weight = st_mel_weight_table;
    uint32_t bin = FIRST_BIN;
    for (int edge = 0; edge <= BANDS; edge++) {
        uint64_t rising = 0;
        for (; bin < st_mel_first_bin_table[edge + 1]; bin++) {
            int32_t re = bins[2 * bin] >> shift, im = bins[2 * bin + 1] >> shift;
            uint32_t power = (uint32_t)(re * re) + (uint32_t)(im * im);
            uint32_t part = (power >> 16) * *weight + (((power & 0xffffu) * *weight) >> 16);
            rising += part;
            falling += power - part;
            weight++;
        }
        if (edge > 0) {
            log_mel[edge - 1] = log_power(falling, floor_exponent);
        }
        falling = rising;
    }
}

ST_HOT void st_frontend_log_mel(const int16_t *samples, int16_t *log_mel, int32_t *scratch) {
    int32_t mean = frame_mean(samples);
    int bits = emphasised_bits(samples, mean);
    if (bits == 0) {
        memset(log_mel, 0, BANDS * sizeof(int16_t));
        return;
    }
    window_frame(samples, mean, bits, scratch);
    st_fft_complex(scratch);
    st_fft_split_real(scratch);
    int shift = spectrum_shift(scratch);
    /* The bins hold twice the spectrum times 2^(25 - bits - shift); power doubles exponents. */
    mel_bands(scratch, shift, ST_FRONTEND_FLOOR_LOG2 + 2 * (26 - bits - shift), log_mel);
}

/* Move the running mean towards a frame by 1 / mean_frames, then write frame minus mean, Q4.3. */
static void normalise(st_frontend_t *state, const int16_t *log_mel, int8_t *features) {
    if (state->mean_frames < ST_FRONTEND_MEAN_MAX_FRAMES) {
        state->mean_frames++;
    }
    int32_t rate = (int32_t)divide((1u << 15) + state->mean_frames / 2, state->mean_frames); /* Q15 */
    for (int band = 0; band < BANDS; band++) {
        int32_t value = log_mel[band] * (1 << MEAN_EXTRA_BITS);
        state->mean[band] += ((value - state->mean[band]) * rate + (1 << 14)) >> 15;
        int32_t difference = value - state->mean[band];
        features[band] = (int8_t)st_clamp((difference + (1 << (FEATURE_SHIFT - 1))) >> FEATURE_SHIFT, INT8_MIN, INT8_MAX);
    }
}

void st_frontend_init(st_frontend_t *state, const int16_t *prior) {
    memset(state, 0, sizeof(*state));
    state->magic = ST_FRONTEND_MAGIC;
    state->mean_frames = ST_FRONTEND_MEAN_PRIOR_FRAMES;
    for (int band = 0; band < BANDS; band++) {
        state->mean[band] = prior[band] * (1 << MEAN_EXTRA_BITS);
    }
}

uint32_t st_frontend_steps(const st_frontend_t *state, uint32_t n) {
    uint32_t samples = state->buffered + n;
    if (samples < LENGTH) {
        return 0;
    }
    uint32_t frames = divide(samples - LENGTH, ST_FRONTEND_FRAME_SHIFT) + 1;
    return divide(state->stacked + frames, ST_FRONTEND_STACK);
}

/* Turn the full sample buffer into one more frame of the step; true when the step is whole. */
static int take_frame(st_frontend_t *state) {
    int16_t log_mel[BANDS];
    st_frontend_log_mel(state->samples, log_mel, state->scratch);
    normalise(state, log_mel, state->features + state->stacked * BANDS);
    state->buffered = LENGTH - ST_FRONTEND_FRAME_SHIFT;
    memmove(state->samples, state->samples + ST_FRONTEND_FRAME_SHIFT, state->buffered * sizeof(int16_t));
    state->stacked++;
    return state->stacked == ST_FRONTEND_STACK;
}

uint32_t st_frontend_apply(st_frontend_t *state, const int16_t *samples, uint32_t n, int8_t *features) {
    uint32_t steps = 0;
    while (n > 0) {
        uint32_t taken = ST_MIN(n, (uint32_t)(LENGTH - state->buffered));
        memcpy(state->samples + state->buffered, samples, taken * sizeof(int16_t));
        state->buffered = (uint16_t)(state->buffered + taken);
        samples += taken;
        n -= taken;
        if (state->buffered == LENGTH && take_frame(state)) {
            memcpy(features, state->features, ST_FRONTEND_FEATURE_SIZE);
            features += ST_FRONTEND_FEATURE_SIZE;
            state->stacked = 0;
            steps++;
        }
    }
    return steps;
}
