/* features/feature_learner.h - learns a feature set from records that pass by once.
 *
 *     feature_learner_create(plan, names, n_names, &learner, &err);
 *     while (...) feature_learner_add(learner, fields, &err);      // one record after another
 *     feature_learner_finish(learner, &set, &err);
 *
 * Memory is bounded: a vocabulary counts four times the values it may keep and, when that is full, forgets
 * the rarer half (value_counts.h); numbers leave their moments and a reservoir (number_sketch.h). The same
 * records give the same set.
 *
 * Ownership: the learner borrows the plan and copies the rest.
 * Threads:   one at a time. */
#ifndef FEATURES_FEATURE_LEARNER_H
#define FEATURES_FEATURE_LEARNER_H

#include "features/feature_plan.h"
#include "features/feature_set.h"

struct feature_learner;

/* `names`: the fields of the records. A field that the plan names and that is not among them is
 * ONNXD_ERR_NOT_FOUND, except for the label and the weight. ONNXD_ERR_LIMIT, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status feature_learner_create(const struct feature_plan *plan, const char *const *names,
                                                   uint32_t n_names, struct feature_learner **ret_learner,
                                                   onnxd_error *err);
void feature_learner_free(struct feature_learner *learner); /* takes NULL */

/* Learns from one record, fields[n_names]. ONNXD_ERR_TYPE (a text where a number is due; names the field),
 * ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status feature_learner_add(struct feature_learner *learner,
                                                const struct field_value *fields, onnxd_error *err);

/* Makes the set. ONNXD_ERR_FORMAT when no record came or no feature is left; ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status feature_learner_finish(struct feature_learner *learner,
                                                   struct feature_set **ret_set, onnxd_error *err);

#endif
