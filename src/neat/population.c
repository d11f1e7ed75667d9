#include "neat/population.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { DEFAULT_MEMORY_GIB = 4, MAX_ENDS = 65536 };

static onnxd_status out_of_memory(const struct population *p, onnxd_error *err)
{
    bool limit = p->arenas[0].limit_bytes - p->arenas[0].used_bytes < (1 << 20) ||
                 p->arenas[1].limit_bytes - p->arenas[1].used_bytes < (1 << 20);
    return error_set(err, limit ? ONNXD_ERR_LIMIT : ONNXD_ERR_NOMEM,
                     "population: no memory for generation %u of %u genomes", p->generation, p->n_genomes);
}

static struct distance_weights distance_weights_of(const struct neat_params *params)
{
    return (struct distance_weights){.excess = (float)params->excess_weight,
                                     .disjoint = (float)params->disjoint_weight,
                                     .weight = (float)params->weight_difference_weight,
                                     .small_genes = params->small_genome_genes};
}

static struct species *add_species(struct population *p, const struct genome *representative)
{
    if (p->n_species == p->species_capacity) {
        uint32_t capacity = p->species_capacity == 0 ? 16 : p->species_capacity * 2;
        struct species *grown = realloc(p->species, capacity * sizeof *grown);
        if (grown == NULL) return NULL;
        p->species = grown;
        p->species_capacity = capacity;
    }
    struct species *species = &p->species[p->n_species++];
    *species = (struct species){.id = p->next_species_id++,
                                .born = p->generation,
                                .improved = p->generation,
                                .best_fitness = -INFINITY,
                                .representative = *representative};
    return species;
}

/* Places each genome into the first species whose representative is near enough, or into a new one. */
static bool speciate(struct population *p, struct genome *genomes)
{
    struct distance_weights weights = distance_weights_of(&p->params);
    float threshold = (float)p->threshold;
    for (uint32_t i = 0; i < p->n_genomes; i++) {
        struct species *home = NULL;
        for (uint32_t s = 0; s < p->n_species && home == NULL; s++)
            if (genome_distance(&genomes[i], &p->species[s].representative, &weights) < threshold)
                home = &p->species[s];
        if (home == NULL) home = add_species(p, &genomes[i]);
        if (home == NULL) return false;
        genomes[i].species = home->id;
    }
    return true;
}

