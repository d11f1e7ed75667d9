#include "support/loops.h"

#include "support/test.h"

static enum loop_kind kind = LOOP_EPOLL;

int on_epoll_loop(void **state)
{
    (void)state;
    kind = LOOP_EPOLL;
    return 0;
}

int on_uring_loop(void **state)
{
    (void)state;
    kind = LOOP_URING;
    return 0;
}

enum loop_kind test_loop(void)
{
    struct loop_callbacks none = {0};
    struct loop *loop = NULL;
    onnxd_error why;
    if (kind != LOOP_URING) return kind;
    if (loop_create(kind, &none, &loop, &why) != ONNXD_OK) {
        print_message("skipped: %s\n", why.message);
        skip();
    }
    loop_free(loop);
    return kind;
}
