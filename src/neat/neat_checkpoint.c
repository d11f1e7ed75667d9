#include "neat/neat_checkpoint.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"

enum {
    GENE_BYTES = 16,
    NODE_BYTES = 8,
    GENOME_BYTES = 28,
    LINK_BYTES = 9,
    SPLIT_BYTES = 8,
    SPECIES_BYTES = 20
};

void genome_save(const struct genome *genome, struct buf *out)
{
    bytes_put_u64(out, genome->id);
    bytes_put_u32(out, genome->species);
    bytes_put_u32(out, genome->is_elite_copy);
    bytes_put_u32(out, genome->n_nodes);
    for (uint32_t i = 0; i < genome->n_nodes; i++) {
        bytes_put_u32(out, genome->nodes[i].id);
        bytes_put_u32(out, genome->nodes[i].activation);
    }
    bytes_put_u32(out, genome->n_genes);
    for (uint32_t i = 0; i < genome->n_genes; i++) {
        const struct gene *g = &genome->genes[i];
        bytes_put_u32(out, g->innovation);
        bytes_put_u32(out, g->from | (uint32_t)g->enabled << 31);
        bytes_put_u32(out, g->to | (uint32_t)g->recurrent << 31);
        bytes_put_f32(out, g->weight);
    }
}

onnxd_status genome_load(struct byte_reader *in, struct arena *arena, struct genome *ret_genome,
                         onnxd_error *err)
{
    struct genome genome = {0};
    genome.id = bytes_get_u64(in);
    genome.species = bytes_get_u32(in);
    genome.is_elite_copy = bytes_get_u32(in) != 0;
    genome.n_nodes = bytes_get_count(in, NODE_BYTES);
    genome.nodes = arena_alloc_array(arena, genome.n_nodes, sizeof *genome.nodes);
    if (genome.nodes == NULL)
        return error_set(err, ONNXD_ERR_LIMIT, "genome: %u nodes are too many", genome.n_nodes);
    for (uint32_t i = 0; i < genome.n_nodes; i++) {
        genome.nodes[i].id = bytes_get_u32(in);
        genome.nodes[i].activation = bytes_get_u32(in);
    }
    genome.n_genes = bytes_get_count(in, GENE_BYTES);
    genome.genes = arena_alloc_array(arena, genome.n_genes, sizeof *genome.genes);
    if (genome.genes == NULL)
        return error_set(err, ONNXD_ERR_LIMIT, "genome: %u genes are too many", genome.n_genes);
    for (uint32_t i = 0; i < genome.n_genes; i++) {
        struct gene *g = &genome.genes[i];
        g->innovation = bytes_get_u32(in);
        uint32_t from = bytes_get_u32(in), to = bytes_get_u32(in);
        g->from = from & INT32_MAX;
        g->enabled = from >> 31;
        g->to = to & INT32_MAX;
        g->recurrent = to >> 31;
        g->weight = bytes_get_f32(in);
    }
    if (in->failed) return error_set(err, ONNXD_ERR_FORMAT, "genome: the bytes end too early");
    *ret_genome = genome;
    return ONNXD_OK;
}

static void save_innovations(const struct innovations *in, struct buf *out)
{
    bytes_put_u32(out, in->n_links);
    for (uint32_t i = 0; i < in->n_links; i++) {
        bytes_put_u32(out, in->links[i].from);
        bytes_put_u32(out, in->links[i].to);
        buf_append_char(out, in->links[i].recurrent);
    }
    bytes_put_u32(out, in->n_splits);
    for (uint32_t i = 0; i < in->n_splits; i++) {
        bytes_put_u32(out, in->splits[i].innovation);
        bytes_put_u32(out, in->splits[i].turn);
    }
}

