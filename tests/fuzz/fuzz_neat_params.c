/* Parameter files of any content: refused with a message, or read so that printing gives the same again. */
#include <stdint.h>
#include <stdlib.h>

#include "neat/neat_params.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct neat_params params, back;
    onnxd_error err;
    err.message[0] = 0;
    if (neat_params_parse((const char *)bytes, n, &params, &err) != ONNXD_OK) {
        if (err.message[0] == 0) abort();
        return 0;
    }
    struct buf out;
    buf_init(&out, 1 << 20);
    neat_params_print(&params, "fuzz", &out);
    if (neat_params_parse(out.data, out.n, &back, &err) != ONNXD_OK || !neat_params_equal(&params, &back))
        abort();
    buf_done(&out);
    return 0;
}
