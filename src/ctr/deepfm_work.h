/* ctr/deepfm_work.h - what the two halves of a step share: deepfm_forward.c goes through the rows and back,
 * deepfm_update.c forms the gradients of parameters and applies them. */
#ifndef CTR_DEEPFM_WORK_H
#define CTR_DEEPFM_WORK_H

#include "ctr/ctr_kernels.h"
#include "ctr/deepfm_step.h"
#include "kernels/kernels.h"

enum { DEEPFM_BLOCK = 128, DEEPFM_MAX_SLICES = 1024 };

/* Of one worker. */
struct deepfm_scratch {
    float *matmul;   /* [F32_MATMUL_SCRATCH] */
    float *gradient; /* [DEEPFM_BLOCK, DEEPFM_BLOCK] */
    float *sums;     /* [occurrences, n_own] of the ids of one field */
    uint32_t *seen;  /* [occurrences] their rows */
    uint64_t *bits;  /* random, for one row of the widest layer */
    float *column;   /* [widest] */
};

struct deepfm_hidden {
    float *packed, *packed_back; /* of this step's weights */
    float *y, *d;                /* [batch, ld] outputs and gradients before the activation */
    size_t ld;
};

struct deepfm_slice {
    double loss;
    uint64_t bad_row; /* UINT64_MAX: none */
    uint32_t bad_column;
    float bad_value;
};

struct deepfm_work {
    struct deepfm *model;
    const struct deepfm_settings *settings; /* NULL: predictions only */
    struct threads *threads;
    const struct kernels *kernels;
    const struct ctr_kernels *ctr;
    uint32_t batch;
    struct arena arena;
    size_t ldx;
    float *x, *dx;      /* [batch, ldx] embeddings, numbers, factors; their gradients */
    float *sum;         /* [batch, embedding] of a row's embeddings */
    float *z, *dz;      /* [batch] log-odds; their gradients */
    float *share;       /* [batch, n_fields + n_factors] what a table row of theirs counts */
    uint32_t *ids;      /* [batch, n_places] rows of the table; FEATURE_NO_ID: padding */
    uint32_t *numbered; /* [n_rows] place in a field's list of ids seen, from 1; 0 between steps */
    struct deepfm_hidden hidden[CTR_MAX_HIDDEN];
    struct deepfm_scratch *scratch; /* [threads] */
    struct deepfm_slice *slices;
    bool packed; /* for the weights as they are */
    /* of the batch under way */
    const struct encoded_rows *rows;
    const uint64_t *index; /* NULL: rows first.. */
    uint64_t first;
    uint32_t n, slice_rows, n_slices;
    bool training;
    uint64_t step;
    struct rng dropout;
    struct ctr_step own, linear, layers; /* of embeddings, linear weights, layers */
    float *field_penalty;                /* [n_fields] factor on own.l2 */
};

/* Row number of the batch's row b. */
static inline uint64_t deepfm_row_number(const struct deepfm_work *w, uint32_t b)
{
    return w->index != NULL ? w->index[b] : w->first + b;
}

/* Forward, and back to the gradients of the layers' inputs when training. ONNXD_ERR_RANGE. */
ONNXD_MUST_USE onnxd_status deepfm_run_slices(struct deepfm_work *work, onnxd_error *err);

/* Parameters take their step. */
void deepfm_update(struct deepfm_work *work);

#endif
