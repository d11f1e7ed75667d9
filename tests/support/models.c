#include "support/models.h"

#include <math.h>

#include "support/test.h"

const char *stored_model_path(const char *name)
{
    char relative[64];
    snprintf(relative, sizeof relative, "models/%s.onnx", name);
    return shared_path(relative);
}

static void read_floats(const char *name, const char *kind, float *into, size_t n)
{
    char relative[64];
    snprintf(relative, sizeof relative, "models/%s.%s.f32", name, kind);
    FILE *f = fopen(shared_path(relative), "rb");
    assert_non_null(f);
    assert_int_equal(fread(into, sizeof *into, n, f), n);
    fclose(f);
}

void stored_read(const char *name, struct stored *ret)
{
    read_floats(name, "input", ret->in, STORED_ROWS * STORED_COLUMNS);
    read_floats(name, "output", ret->out, STORED_ROWS);
}

double stored_worst_difference(onnxd_session *session, struct stored *stored, int64_t batch)
{
    double worst = 0;
    for (int64_t first = 0; first < STORED_ROWS; first += batch) {
        int64_t rows = first + batch <= STORED_ROWS ? batch : STORED_ROWS - first;
        onnxd_tensor in = {ONNXD_FLOAT32, 2, {rows, STORED_COLUMNS}, stored->in + first * STORED_COLUMNS},
                     out;
        onnxd_error err;
        assert_ok(onnxd_session_run(session, &in, 1, &out, 1, &err), err);
        assert_int_equal(out.type, ONNXD_FLOAT32);
        assert_int_equal(onnxd_tensor_n_elements(&out), rows);
        for (int64_t i = 0; i < rows; i++) {
            double difference = fabs((double)((const float *)out.data)[i] - (double)stored->out[first + i]);
            if (!(difference <= worst)) worst = difference;
        }
    }
    return worst;
}