void population_save(const struct population *p, struct buf *out)
{
    struct buf params;
    buf_init(&params, 1 << 20);
    neat_params_print(&p->params, "parameters of the run", &params);
    bytes_put_string(out, params.data, (uint32_t)params.n);
    if (params.failed) out->failed = true;
    buf_done(&params);
    bytes_put_u32(out, p->shape.n_inputs);
    bytes_put_u32(out, p->shape.n_outputs);
    bytes_put_u32(out, p->generation);
    bytes_put_u32(out, p->began);
    bytes_put_u32(out, p->improved);
    bytes_put_f64(out, p->best_fitness);
    bytes_put_f64(out, p->threshold);
    bytes_put_u64(out, p->next_genome_id);
    bytes_put_u32(out, p->next_species_id);
    for (int i = 0; i < 4; i++) bytes_put_u64(out, p->rng.s[i]);
    save_innovations(&p->innovations, out);
    bytes_put_u32(out, p->n_species);
    for (uint32_t i = 0; i < p->n_species; i++) {
        bytes_put_u32(out, p->species[i].id);
        bytes_put_u32(out, p->species[i].born);
        bytes_put_u32(out, p->species[i].improved);
        bytes_put_f64(out, p->species[i].best_fitness);
    }
    for (uint32_t i = 0; i < p->n_genomes; i++) genome_save(&p->genomes[i], out);
}

static onnxd_status load_innovations(struct byte_reader *in, const struct genome_shape *shape,
                                     struct innovations *ret, onnxd_error *err)
{
    uint32_t n_links = bytes_get_count(in, LINK_BYTES), first_output = shape_first_output(shape);
    for (uint32_t i = 0; i < n_links; i++) {
        uint32_t from = bytes_get_u32(in), to = bytes_get_u32(in);
        bool recurrent = bytes_get_number(in, 1) != 0;
        if (from > GENOME_MAX_NODE || to > GENOME_MAX_NODE || to < first_output ||
            (recurrent && !shape->recurrent))
            return error_set(err, ONNXD_ERR_FORMAT, "checkpoint: innovation %u cannot be a link", i);
        uint32_t number = innovations_link(ret, from, to, recurrent);
        if (number == INNOVATION_NONE)
            return error_set(err, ONNXD_ERR_NOMEM, "checkpoint: no memory for %u innovations", n_links);
        if (number != i)
            return error_set(err, ONNXD_ERR_FORMAT, "checkpoint: innovation %u stands twice", number);
    }
    uint32_t n_splits = bytes_get_count(in, SPLIT_BYTES);
    for (uint32_t i = 0; i < n_splits; i++) {
        uint32_t innovation = bytes_get_u32(in), turn = bytes_get_u32(in), node = innovations_n_nodes(ret);
        if (innovation >= ret->n_links)
            return error_set(err, ONNXD_ERR_FORMAT, "checkpoint: node %u splits unknown innovation %u", node,
                             innovation);
        uint32_t number = innovations_split(ret, innovation, turn);
        if (number == INNOVATION_NONE)
            return error_set(err, ONNXD_ERR_NOMEM, "checkpoint: no memory for %u nodes", n_splits);
        if (number != node)
            return error_set(err, ONNXD_ERR_FORMAT, "checkpoint: node %u stands twice", number);
    }
    if (in->failed)
        return error_set(err, ONNXD_ERR_FORMAT, "checkpoint: the bytes end within the innovations");
    return ONNXD_OK;
}

/* A genome of the run: sound by itself and made of the run's own innovations and species. */
static onnxd_status check_member(struct population *p, const struct genome *genome, onnxd_error *err)
{
    onnxd_status status = genome_check(&p->breeder.marks, genome, &p->shape, err);
    if (status != ONNXD_OK) return status;
    if (genome->nodes[genome->n_nodes - 1].id >= innovations_n_nodes(&p->innovations))
        return error_set(err, ONNXD_ERR_FORMAT, "node %u was never made",
                         genome->nodes[genome->n_nodes - 1].id);
    for (uint32_t i = 0; i < genome->n_genes; i++) {
        const struct gene *g = &genome->genes[i];
        if (g->innovation >= p->innovations.n_links)
            return error_set(err, ONNXD_ERR_FORMAT, "innovation %u was never made", g->innovation);
        const struct innovation_link *link = &p->innovations.links[g->innovation];
        if (link->from != g->from || link->to != g->to || link->recurrent != g->recurrent)
            return error_set(err, ONNXD_ERR_FORMAT, "gene %u is another link than its innovation",
                             g->innovation);
    }
    if (p->species[population_species_place(p, genome->species)].id != genome->species)
        return error_set(err, ONNXD_ERR_FORMAT, "its species %u does not exist", genome->species);
    return ONNXD_OK;
}

