/* The user C module `stapes_kernels` of our own firmware images. */
#include "py/runtime.h"

#include "st_call.h"

static const mp_rom_map_elem_t stapes_kernels_globals_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_stapes_kernels)},
#define ST_METHOD(name, signature) {MP_ROM_QSTR(MP_QSTR_##name), MP_ROM_PTR(&st_py_##name##_obj)},
#include "st_methods.h"
#undef ST_METHOD
};
static MP_DEFINE_CONST_DICT(stapes_kernels_globals, stapes_kernels_globals_table);

const mp_obj_module_t stapes_kernels_module = {
    .base = {&mp_type_module},
    .globals = (mp_obj_dict_t *)&stapes_kernels_globals,
};

MP_REGISTER_MODULE(MP_QSTR_stapes_kernels, stapes_kernels_module);
