/* Any .tflite: the parser, the planner, the metadata and every operator. An input is the file. */
#include "fuzz_util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_run_model(data, (uint32_t)size);
    return 0;
}

/* One file in 16 keeps the checksum it has. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
    fuzz_random_t random = fuzz_random(seed);
    size = fuzz_mutate(&random, data, size, max_size);
    if (fuzz_below(&random, 16)) {
        fuzz_seal_model(data, (uint32_t)size);
    }
    return size;
}
