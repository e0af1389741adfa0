#include "st_frontend.h"

#include "st_fixed.h"
#include "st_log2.h"
#include "st_tables.h"

#define LENGTH ST_FRONTEND_FRAME_LENGTH
#define BANDS ST_FRONTEND_MEL_BANDS
#define FIRST_BIN (2)   /* st_mel_first_bin_table[0] */
#define END_BIN (244)   /* st_mel_first_bin_table[BANDS + 1] */
#define FLOOR_BITS (24) /* the floor in the scale of band powers, at most */
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
    for (const int16_t *end = samples + LENGTH; samples < end; samples += 4) {
        sum += samples[0] + samples[1] + samples[2] + samples[3];
    }
    return ((sum >> 8) * 5243 + (1 << 12)) >> 13;
}

/* Pre-emphasise a frame less its mean by 31/32: 32 x[i] - 31 x[i - 1], Q5, below 2^23. Returns the
 * bits that the largest magnitude needs: 0 for a frame of nothing. */
static int emphasise(const int16_t *samples, int32_t mean, int32_t *out) {
    int32_t before = samples[0];
    uint32_t all = 0;
    for (int i = 0; i < LENGTH; i++) {
        int32_t now = samples[i];
        int32_t value = (now - before) * 32 + before - mean;
        all |= (uint32_t)(value ^ (value >> 31));
        out[i] = value;
        before = now;
    }
    return st_msb32(all) + 1;
}

/* Window the emphasised frame in place, Q15, after a shift right that leaves 16 bits and sign.
 * Returns the shift that brings the products back to 16 bits: by their own largest, since a loud
 * sample at the window's edge counts for little. */
static int window(int32_t *frame, int before) {
    int32_t *mirrored = frame + LENGTH;
    uint32_t all = 0;
    for (int i = 0; i < LENGTH / 2; i++) {
        int32_t weight = st_window_table[i];
        int32_t left = (*frame >> before) * weight;
        *frame++ = left;
        mirrored--;
        int32_t right = (*mirrored >> before) * weight;
        *mirrored = right;
        all |= (uint32_t)(left ^ (left >> 31)) | (uint32_t)(right ^ (right >> 31));
    }
    return ST_MAX(st_msb32(all) + 1 - 16, 0);
}

/* Shift the frame right, rounded, put its rows of two samples in the order that the FFT wants, and
 * zeros after it. */