uint32_t population_species_place(const struct population *p, uint32_t id)
{
    uint32_t low = 0, high = p->n_species;
    while (low + 1 < high) {
        uint32_t middle = (low + high) / 2;
        if (p->species[middle].id <= id)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Counts members, drops species without any, and lists the members of each in by_species. */
void population_index_species(struct population *p)
{
    for (uint32_t s = 0; s < p->n_species; s++) p->species[s].n_members = 0;
    for (uint32_t i = 0; i < p->n_genomes; i++)
        p->species[population_species_place(p, p->genomes[i].species)].n_members++;
    uint32_t n = 0, first = 0;
    for (uint32_t s = 0; s < p->n_species; s++) {
        if (p->species[s].n_members == 0) continue;
        p->species[n] = p->species[s];
        p->species[n].first = first;
        first += p->species[n].n_members;
        p->species[n++].n_members = 0;
    }
    p->n_species = n;
    for (uint32_t i = 0; i < p->n_genomes; i++) {
        struct species *species = &p->species[population_species_place(p, p->genomes[i].species)];
        p->by_species[species->first + species->n_members++] = i;
    }
}

onnxd_status population_alloc(const struct neat_params *params, const struct genome_shape *shape,
                              uint64_t seed, uint64_t memory_limit_bytes, struct population **ret_population,
                              onnxd_error *err)
{
    if (shape->n_inputs < 1 || shape->n_outputs < 1 || shape->n_inputs > MAX_ENDS ||
        shape->n_outputs > MAX_ENDS)
        return error_set(err, ONNXD_ERR_ARGUMENT, "population: %u inputs and %u outputs, expected 1..%u each",
                         shape->n_inputs, shape->n_outputs, (unsigned)MAX_ENDS);
    if (shape->recurrent != params->recurrent)
        return error_set(err, ONNXD_ERR_ARGUMENT, "recurrent: this task needs '%s'",
                         shape->recurrent ? "yes" : "no");
    if (memory_limit_bytes == 0) memory_limit_bytes = (uint64_t)DEFAULT_MEMORY_GIB << 30;
    struct population *p = calloc(1, sizeof *p);
    if (p == NULL) return error_set(err, ONNXD_ERR_NOMEM, "population: no memory");
    p->params = *params;
    p->shape = *shape;
    p->n_genomes = params->population_size;
    p->rng = rng_seed(seed);
    innovations_init(&p->innovations, shape_first_hidden(shape));
    breed_init(&p->breeder, &p->params, shape, &p->innovations);
    for (int i = 0; i < 2; i++) arena_init(&p->arenas[i], (size_t)(memory_limit_bytes / 2));
    p->genomes = calloc(p->n_genomes, sizeof *p->genomes);
    p->next_genomes = calloc(p->n_genomes, sizeof *p->next_genomes);
    p->by_species = calloc(p->n_genomes, sizeof *p->by_species);
    if (p->genomes == NULL || p->next_genomes == NULL || p->by_species == NULL) {
        population_free(p);
        return error_set(err, ONNXD_ERR_NOMEM, "population: no memory for %u genomes",
                         params->population_size);
    }
    *ret_population = p;
    return ONNXD_OK;
}

/* First genomes, all of them new, and their species. */
static bool begin(struct population *p)
{
    struct arena *arena = &p->arenas[p->current];
    arena_reset(arena);
    p->n_species = 0;
    p->threshold = p->params.initial_threshold;
    p->best_fitness = -INFINITY;
    p->began = p->improved = p->generation;
    for (uint32_t i = 0; i < p->n_genomes; i++) {
        if (!breed_initial(&p->breeder, &p->rng) || !genome_copy(arena, &p->breeder.child, &p->genomes[i]))
            return false;
        p->genomes[i].id = p->next_genome_id++;
    }
    if (!speciate(p, p->genomes)) return false;
    population_index_species(p);
    return true;
}

onnxd_status population_create(const struct neat_params *params, const struct genome_shape *shape,
                               uint64_t seed, uint64_t memory_limit_bytes, struct population **ret_population,
                               onnxd_error *err)
{
    struct population *p = NULL;
    onnxd_status status = population_alloc(params, shape, seed, memory_limit_bytes, &p, err);
    if (status != ONNXD_OK) return status;
    if (!begin(p)) {
        status = out_of_memory(p, err);
        population_free(p);
        return status;
    }
    *ret_population = p;
    return ONNXD_OK;
}

void population_free(struct population *p)
{
    if (p == NULL) return;
    breed_done(&p->breeder);
    innovations_done(&p->innovations);
    arena_done(&p->arenas[0]);
    arena_done(&p->arenas[1]);
    free(p->genomes);
    free(p->next_genomes);
    free(p->by_species);
    free(p->species);
    free(p);
}

/* Sorts a species' members best first; of equals the lower place first, so that the order is total. */
static void sort_members(const struct population *p, uint32_t *members, uint32_t n)
{
    uint32_t gap = 1;
    while (gap < n / 3) gap = gap * 3 + 1;
    for (; gap > 0; gap /= 3)
        for (uint32_t i = gap; i < n; i++) {
            uint32_t x = members[i], j = i;
            double fitness = p->genomes[x].fitness;
            for (; j >= gap; j -= gap) {
                uint32_t y = members[j - gap];
                double other = p->genomes[y].fitness;
                if (other > fitness || (other == fitness && y < x)) break;
                members[j] = y;
            }
            members[j] = x;
        }
}

/* Sorts and rates all species. Returns the place of the one that holds the best genome. */
static uint32_t rate_species(struct population *p)
{
    double lowest = 0, best = -INFINITY;
    uint32_t best_species = 0;
    for (uint32_t i = 0; i < p->n_genomes; i++) lowest = fmin(lowest, p->genomes[i].fitness);
    for (uint32_t s = 0; s < p->n_species; s++) {
        struct species *species = &p->species[s];
        uint32_t *members = p->by_species + species->first;
        sort_members(p, members, species->n_members);
        double top = p->genomes[members[0]].fitness, sum = 0;
        for (uint32_t i = 0; i < species->n_members; i++) sum += p->genomes[members[i]].fitness - lowest;
        species->shared = sum / species->n_members;
        if (top > species->best_fitness) {
            species->best_fitness = top;
            species->improved = p->generation;
        }
        if (top > best) {
            best = top;
            best_species = s;
        }
    }
    if (best > p->best_fitness) {
        p->best_fitness = best;
        p->improved = p->generation;
    }
    return best_species;
}

/* Takes children from species that stopped improving, and from all but two when nothing improved. */
static void punish_stagnation(struct population *p, uint32_t best)
{
    uint32_t second = best;
    for (uint32_t s = 0; s < p->n_species; s++) {
        struct species *species = &p->species[s];
        if (s != best && p->generation - species->improved >= p->params.species_stagnation)
            species->shared = 0;
        double top = p->genomes[p->by_species[species->first]].fitness;
        if (s != best &&
            (second == best || top > p->genomes[p->by_species[p->species[second].first]].fitness))
            second = s;
    }
    if (p->generation - p->improved < p->params.population_stagnation) return;
    for (uint32_t s = 0; s < p->n_species; s++)
        if (s != best && s != second) p->species[s].shared = 0;
    p->improved = p->generation; /* the refocused search gets as long before this happens again */
}

/* Children in proportion to shared fitness: whole parts first, the rest to the largest remainders. */
static void allot_offspring(struct population *p)
{
    double total = 0;
    for (uint32_t s = 0; s < p->n_species; s++) total += p->species[s].shared;
    if (!(total > 0) || !isfinite(total)) {
        total = p->n_genomes;
        for (uint32_t s = 0; s < p->n_species; s++) p->species[s].shared = p->species[s].n_members;
    }
    uint32_t n_given = 0;
    for (uint32_t s = 0; s < p->n_species; s++) {
        struct species *species = &p->species[s];
        double due = species->shared / total * p->n_genomes;
        species->n_offspring = (uint32_t)due;
        species->shared = due - species->n_offspring; /* from here on the remainder */
        n_given += species->n_offspring;
    }
    for (; n_given < p->n_genomes; n_given++) {
        uint32_t pick = 0;
        for (uint32_t s = 1; s < p->n_species; s++)
            if (p->species[s].shared > p->species[pick].shared) pick = s;
        p->species[pick].n_offspring++;
        p->species[pick].shared = -1;
    }
    for (uint32_t s = 0; n_given > p->n_genomes; s = (s + 1) % p->n_species) /* rounding gave one too many */
        if (p->species[s].n_offspring > 0) {
            p->species[s].n_offspring--;
            n_given--;
        }
}

static const struct genome *draw_member(const struct population *p, const struct species *species, uint32_t n,
                                        struct rng *rng)
{
    return &p->genomes[p->by_species[species->first + (n == 1 ? 0 : rng_below(rng, n))]];
}

/* The second parent: as a rule of the same species, now and then another species' champion. */
static const struct genome *draw_mate(struct population *p, const struct species *species,
                                      uint32_t n_survivors)
{
    if (p->n_species > 1 && p->params.interspecies_rate > 0 &&
        rng_f64(&p->rng) < p->params.interspecies_rate) {
        uint32_t other = (uint32_t)rng_below(&p->rng, p->n_species);
        return draw_member(p, &p->species[other], 1, &p->rng);
    }
    return draw_member(p, species, n_survivors, &p->rng);
}

static bool breed_child(struct population *p, const struct species *species, uint32_t n_survivors)
{
    const struct genome *parent = draw_member(p, species, n_survivors, &p->rng);
    if (rng_f64(&p->rng) >= p->params.crossover_rate)
        return breed_clone(&p->breeder, parent) && breed_mutate(&p->breeder, &p->rng);
    const struct genome *mate = draw_mate(p, species, n_survivors);
    bool crossed = mate == parent ? breed_clone(&p->breeder, parent)
                                  : breed_cross(&p->breeder, parent, mate, &p->rng);
    if (!crossed) return false;
    if (mate != parent && rng_f64(&p->rng) < p->params.mate_only_rate) return true;
    return breed_mutate(&p->breeder, &p->rng);
}

static bool breed_species(struct population *p, const struct species *species, struct arena *arena,
                          uint32_t *n_born)
{
    uint32_t n_survivors = (uint32_t)ceil(p->params.survival_share * species->n_members);
    if (n_survivors < 1) n_survivors = 1;
    for (uint32_t i = 0; i < species->n_offspring; i++) {
        struct genome *born = &p->next_genomes[(*n_born)++];
        if (i == 0 && species->n_offspring >= p->params.elitism_min_offspring) {
            if (!genome_copy(arena, &p->genomes[p->by_species[species->first]], born)) return false;
            born->is_elite_copy = true;
            continue;
        }
        if (!breed_child(p, species, n_survivors) || !genome_copy(arena, &p->breeder.child, born))
            return false;
        born->id = p->next_genome_id++;
        born->is_elite_copy = false;
    }
    return true;
}

static void move_threshold(struct population *p)
{
    if (p->n_species == p->params.target_species) return;
    p->threshold += p->n_species > p->params.target_species ? p->params.threshold_step
                                                            : -p->params.threshold_step;
    if (p->threshold < p->params.smallest_threshold) p->threshold = p->params.smallest_threshold;
}

onnxd_status population_advance(struct population *p, onnxd_error *err)
{
    for (uint32_t i = 0; i < p->n_genomes; i++)
        if (!isfinite(p->genomes[i].fitness))
            return error_set(err, ONNXD_ERR_ARGUMENT, "population: the fitness of genome %u is not finite",
                             i);
    uint32_t restart = p->params.restart_generations;
    if (restart > 0 && p->generation + 1 - p->began >= restart) {
        p->generation++;
        return begin(p) ? ONNXD_OK : out_of_memory(p, err);
    }
    uint32_t best = rate_species(p);
    punish_stagnation(p, best);
    allot_offspring(p);
    for (uint32_t s = 0; s < p->n_species; s++) {
        struct species *species = &p->species[s];
        species->representative = *draw_member(p, species, species->n_members, &p->rng);
    }
    struct arena *arena = &p->arenas[1 - p->current];
    arena_reset(arena);
    uint32_t n_born = 0;
    for (uint32_t s = 0; s < p->n_species; s++)
        if (!breed_species(p, &p->species[s], arena, &n_born)) return out_of_memory(p, err);
    p->generation++;
    if (!speciate(p, p->next_genomes)) return out_of_memory(p, err);
    struct genome *old = p->genomes;
    p->genomes = p->next_genomes;
    p->next_genomes = old;
    p->current = 1 - p->current;
    population_index_species(p);
    move_threshold(p);
    return ONNXD_OK;
}

uint32_t population_best(const struct population *p)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < p->n_genomes; i++)
        if (p->genomes[i].fitness > p->genomes[best].fitness) best = i;
    return best;
}

uint64_t population_memory_bytes(const struct population *p)
{
    return p->arenas[0].used_bytes + p->arenas[1].used_bytes;
}
