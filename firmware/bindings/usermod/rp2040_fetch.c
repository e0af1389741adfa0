/* st_fetch.h for the RP2040: its flash read by the serial interface and a DMA channel, as many words in one go as wanted.
 *
 * Executing from flash, each word that the cache lacks costs 20 clocks of the serial flash, of which 12 are for address,
 * mode and waiting; read in one go they are paid once. Meanwhile the interface serves nobody else. So interrupts are off,
 * the other core must not run (it would fetch code), and no one else's DMA may read flash.
 * Reference: RP2040 datasheet, 2.6.3 (XIP), 4.10 (SSI), 2.5 (DMA); the interface's set-up is boot2_w25q080's.
 *
 * The first use compares a copy with what is read in place, and gives the method up if anything differs or takes too
 * long: a board with another flash chip or another second-stage boot loader goes on reading in place. */
#include "st_hot.h"

#include "st_fetch.h"

#include "hardware/dma.h"
#include "hardware/regs/addressmap.h"
#include "hardware/structs/ssi.h"
#include "hardware/sync.h"
/* MicroPython's mpthreadport.h: NULL while the other core does not run Python. */
typedef void *(*core_entry_func_t)(void *);
extern core_entry_func_t core1_entry;

#define CONTINUE_READING (0xa0u) /* mode bits: the next read comes without a command, as boot2 has set it up */
#define QUAD (2u)
#define WORD_BITS (32u)
#define ADDRESS_AND_MODE (8u) /* of 4 bits */
#define POLLS_PER_WORD (16u)  /* a poll takes at least 5 cycles, a word 16 */
#define TRIED_WORDS (32u)

typedef enum { UNTRIED, WORKS, FAILS } condition_t;

static struct {
    st_fetch_t buffers;
    condition_t condition;
    int channel;
    uint32_t interrupts;
    uint32_t *to;
    const uint32_t *from;
    uint32_t words;
} fetch;

/* Is the serial interface set up for reads that continue, in quads, of 32 bits? */
static int is_known(void) {
    uint32_t control = ssi_hw->ctrlr0;
    uint32_t serial = ssi_hw->spi_ctrlr0;
    return (control & SSI_CTRLR0_SPI_FRF_BITS) >> SSI_CTRLR0_SPI_FRF_LSB == QUAD &&
           (control & SSI_CTRLR0_DFS_32_BITS) >> SSI_CTRLR0_DFS_32_LSB == WORD_BITS - 1 &&
           (control & SSI_CTRLR0_TMOD_BITS) >> SSI_CTRLR0_TMOD_LSB == SSI_CTRLR0_TMOD_VALUE_EEPROM_READ &&
           (serial & SSI_SPI_CTRLR0_XIP_CMD_BITS) >> SSI_SPI_CTRLR0_XIP_CMD_LSB == CONTINUE_READING &&
           (serial & SSI_SPI_CTRLR0_ADDR_L_BITS) >> SSI_SPI_CTRLR0_ADDR_L_LSB == ADDRESS_AND_MODE &&
           (serial & SSI_SPI_CTRLR0_INST_L_BITS) == 0;
}

ST_HOT static void set_up(uint32_t frames, uint32_t dma) {
    ssi_hw->ssienr = 0;
    ssi_hw->ctrlr1 = frames;
    ssi_hw->dmacr = dma;
    ssi_hw->ssienr = 1;
}

ST_HOT void st_fetch_start(uint32_t *to, const void *from, uint32_t bytes) {
    uint32_t words = (bytes + 3u) >> 2;
    dma_channel_hw_t *dma = &dma_hw->ch[fetch.channel];
    fetch.interrupts = save_and_disable_interrupts();
    fetch.buffers.held = NULL;
    fetch.to = to;
    fetch.from = from;
    fetch.words = words;
    set_up(words - 1, SSI_DMACR_TDMAE_BITS | SSI_DMACR_RDMAE_BITS);
    dma->read_addr = (uintptr_t)&ssi_hw->dr0;
    dma->write_addr = (uintptr_t)to;
    dma->transfer_count = words;
    /* The interface puts the first byte of flash on top. */
    dma->ctrl_trig = DMA_CH0_CTRL_TRIG_BSWAP_BITS | DREQ_XIP_SSIRX << DMA_CH0_CTRL_TRIG_TREQ_SEL_LSB |
                     (uint32_t)fetch.channel << DMA_CH0_CTRL_TRIG_CHAIN_TO_LSB | DMA_CH0_CTRL_TRIG_IRQ_QUIET_BITS |
                     DMA_CH0_CTRL_TRIG_INCR_WRITE_BITS |
                     DMA_CH0_CTRL_TRIG_DATA_SIZE_VALUE_SIZE_WORD << DMA_CH0_CTRL_TRIG_DATA_SIZE_LSB |
                     DMA_CH0_CTRL_TRIG_EN_BITS;
    ssi_hw->dr0 = ((uintptr_t)from - XIP_BASE) << 8 | CONTINUE_READING;
}

ST_HOT void st_fetch_wait(void) {
    dma_channel_hw_t *dma = &dma_hw->ch[fetch.channel];
    uint32_t polls = POLLS_PER_WORD * (fetch.words + 1);
    while ((dma->ctrl_trig & DMA_CH0_CTRL_TRIG_BUSY_BITS) && --polls) {
    }
    set_up(0, 0);
    if (polls == 0) {
        dma_hw->abort = 1u << fetch.channel;
        fetch.condition = FAILS;
        for (uint32_t i = 0; i < fetch.words; i++) {
            fetch.to[i] = fetch.from[i];
        }
    }
    restore_interrupts(fetch.interrupts);
}

ST_HOT static void copy(uint32_t *to, const uint32_t *from, uint32_t bytes) {
    st_fetch_start(to, from, bytes);
    st_fetch_wait();
}

/* Copy the beginning of the image, and compare. */
static condition_t try_out(void) {
    const uint32_t *image = (const uint32_t *)XIP_BASE;
    fetch.channel = is_known() ? dma_claim_unused_channel(false) : -1;
    if (fetch.channel < 0) {
        return FAILS;
    }
    fetch.condition = WORKS;
    copy(fetch.buffers.pool, image, 4 * TRIED_WORDS);
    return memcmp(fetch.buffers.pool, image, 4 * TRIED_WORDS) == 0 ? fetch.condition : FAILS;
}

st_fetch_t *st_fetch_open(const void *from) {
    if (core1_entry != NULL || (uintptr_t)from < XIP_BASE || (uintptr_t)from >= XIP_NOALLOC_BASE) {
        return NULL;
    }
    if (fetch.condition == UNTRIED) {
        fetch.condition = try_out();
    }
    return fetch.condition == WORKS ? &fetch.buffers : NULL;
}