static void arrange(int32_t *scratch, int shift) {
    int32_t half = (1 << shift) >> 1;
    memset(scratch + LENGTH, 0, (2 * ST_FFT_COMPLEX_POINTS - LENGTH) * sizeof(int32_t));
    uint32_t slot = 0;
    for (uint32_t n = 0; n < ST_FFT_COMPLEX_POINTS; n++, slot = st_fft_next_slot(slot)) {
        if (n <= slot) {
            int32_t *a = scratch + 2 * n, *b = scratch + 2 * slot;
            int32_t re = a[0], im = a[1];
            a[0] = (b[0] + half) >> shift;
            a[1] = (b[1] + half) >> shift;
            if (n < slot) {
                b[0] = (re + half) >> shift;
                b[1] = (im + half) >> shift;
            }
        }
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

/* Replace the two parts of each bin k by its power / 16, rounded, at index k. */
static void bin_powers(int32_t *bins, int shift) {
    const int32_t *parts = bins + 2 * FIRST_BIN;
    for (int bin = FIRST_BIN; bin < END_BIN; bin++) {
        int32_t re = *parts++ >> shift, im = *parts++ >> shift;
        bins[bin] = (int32_t)(((uint32_t)(re * re) + (uint32_t)(im * im) + 8u) >> 4);
    }
}

/* log2(1 + power / 2^floor_exponent), Q5.10, of a band power below 2^31. */
ST_HOT static int16_t log_power(uint32_t power, int floor_exponent) {
    if (floor_exponent > FLOOR_BITS) { /* a quiet frame: its floor would need more than 32 bits */
        int drop = ST_MIN(floor_exponent - FLOOR_BITS, 31);
        power = (power + (1u << (drop - 1))) >> drop;
        floor_exponent = FLOOR_BITS;
    }
    if (floor_exponent >= 0) {
        power += 1u << floor_exponent;
    } else if (power == 0) { /* a loud frame: the floor is below what the spectrum resolves */
        return 0;
    }
    int32_t value = st_log2(power) - floor_exponent * (1 << ST_LOG2_FRACTION_BITS);
    return (int16_t)st_clamp((value + (1 << 4)) >> (ST_LOG2_FRACTION_BITS - 10), 0, INT16_MAX);
}

/* Sum of n powers, each times its weight, Q16. Apart from mel_bands because the core has eight
 * registers for it. */
static ST_HOT uint32_t weighted_sum(const int32_t *powers, const uint16_t *weights, uint32_t n) {
    uint32_t sum = 0;
    for (const int32_t *end = powers + n; powers < end; powers++) {
        uint32_t power = (uint32_t)*powers, weight = *weights++;
        uint32_t part = (power >> 12) * weight + (((power & 0xfffu) * weight) >> 12);
        sum += (part + 8u) >> 4;
    }
    return sum;
}

static uint32_t plain_sum(const int32_t *powers, uint32_t n) {
    uint32_t sum = 0;
    for (const int32_t *end = powers + n; powers < end; powers++) {
        sum += (uint32_t)*powers;
    }
    return sum;
}

/* Sum the bins' powers into the bands and take logarithms. Two bands overlap at any bin: the
 * falling one gets what the rising one leaves. At most 15 powers below 2^27 lie between two edges. */
static void mel_bands(const int32_t *powers, int floor_exponent, int16_t *log_mel) {
    uint32_t falling = 0;
    uint32_t bin = FIRST_BIN;
    for (int edge = 0; edge <= BANDS; edge++) {
        uint32_t n = st_mel_first_bin_table[edge + 1] - bin;
        uint32_t rising = weighted_sum(powers + bin, st_mel_weight_table + (bin - FIRST_BIN), n);
        if (edge > 0) {
            log_mel[edge - 1] = log_power(falling + plain_sum(powers + bin, n) - rising, floor_exponent);
        }
        falling = rising;
        bin += n;
    }
}

ST_HOT void st_frontend_log_mel(const int16_t *samples, int16_t *log_mel, int32_t *scratch) {
    int bits = emphasise(samples, frame_mean(samples), scratch);
    if (bits == 0) {
        memset(log_mel, 0, BANDS * sizeof(int16_t));
        return;
    }
    int before = ST_MAX(bits - 16, 0);
    int after = window(scratch, before);
    arrange(scratch, after);
    st_fft_complex(scratch);
    st_fft_split_real(scratch);
    int shift = spectrum_shift(scratch);
    bin_powers(scratch, shift);
    /* The bins held twice the spectrum times 2^(14 - before - after - shift): Q5, Q15 and the FFT's
     * 2^-6 make 2^14. Power doubles exponents, and is divided by 16. */
    mel_bands(scratch, ST_FRONTEND_FLOOR_LOG2 + 2 * (15 - before - after - shift) - 4, log_mel);
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

ST_HOT uint32_t st_frontend_steps(const st_frontend_t *state, uint32_t n) {
    uint32_t samples = state->buffered + n;
    if (samples < LENGTH) {
        return 0;
    }
    uint32_t frames = divide(samples - LENGTH, ST_FRONTEND_FRAME_SHIFT) + 1;
    return divide(state->stacked + frames, ST_FRONTEND_STACK);
}

/* Turn the full sample buffer into one more frame of the step; true when the step is whole. */
ST_HOT static int take_frame(st_frontend_t *state) {
    int16_t log_mel[BANDS];
    st_frontend_log_mel(state->samples, log_mel, state->scratch);
    normalise(state, log_mel, state->features + state->stacked * BANDS);
    state->buffered = LENGTH - ST_FRONTEND_FRAME_SHIFT;
    memmove(state->samples, state->samples + ST_FRONTEND_FRAME_SHIFT, state->buffered * sizeof(int16_t));
    state->stacked++;
    return state->stacked == ST_FRONTEND_STACK;
}

ST_HOT uint32_t st_frontend_apply(st_frontend_t *state, const int16_t *samples, uint32_t n, int8_t *features) {
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
