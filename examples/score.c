/* score.c - the shortest useful program around libonnxd: one row through a model.
 *
 *     cc score.c $(pkg-config --cflags --libs onnxd) -o score
 *     ./score model.onnx 4 15 1 1 1 3321 282 2 77 13 0.728 0.09 0.5 0.25 0.125
 *
 * Takes a model with one float input [batch, n] and n numbers; prints the outputs. */
#include <stdio.h>
#include <stdlib.h>

#include <onnxd/onnxd.h>

int main(int argc, char **argv)
{
    onnxd_model *model = NULL;
    onnxd_session *session = NULL;
    onnxd_error err;
    float row[256];
    int status = EXIT_FAILURE, n = argc - 2;

    if (n < 1 || n > 256) {
        fprintf(stderr, "usage: score MODEL NUMBER...\n");
        return 64;
    }
    for (int i = 0; i < n; i++) row[i] = strtof(argv[i + 2], NULL);

    if (onnxd_model_load(argv[1], NULL, &model, &err) != ONNXD_OK) goto failed;
    if (onnxd_session_create(model, NULL, &session, &err) != ONNXD_OK) goto failed;

    onnxd_tensor in = {.type = ONNXD_FLOAT32, .rank = 2, .dims = {1, n}, .data = row}, out;
    if (onnxd_session_run(session, &in, 1, &out, 1, &err) != ONNXD_OK) goto failed;
    for (int64_t i = 0; i < onnxd_tensor_n_elements(&out); i++)
        printf("%.9g\n", (double)((const float *)out.data)[i]);
    status = EXIT_SUCCESS;
    goto out;
failed:
    fprintf(stderr, "%s\n", err.message);
out:
    onnxd_session_free(session);
    onnxd_model_unref(model);
    return status;
}