static onnxd_status load_species(struct byte_reader *in, struct population *p, onnxd_error *err)
{
    uint32_t n = bytes_get_count(in, SPECIES_BYTES);
    if (n < 1 || n > p->n_genomes)
        return error_set(err, ONNXD_ERR_FORMAT, "checkpoint: %u species for %u genomes", n, p->n_genomes);
    if (p->next_species_id > UINT32_MAX / 2) /* ids would run over, and no run has so many */
        return error_set(err, ONNXD_ERR_FORMAT, "checkpoint: next species %u is impossible",
                         p->next_species_id);
    struct species *species = calloc(n, sizeof *species);
    if (species == NULL) return error_set(err, ONNXD_ERR_NOMEM, "checkpoint: no memory for %u species", n);
    free(p->species);
    p->species = species;
    p->n_species = p->species_capacity = n;
    for (uint32_t i = 0; i < n; i++) {
        struct species *s = &species[i];
        s->id = bytes_get_u32(in);
        s->born = bytes_get_u32(in);
        s->improved = bytes_get_u32(in);
        s->best_fitness = bytes_get_f64(in);
        if ((i > 0 && s->id <= species[i - 1].id) || s->id >= p->next_species_id || s->born > p->generation ||
            s->improved > p->generation || isnan(s->best_fitness) || s->best_fitness > 1.7976931348623157e308)
            return error_set(err, ONNXD_ERR_FORMAT, "checkpoint: species %u is impossible", s->id);
    }
    return ONNXD_OK;
}

static onnxd_status load_counters(struct byte_reader *in, struct population *p, onnxd_error *err)
{
    p->generation = bytes_get_u32(in);
    p->began = bytes_get_u32(in);
    p->improved = bytes_get_u32(in);
    p->best_fitness = bytes_get_f64(in);
    p->threshold = bytes_get_f64(in);
    p->next_genome_id = bytes_get_u64(in);
    p->next_species_id = bytes_get_u32(in);
    uint64_t any = 0;
    for (int i = 0; i < 4; i++) any |= p->rng.s[i] = bytes_get_u64(in);
    if (in->failed || any == 0 || p->improved > p->generation || p->began > p->generation ||
        p->generation == UINT32_MAX || isnan(p->best_fitness) || p->best_fitness > 1.7976931348623157e308 ||
        !isfinite(p->threshold))
        return error_set(err, ONNXD_ERR_FORMAT, "checkpoint: its counters are impossible");
    return ONNXD_OK;
}

/* Parameters and shape, and the empty population they ask for. */
static onnxd_status load_head(struct byte_reader *in, uint64_t memory_limit_bytes, struct population **ret,
                              onnxd_error *err)
{
    uint32_t n = 0;
    const char *text = bytes_get_string(in, &n);
    struct neat_params params;
    if (text == NULL)
        return error_set(err, ONNXD_ERR_FORMAT, "checkpoint: the bytes end within the parameters");
    onnxd_status status = neat_params_parse(text, n, &params, err);
    if (status != ONNXD_OK) return status;
    struct genome_shape shape = {.recurrent = params.recurrent};
    shape.n_inputs = bytes_get_u32(in);
    shape.n_outputs = bytes_get_u32(in);
    size_t left = in->failed ? 0 : (size_t)(in->end - in->at);
    if (left / GENOME_BYTES < params.population_size || shape.n_outputs > left)
        return error_set(err, ONNXD_ERR_FORMAT, "checkpoint: too short for its %u genomes",
                         params.population_size);
    return population_alloc(&params, &shape, 0, memory_limit_bytes, ret, err);
}

onnxd_status population_load(struct byte_reader *in, uint64_t memory_limit_bytes,
                             struct population **ret_population, onnxd_error *err)
{
    struct population *p = NULL;
    onnxd_status status = load_head(in, memory_limit_bytes, &p, err);
    if (status == ONNXD_OK) status = load_counters(in, p, err);
    if (status == ONNXD_OK) status = load_innovations(in, &p->shape, &p->innovations, err);
    if (status == ONNXD_OK) status = load_species(in, p, err);
    for (uint32_t i = 0; status == ONNXD_OK && i < p->n_genomes; i++) {
        status = genome_load(in, &p->arenas[0], &p->genomes[i], err);
        if (status == ONNXD_OK) status = check_member(p, &p->genomes[i], err);
        if (status != ONNXD_OK) error_prefix(err, "checkpoint, genome %u: ", i);
    }
    if (status != ONNXD_OK) {
        population_free(p);
        return status;
    }
    population_index_species(p);
    *ret_population = p;
    return ONNXD_OK;
}
