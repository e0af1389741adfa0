/* MicroPython's side of the border: turn Python objects into st_arg_t by a method's signature
 * string and call the kernel. Included once by module_natmod.c and once by module_usermod.c,
 * after MicroPython's headers. */
#ifndef ST_CALL_H
#define ST_CALL_H

#include "st_api.h"

typedef int32_t (*st_method_t)(const st_arg_t *args);

/* Longest text: method name, ": argument N must be ", kind. */
#define ST_MESSAGE_BYTES (80)

static void st_append(char *text, size_t *length, const char *more) {
    while (*more && *length < ST_MESSAGE_BYTES - 1) {
        text[(*length)++] = *more++;
    }
}

/* Raise TypeError("NAME: argument K must be KIND"), K counted from 1. */
static void st_raise_argument(const char *name, size_t index, const char *kind) {
    char text[ST_MESSAGE_BYTES];
    char number[3] = {(char)('1' + index), 0, 0};
    size_t length = 0;
    st_append(text, &length, name);
    st_append(text, &length, ": argument ");
    if (index == 9) { /* the last one that ST_MAX_ARGS admits */
        number[0] = '1';
        number[1] = '0';
    }
    st_append(text, &length, number);
    st_append(text, &length, " must be ");
    st_append(text, &length, kind);
    mp_raise_type_arg(&mp_type_TypeError, mp_obj_new_str(text, length));
}

static void st_get_buffer(const char *name, size_t index, mp_obj_t object, bool writable, st_arg_t *arg) {
    mp_buffer_info_t info;
    if (!mp_get_buffer(object, &info, writable ? MP_BUFFER_WRITE : MP_BUFFER_READ)) {
        st_raise_argument(name, index, writable ? "a writable buffer" : "a buffer");
    }
    arg->data = info.buf;
    arg->length = (uint32_t)info.len;
}

static void st_get_int(const char *name, size_t index, mp_obj_t object, st_arg_t *arg) {
    bool is_int = mp_obj_is_small_int(object);
    if (!is_int) {
        const mp_obj_type_t *type = mp_obj_get_type(object);
        is_int = type == &mp_type_int || type == mp_obj_get_type(mp_const_true);
    }
    if (!is_int) {
        st_raise_argument(name, index, "an integer");
    }
    /* Compared with what came in: MicroPython's checked conversion refuses the most negative word. */
    mp_int_t value = (mp_int_t)mp_obj_get_int_truncated(object);
    bool whole = mp_obj_is_small_int(object)
        || mp_obj_is_true(mp_binary_op(MP_BINARY_OP_EQUAL, mp_obj_new_int(value), object));
    if (!whole || value < INT32_MIN || value > INT32_MAX) {
        st_raise_argument(name, index, "an integer of 32 bits");
    }
    arg->value = (int32_t)value;
}

/* Call a kernel. The number of objects was checked by MicroPython against the signature. In RAM where an image has
 * ST_HOT: each step goes through it, and in flash it lies where MicroPython's own calls push it out of the cache. */
ST_HOT static mp_obj_t st_call(const char *name, const char *signature, st_method_t method, const mp_obj_t *objects) {
    st_arg_t args[ST_MAX_ARGS];
    for (size_t i = 0; signature[i]; i++) {
        args[i].data = NULL;
        args[i].length = 0;
        args[i].value = 0;
        if (signature[i] == 'i') {
            st_get_int(name, i, objects[i], &args[i]);
        } else {
            st_get_buffer(name, i, objects[i], signature[i] == 'w', &args[i]);
        }
    }
    return mp_obj_new_int(method(args));
}

/* One Python function object for each row of the method table. */
#define ST_METHOD(name, signature) \
    static mp_obj_t st_py_##name(size_t count, const mp_obj_t *objects) { \
        (void)count; \
        return st_call(#name, signature, stk_##name, objects); \
    } \
    static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN( \
        st_py_##name##_obj, sizeof(signature) - 1, sizeof(signature) - 1, st_py_##name);
#include "st_methods.h"
#undef ST_METHOD

#endif
