/* A PIO state machine that clocks a microphone, and the microphone: bit by bit, as pio_pace.py and
 * emulated_microphone.py have it, without Python. Built and called by pio_lane.py.
 *
 * Executes JMP, IN, SET to a scratch register and NOP, with side-set and delay: the rest it refuses.
 * Times are system clocks in 1/256. Reference: RP2040 datasheet, 3.4 and 3.5. */
#include <stdint.h>

enum { RAN, NO_ROOM, REFUSED };
enum { I2S, PDM };

typedef struct {
    /* The program. */
    uint16_t code[32];
    uint32_t wrap_bottom, wrap_top, side_count, side_base, side_enable, in_base;
    uint32_t autopush, push_threshold, shifts_right;
    int64_t step;
    /* The machine. */
    uint32_t pc, x, y, shift, shifted;
    int64_t due;
    uint32_t pins;   /* that the block drives */
    uint32_t inputs; /* that the microphone drives */
    /* What it has pushed. */
    uint32_t room, pushed;
    uint32_t out[8];
    /* The microphone. */
    uint32_t bus, clock, select_pin, data, right, late, idle;
    const uint32_t *words;
    uint32_t word_count, position, select, begins, word, left, bits;
} lane_t;

#define NO_SELECT (2u)

static void drive(lane_t *lane, uint32_t level) {
    lane->inputs = level ? lane->inputs | lane->data : lane->inputs & ~lane->data;
}

static void next_i2s_bit(lane_t *lane) {
    if (lane->begins) {
        lane->begins = 0;
        lane->left = 0;
        if (lane->select == lane->right && lane->word_count) {
            lane->word = lane->position < lane->word_count ? lane->words[lane->position] : 0;
            lane->position++;
            lane->left = 24;
        }
    }
    if (lane->left) {
        lane->left--;
        drive(lane, lane->word >> lane->left & 1);
    } else {
        drive(lane, lane->idle);
    }
}

static void next_pdm_bit(lane_t *lane) {
    uint32_t at = lane->bits / 32, within = lane->bits % 32;
    uint32_t word = at < lane->word_count ? lane->words[at] : 0x55555555u;
    drive(lane, word >> (31 - within) & 1);
    lane->bits++;
    lane->position = (lane->bits + 31) / 32;
}

/* The block's pins change: the microphone sees its clock. */
void lane_see(lane_t *lane, uint32_t pins) {
    uint32_t changed = (lane->pins ^ pins) & lane->clock;
    lane->pins = pins;
    if (!changed) {
        return;
    }
    uint32_t high = (pins & lane->clock) != 0;
    if (lane->bus == PDM) {
        if (high == lane->right) {
            next_pdm_bit(lane);
        }
        return;
    }
    if (high == lane->late) {
        next_i2s_bit(lane);
    }
    if (high) {
        uint32_t select = (pins & lane->select_pin) != 0;
        lane->begins |= select != lane->select;
        lane->select = select;
    }
}

void lane_power_up(lane_t *lane) {
    lane->select = NO_SELECT;
    lane->position = lane->begins = lane->left = lane->bits = 0;
    if (lane->bus == PDM) {
        next_pdm_bit(lane); /* it was clocked before anybody listened */
    } else {
        drive(lane, lane->idle);
    }
}

static int jumps(lane_t *lane, uint32_t condition) {
    switch (condition) {
    case 0: return 1;
    case 1: return lane->x == 0;
    case 2: return lane->x-- != 0;
    case 3: return lane->y == 0;
    case 4: return lane->y-- != 0;
    default: return lane->x != lane->y;
    }
}

static void shift_in(lane_t *lane, uint32_t opcode) {
    uint32_t source = opcode >> 5 & 7, count = opcode & 31, base = lane->in_base;
    uint32_t value = source == 1 ? lane->x : source == 2 ? lane->y : source == 3 ? 0 : lane->inputs;
    if (source == 0 && base) {
        value = value >> base | value << (32 - base);
    }
    count = count ? count : 32;
    if (count == 32) {
        lane->shift = value;
    } else if (lane->shifts_right) {
        lane->shift = lane->shift >> count | value << (32 - count);
    } else {
        lane->shift = lane->shift << count | (value & ((1u << count) - 1));
    }
    lane->shifted += count;
}

static int executable(uint32_t opcode) {
    uint32_t where = opcode >> 5 & 7;
    switch (opcode >> 13) {
    case 0: return where <= 5;
    case 2: return where <= 3;
    case 5: return (opcode & 0xFF) == 0x42;
    case 7: return where == 1 || where == 2;
    default: return 0;
    }
}

/* Execute what is due at a time. Returns RAN, NO_ROOM before a push for which the FIFO has none, or
 * REFUSED before an instruction that is none of ours. */
int lane_run(lane_t *lane, int64_t now) {
    lane->pushed = 0;
    while (lane->due <= now) {
        uint32_t opcode = lane->code[lane->pc], where = opcode >> 5 & 7, data = opcode & 31;
        uint32_t field = opcode >> 8 & 31, count = lane->side_count, bits = 5 - count;
        uint32_t next = lane->pc == lane->wrap_top ? lane->wrap_bottom : (lane->pc + 1) & 31;
        if (!executable(opcode)) {
            return REFUSED;
        }
        if (opcode >> 13 == 2) {
            uint32_t pushes = lane->autopush && lane->shifted + (data ? data : 32) >= lane->push_threshold;
            if (pushes && lane->pushed == lane->room) {
                return NO_ROOM;
            }
            shift_in(lane, opcode);
            if (pushes) {
                lane->out[lane->pushed++] = lane->shift;
                lane->shift = lane->shifted = 0;
            }
        } else if (opcode >> 13 == 0 && jumps(lane, where)) {
            next = data;
        } else if (opcode >> 13 == 7) {
            *(where == 1 ? &lane->x : &lane->y) = data;
        }
        lane->pc = next;
        lane->due += (1 + (int64_t)(field & ((1u << bits) - 1))) * lane->step;
        if (count && (!lane->side_enable || field & 0x10)) {
            count -= lane->side_enable;
            uint32_t mask = ((1u << count) - 1) << lane->side_base;
            lane_see(lane, (lane->pins & ~mask) | (field >> bits << lane->side_base & mask));
        }
    }
    return RAN;
}
