/* ops/op_families.h - the list of operator families, one table each.
 *
 * Each line declares `extern const struct op_def NAME[]`, ended by an entry without a name; op_table.c
 * joins them into the look-up table. */
#ifndef OPS_OP_FAMILIES_H
#define OPS_OP_FAMILIES_H

#define OP_FAMILIES(X) X(ops_reshape)

#endif
