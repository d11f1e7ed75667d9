/* Einsum against the sum over all label values, for random equations of one to four inputs. */
#include "ops/op_test.h"

enum { LABELS = 6, MAX_ELEMENTS = 4096 };

struct equation {
    char text[64], terms[4][8], out[8];
    int n;
    int64_t sizes[LABELS];
};

static struct equation random_equation(struct rng *rng)
{
    struct equation e = {.n = 1 + (int)rng_below(rng, 4)};
    bool used[LABELS] = {false};
    for (int l = 0; l < LABELS; l++) e.sizes[l] = 1 + (int64_t)rng_below(rng, 4);
    char *at = e.text;
    for (int i = 0; i < e.n; i++) {
        uint64_t rank = rng_below(rng, 4);
        for (uint64_t k = 0; k < rank; k++) {
            int label = (int)rng_below(rng, LABELS);
            used[label] = true;
            e.terms[i][k] = *at++ = (char)('a' + label);
        }
        if (i + 1 < e.n) *at++ = ',';
    }
    *at++ = '-', *at++ = '>';
    int n_out = 0;
    for (int l = LABELS; l-- > 0;) /* backwards, so that the output is not in the inputs' order */
        if (used[l] && n_out < 4 && rng_below(rng, 2) == 0) e.out[n_out++] = *at++ = (char)('a' + l);
    return e;
}

static int64_t offset_of(const struct equation *e, const char *term, const int64_t *value)
{
    int64_t at = 0;
    for (; *term != 0; term++) at = at * e->sizes[*term - 'a'] + value[*term - 'a'];
    return at;
}

static void reference(const struct equation *e, float *const *in, double *out)
{
    int64_t value[LABELS] = {0};
    for (int64_t l = LABELS; l >= 0;) {
        bool counts = true; /* labels that no input has stay 0 */
        for (int k = 0; k < LABELS; k++) {
            bool used = false;
            for (int i = 0; i < e->n; i++) used = used || strchr(e->terms[i], 'a' + k) != NULL;
            counts = counts && (used || value[k] == 0);
        }
        double product = 1;
        for (int i = 0; i < e->n; i++) product *= (double)in[i][offset_of(e, e->terms[i], value)];
        if (counts) out[offset_of(e, e->out, value)] += product;
        for (l = LABELS - 1; l >= 0 && ++value[l] == e->sizes[l]; l--) value[l] = 0;
    }
}

static void random_equations_match_their_sums(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    static float data[4][MAX_ELEMENTS];
    float *const in[4] = {data[0], data[1], data[2], data[3]};
    for (int i = 0; i < 4 * MAX_ELEMENTS; i++)
        data[i / MAX_ELEMENTS][i % MAX_ELEMENTS] = rng_f32(&rng) - 0.5f;
    for (int round = 0; round < 500; round++) {
        struct equation e = random_equation(&rng);
        struct op_test t;
        onnxd_error err;
        double want[MAX_ELEMENTS] = {0};
        int64_t n_out = 1;
        op_test_start(&t, "Einsum", 13);
        op_test_string(&t, "equation", e.text);
        for (int i = 0; i < e.n; i++) {
            int64_t dims[8];
            uint32_t rank = (uint32_t)strlen(e.terms[i]);
            for (uint32_t k = 0; k < rank; k++) dims[k] = e.sizes[e.terms[i][k] - 'a'];
            op_test_input(&t, ONNXD_FLOAT32, rank, dims, data[i]);
        }
        for (const char *p = e.out; *p != 0; p++) n_out *= e.sizes[*p - 'a'];
        reference(&e, in, want);
        onnxd_status status = op_test_run(&t, 1, &err);
        if (status != ONNXD_OK) fail_msg("%s: %s", e.text, err.message);
        op_test_expect(&t.out[0], want, n_out, 2e-4);
        op_test_end(&t);
    }
}

static void ellipses_broadcast(void **state)
{
    (void)state;
    float a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 10, 100};
    const double want[] = {321, 654};
    struct op_test t;
    onnxd_error err;
    op_test_start(&t, "Einsum", 12);
    op_test_string(&t, "equation", "...i, ...i");
    op_test_input(&t, ONNXD_FLOAT32, 2, (int64_t[]){2, 3}, a);
    op_test_input(&t, ONNXD_FLOAT32, 1, (int64_t[]){3}, b);
    assert_ok(op_test_run(&t, 1, &err), err);
    op_test_expect(&t.out[0], want, 2, 1e-6);
    op_test_end(&t);
}

static void wrong_equations_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *equation;
        onnxd_status status;
        const char *says;
    } cases[] = {{"i$->i", ONNXD_ERR_MODEL, "unexpected '$'"},
                 {"i->ii", ONNXD_ERR_MODEL, "twice"},
                 {"i->j", ONNXD_ERR_MODEL, "no input"},
                 {"i,j->ij", ONNXD_ERR_MODEL, "not one term"},
                 {"ij->i", ONNXD_ERR_SHAPE, "rank 1, its term 2"},
                 {"i->i->i", ONNXD_ERR_MODEL, "more than one"},
                 {"....->", ONNXD_ERR_MODEL, "unexpected '.'"}};
    float a[2] = {1, 2};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct op_test t;
        onnxd_error err;
        op_test_start(&t, "Einsum", 12);
        op_test_string(&t, "equation", cases[i].equation);
        op_test_input(&t, ONNXD_FLOAT32, 1, (int64_t[]){2}, a);
        assert_fails(op_test_run(&t, 1, &err), cases[i].status, err, cases[i].says);
        op_test_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_equations_match_their_sums),
        cmocka_unit_test(ellipses_broadcast),
        cmocka_unit_test(wrong_equations_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
