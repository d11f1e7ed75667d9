/* ctr/interactions.h - which fields, pairs and triples of fields act in a way that a model misses.
 *
 * All combinations are scored by interaction_test.h, and those that stand out are taken one by one, forward:
 *
 * First single fields: the largest z that stands out is found, its effects are taken out of the residuals,
 * and those at or above the threshold are scored again, until none stands out. What a field alone is
 * misjudged by would show in every pair that holds it. Single fields are told, never crossed.
 *
 * Then pairs and triples, against what is left, in the same way. One list for both: where the effect is a
 * pair's, the pair's z exceeds that of any triple that holds it, which tests the same effect in cells that
 * know less each; where it is a triple's, the triple's exceeds that of its pairs, in which it averages out
 * (Cauchy and Schwarz). So neither subsets nor supersets of what was found are barred: once it is taken out
 * they count as all others do, if they still stand out. A triple replaces a pair only by a z more than 1 %
 * larger, since a third field that follows from the others (a city's region) changes rounding and no more.
 *
 * Standing out means z of at least the threshold and, for all tests of the run together, a chance of at most
 * 5 % that any of them says so where nothing is missed (Bonferroni: chance times number of tests). What was
 * below the threshold is not scored again.
 *
 * Bounds: triples of at most 40 fields (9,880) and pairs of at most 200 (19,900). With more than 40, triples
 * are left out, which is told. Time: a pass over all rows for each combination, and at most
 * (max_found + n_fields) passes for each at or above the threshold; 5 million rows take about 0.03 s of a
 * core a pass.
 *
 * Threads: combinations are shared out; the result is the same for any number, to the bit. */
#ifndef CTR_INTERACTIONS_H
#define CTR_INTERACTIONS_H

#include "base/buf.h"
#include "ctr/interaction_test.h"

enum { INTERACTIONS_TRIPLE_FIELDS = 40, INTERACTIONS_PAIR_FIELDS = 200, INTERACTIONS_MAX_FOUND = 32 };

#define INTERACTIONS_CHANCE 0.05

struct interactions_options {
    double threshold;   /* of z, above 0 */
    uint32_t max_found; /* most pairs and triples, 1..INTERACTIONS_MAX_FOUND */
    bool triples;
    void (*progress)(void *context, uint64_t done, uint64_t total); /* combinations; NULL: none */
    void *progress_context;
};

struct interaction {
    struct interaction_combination of;
    struct interaction_score score; /* when it was found; else when last scored */
    double first_z; /* when first scored: for pairs and triples, without missed single fields */
    double chance;  /* score.chance for all tests of the run, at most 1 */
    uint32_t found; /* 1 for the first found, ..; 0: not found */
};

struct interactions {
    const struct interaction_rows *rows;
    struct interaction *all; /* [n] singles, then pairs, then triples */
    uint32_t n;
    uint32_t order[INTERACTIONS_PAIR_FIELDS + INTERACTIONS_MAX_FOUND]; /* [n_found] places in all, as found */
    uint32_t n_found;
    uint32_t n_singles;    /* all[0, n_singles) are of one field */
    uint32_t n_not_tested; /* rows could lie in too many of their cells */
    bool without_triples;  /* there are too many fields for them */
    double threshold;
};

/* Borrows rows and threads; rows must outlive the result. ONNXD_ERR_RANGE: options, no rows, one class;
 * ONNXD_ERR_LIMIT: too many fields; ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status interactions_find(const struct interaction_rows *rows,
                                              const struct interactions_options *options,
                                              struct threads *threads, struct interactions *ret,
                                              onnxd_error *err);
void interactions_done(struct interactions *interactions); /* takes a zeroed one */

/* Whether it was found and fit --cross can name it. */
bool interaction_is_for_cross(const struct interactions *in, const struct interaction *interaction);

/* ---- as people and programs read it ---- */

struct interactions_source {
    const char *model, *data; /* names, for headings */
};

/* "A*B". */
void interaction_name(const struct interactions *in, const struct interaction *interaction, struct buf *out);

/* The value for fit --cross, "A*B,C*D*E"; nothing where nothing was found that it can name. */
void interactions_cross(const struct interactions *in, struct buf *out);

/* Its last line is the value for fit --cross. */
void interactions_text(const struct interactions *in, struct buf *out);

/* ONNXD_ERR_LIMIT, ONNXD_ERR_RANGE. */
ONNXD_MUST_USE onnxd_status interactions_json(const struct interactions *in,
                                              const struct interactions_source *source, struct buf *out,
                                              onnxd_error *err);

/* One page without script or other files. */
void interactions_html(const struct interactions *in, const struct interactions_source *source,
                       struct buf *out);

#endif
