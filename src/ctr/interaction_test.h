/* ctr/interaction_test.h - do some fields act together in a way that a model misses?
 *
 * A score test of a variance component (Lin 1997, "Variance component testing in generalised linear models
 * with random effects"). Let the log-odds of row i be the model's eta_i plus the sum over cells c of x_ic
 * b_c. The cells are the combinations of the fields' ids; x_ic is 1 in the row's cell. A multi-valued field
 * puts a row with k values into k cells with a share of 1/k each (two such fields into k k' with 1/(k k')),
 * as the model takes their mean. The effects b_c are random, independent, of mean 0 and variance tau^2. H0:
 * tau^2 = 0.
 *
 * With weights w, p = sigma(eta), v = p (1 - p), a_ic = x_ic w_i and the residuals e_i = y_i - p_i:
 *
 *     R_c = sum_i a_ic e_i         dl/db_c at b = 0
 *     S_c = sum_i a_ic^2 v_i       its variance
 *     I_c = sum_i x_ic^2 w_i v_i   -d^2 l/db_c^2, by which R_c gains in mean with b_c; S_c where w is 1
 *     T   = sum_c g_c (R_c^2 - S_c)
 *
 * The derivative of the marginal log-likelihood by tau^2 at 0 is (1/2) sum_c (R_c^2 - I_c): with w = 1 that
 * is T / 2 with g = 1, the most powerful test against effects next to nothing. Cells of a log are of very
 * unequal sizes, and there a few large ones decide it. Against effects of variance t^2, where R_c is about
 * normal with variance S_c + t^2 I_c^2, the likelihood ratio (Neyman and Pearson) is a sum of R_c^2 times t^2
 * I_c^2 / (S_c (S_c + t^2 I_c^2)), so the test counts a cell
 *
 *     g_c = (I_c / S_c)^2 / (1 + t^2 I_c^2 / S_c),   t = 0.05
 *
 * It is of mean 0 under H0 whatever w and g are. Its variance follows from the cumulants of a Bernoulli
 * residual, k2 = v and k4 = v (1 - 6v), as cumulants of independent sums add up and E R^4 = 3 S^2 + k4(R):
 *
 *     Var R_c^2         = 2 S_c^2  + sum_i a_ic^4 k4_i
 *     Cov(R_c^2, R_d^2) = 2 C_cd^2 + sum_i a_ic^2 a_id^2 k4_i,   C_cd = sum_i a_ic a_id v_i
 *     Var T = 2 sum_c g_c^2 S_c^2 + 2 sum_{c != d} g_c g_d C_cd^2 + Q,   Q = sum_i k4_i (sum_c g_c a_ic^2)^2
 *     z     = T / sqrt(Var T)
 *
 * C_cd is 0 unless a row lies in several cells. Its squares are summed by a sketch of random signs (Alon,
 * Matias and Szegedy 1996; count sketch: Charikar, Chen and Farach-Colton 2002): unbiased, with a relative
 * error of sqrt(2 / 65536). With effects, E R_c^2 = S_c + tau^2 I_c^2 (where cells do not share rows), so
 * tau^2 = T / sum_c g_c I_c^2 estimates their variance; rows in several cells make it a little too large.
 *
 * T is a sum of squares: with few cells its right tail is much longer than a normal one, and z of 5 is
 * nothing for two cells. `chance`, the probability of such a T under H0, is that of the shifted gamma
 * distribution of the same mean, variance and third moment, by Wilson and Hilferty's cube root (1931). The
 * third moment of R_c^2 is k6 + 12 k4 k2 + 10 k3^2 + 8 k2^3, with k2 = S_c; k3^2 and k4 k2 are at most e S^2
 * and k6 at most e^2 S, where e is the mean square weight (bounds for equal weights, else as if each row had
 * the mean one). Summed over cells that is g^3 (8 S^3 + 22 e S^2 + e^2 S). Overlaps of cells are left out of
 * it.
 *
 * On rows that the model was trained on, residuals of what it learnt are shrunk, so T of learnt combinations
 * is below 0 and only what it missed stands out. On other rows the errors of what it learnt stand out as
 * well.
 *
 * Cells beyond a table of 2^21 share its places by a hash: an effect is diluted, none is made up.
 * Memory: 12 bytes a row; 16 MiB; for each thread 48 MiB where all is single-valued and of weight 1,
 * else 64.5; less for fewer rows.
 *
 * Threads: score by as many workers as were told at once; others alone. Results do not depend on them. */
#ifndef CTR_INTERACTION_TEST_H
#define CTR_INTERACTION_TEST_H

#include "base/threads.h"
#include "ctr/interaction_rows.h"

enum { INTERACTION_MAX_FIELDS = 3, INTERACTION_MAX_CELLS_A_ROW = 32 };

#define INTERACTION_EXPECTED_DEVIATION 0.05 /* t: in log-odds */

struct interaction_combination {
    uint32_t fields[INTERACTION_MAX_FIELDS], n; /* 1 to 3 different ones, by number */
};

struct interaction_score {
    double z;
    double variance;  /* tau^2, in log-odds squared; below 0 where there is less than nothing to find */
    double chance;    /* of such a T, or a larger one, where nothing is missed: this test alone */
    uint64_t n_cells; /* with rows */
};

struct interaction_test;

/* Borrows rows and threads. ONNXD_ERR_RANGE: no rows, or one class only; ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status interaction_test_create(const struct interaction_rows *rows,
                                                    struct threads *threads, struct interaction_test **ret,
                                                    onnxd_error *err);
void interaction_test_free(struct interaction_test *test); /* takes NULL */

/* Whether no row can lie in more than INTERACTION_MAX_CELLS_A_ROW cells: others are not tested. */
bool interaction_is_testable(const struct interaction_rows *rows, const struct interaction_combination *c);

/* One combination against the residuals as they are. worker: 0 to threads - 1. */
void interaction_test_score(struct interaction_test *test, const struct interaction_combination *c,
                            uint32_t worker, struct interaction_score *ret);

/* Takes a combination's effects out of the residuals, approximately: each b_c becomes its best prediction for
 * effects of that variance (> 0), the mode of the penalised likelihood, b_c = (R_c(b) I_c / S_c) tau^2,
 * reached by Newton steps of at most 1. Each step divides by sum_i x_ic w_i v_i instead of I_c, which bounds
 * the Hessian of cells that share rows. Uses all threads. */
void interaction_test_remove(struct interaction_test *test, const struct interaction_combination *c,
                             double variance);

#endif
