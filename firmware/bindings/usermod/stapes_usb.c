/* The module `stapes_usb`: the board's USB serial in bulk, for the link.
 *
 * MicroPython hands what comes over USB to its prompt byte by byte, some 900 cycles each. As long as a
 * program reads through this module, bytes stay in TinyUSB's own buffer and are copied from there at once.
 * Whoever reads or polls standard input by other means, the prompt above all, gets them as ever: the first
 * such call ends it, in order and without a loss, until readinto is called again.
 *
 * The linker leads calls of __wrap_X here, and calls of __real_X to X (micropython.cmake). */
#include "py/mphal.h"
#include "py/ringbuf.h"
#include "py/runtime.h"
#include "shared/tinyusb/mp_usbd.h"

#define ITF (0)
#define REST_MS (2) /* between two packets of one frame */

extern ringbuf_t stdin_ringbuf;
void __real_tud_cdc_rx_cb(uint8_t itf);
int __real_mp_hal_stdin_rx_chr(void);
uintptr_t __real_mp_hal_stdio_poll(uintptr_t poll_flags);

static bool in_bulk;

void __wrap_tud_cdc_rx_cb(uint8_t itf) {
    if (itf != ITF || !in_bulk) {
        __real_tud_cdc_rx_cb(itf);
    }
}

static void end_bulk(void) {
    if (in_bulk) {
        in_bulk = false;
        __real_tud_cdc_rx_cb(ITF);
    }
}

int __wrap_mp_hal_stdin_rx_chr(void) {
    end_bulk();
    return __real_mp_hal_stdin_rx_chr();
}

uintptr_t __wrap_mp_hal_stdio_poll(uintptr_t poll_flags) {
    end_bulk();
    return __real_mp_hal_stdio_poll(poll_flags);
}

/* What is there now: first what the prompt's buffer still holds. */
static size_t read_now(uint8_t *data, size_t most) {
    size_t count = MIN(ringbuf_avail(&stdin_ringbuf), most);
    if (count) {
        ringbuf_get_bytes(&stdin_ringbuf, data, count);
    }
    for (;;) {
        size_t more = count < most ? tud_cdc_n_read(ITF, data + count, most - count) : 0;
        count += more;
        if (!more) {
            return count;
        }
        mp_usbd_task();
    }
}

/* Sleep until something has come, or a millisecond is over. TinyUSB's locks leave the core's event flag set, upon which
 * the first wait returns at once: whoever asked TinyUSB after each wait would never sleep. */
static void rest(void) {
    mp_uint_t began = mp_hal_ticks_ms();
    do {
        mp_event_wait_ms(1);
    } while (mp_hal_ticks_ms() == began && !tud_task_event_ready() && !tud_cdc_n_available(ITF));
}

static mp_obj_t usb_readinto(mp_obj_t buffer, mp_obj_t wait) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(buffer, &info, MP_BUFFER_WRITE);
    uint8_t *data = info.buf;
    mp_int_t wait_ms = mp_obj_get_int(wait);
    mp_uint_t began = mp_hal_ticks_ms();
    size_t count = 0;
    in_bulk = true;
    for (;;) {
        mp_usbd_task();
        size_t more = read_now(data + count, info.len - count);
        count += more;
        /* A zero byte ends a frame: whoever waits for one has it. */
        if (wait_ms == 0 || count == info.len || (count && data[count - 1] == 0)) {
            break;
        }
        if (more) {
            wait_ms = REST_MS;
            began = mp_hal_ticks_ms();
        } else if (wait_ms > 0 && mp_hal_ticks_ms() - began >= (mp_uint_t)wait_ms) {
            break;
        }
        rest();
    }
    return MP_OBJ_NEW_SMALL_INT(count);
}
static MP_DEFINE_CONST_FUN_OBJ_2(usb_readinto_obj, usb_readinto);

static mp_obj_t usb_write(mp_obj_t buffer) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(buffer, &info, MP_BUFFER_READ);
    mp_usbd_task();
    size_t count = tud_cdc_n_write(ITF, info.buf, MIN(info.len, tud_cdc_n_write_available(ITF)));
    tud_cdc_n_write_flush(ITF);
    return MP_OBJ_NEW_SMALL_INT(count);
}
static MP_DEFINE_CONST_FUN_OBJ_1(usb_write_obj, usb_write);

static mp_obj_t usb_drain(mp_obj_t wait) {
    mp_uint_t wait_ms = (mp_uint_t)mp_obj_get_int(wait);
    mp_uint_t began = mp_hal_ticks_ms();
    for (;;) {
        mp_usbd_task();
        tud_cdc_n_write_flush(ITF);
        if (tud_cdc_n_write_available(ITF) == CFG_TUD_CDC_TX_BUFSIZE) {
            return mp_const_true;
        }
        if (!tud_cdc_n_connected(ITF) || mp_hal_ticks_ms() - began >= wait_ms) {
            return mp_const_false;
        }
        mp_event_wait_ms(1);
    }
}
static MP_DEFINE_CONST_FUN_OBJ_1(usb_drain_obj, usb_drain);

static mp_obj_t usb_close(void) {
    end_bulk();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(usb_close_obj, usb_close);

/* readinto(buffer, wait_ms) -> bytes read; wait_ms is for the first, -1 for ever
 * write(buffer) -> bytes taken
 * drain(wait_ms) -> whether all that was written has left
 * close(): what has come is the prompt's again */
static const mp_rom_map_elem_t stapes_usb_globals_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_stapes_usb)},
    {MP_ROM_QSTR(MP_QSTR_readinto), MP_ROM_PTR(&usb_readinto_obj)},
    {MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&usb_write_obj)},
    {MP_ROM_QSTR(MP_QSTR_drain), MP_ROM_PTR(&usb_drain_obj)},
    {MP_ROM_QSTR(MP_QSTR_close), MP_ROM_PTR(&usb_close_obj)},
};
static MP_DEFINE_CONST_DICT(stapes_usb_globals, stapes_usb_globals_table);

const mp_obj_module_t stapes_usb_module = {
    .base = {&mp_type_module},
    .globals = (mp_obj_dict_t *)&stapes_usb_globals,
};

MP_REGISTER_MODULE(MP_QSTR_stapes_usb, stapes_usb_module);
