// Put in front of py/bc.c: what sets up each call of a Python function lies in RAM, for which MicroPython has no macro.
#include "py/bc.h"

static void mp_setup_code_state_helper(mp_code_state_t *code_state, size_t n_args, size_t n_kw, const mp_obj_t *args)
    __attribute__((noinline, section(".time_critical.mp_setup_code_state_helper")));
