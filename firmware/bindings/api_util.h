/* Argument checks that every api_*.c shares. */
#ifndef ST_API_UTIL_H
#define ST_API_UTIL_H

#include "st_api.h"

/* Leave the calling method with -ST_ERROR_<error> unless condition holds. */
#define ST_REQUIRE(condition, error)  \
    do {                              \
        if (!(condition)) {           \
            return -ST_ERROR_##error; \
        }                             \
    } while (0)

/* Whether an argument's data lies on a multiple of bytes (a power of two). An empty buffer may
 * have any address. */
static inline int st_is_aligned(const st_arg_t *arg, uint32_t bytes) {
    return arg->length == 0 || ((uintptr_t)arg->data & (bytes - 1u)) == 0;
}

/* Whether an argument is a buffer of at least count aligned elements of the given size. */
static inline int st_holds(const st_arg_t *arg, uint32_t count, uint32_t element_bytes) {
    return st_is_aligned(arg, element_bytes) && arg->length / element_bytes >= count;
}

#endif
