/* The border between bindings and kernels: see st_methods.h. */
#ifndef ST_API_H
#define ST_API_H

#include "st_common.h"

#define ST_MAX_ARGS (10)

/* One argument: a buffer (data, length in bytes) or an integer (value). */
typedef struct {
    uint8_t *data;
    uint32_t length;
    int32_t value;
} st_arg_t;

#define ST_METHOD(name, signature) int32_t stk_##name(const st_arg_t *args);
#include "st_methods.h"
#undef ST_METHOD

#endif
