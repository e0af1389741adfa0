/* The native module `stapes_kernels.mpy`: for MicroPython builds that are not ours. */
#include "py/dynruntime.h"

#include "st_call.h"

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY
#define ST_METHOD(name, signature) mp_store_global(MP_QSTR_##name, MP_OBJ_FROM_PTR(&st_py_##name##_obj));
#include "st_methods.h"
#undef ST_METHOD
    MP_DYNRUNTIME_INIT_EXIT
}
