/* Checkpoints of any content: refused with a message, or a population that breeds and saves. */
#include <stdint.h>
#include <stdlib.h>

#include "neat/neat_checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct population *population = NULL;
    struct byte_reader in = {.at = bytes, .end = bytes + n};
    onnxd_error err;
    err.message[0] = 0;
    if (population_load(&in, 64 << 20, &population, &err) != ONNXD_OK) {
        if (err.message[0] == 0 || population != NULL) abort();
        return 0;
    }
    for (uint32_t i = 0; i < population->n_genomes; i++) population->genomes[i].fitness = i % 5;
    if (population_advance(population, &err) == ONNXD_OK) {
        struct buf out;
        buf_init(&out, 256 << 20);
        population_save(population, &out);
        buf_done(&out);
    }
    population_free(population);
    return 0;
}
