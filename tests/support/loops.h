/* support/loops.h - runs a test once on each event loop.
 *
 *     ON_BOTH_LOOPS(test)         in the table of tests: test_epoll and test_io_uring
 *     options.loop = test_loop()  in the test; skips it, with a word, where the kernel forbids io_uring */
#ifndef SUPPORT_LOOPS_H
#define SUPPORT_LOOPS_H

#include "net/loop.h"

#define ON_BOTH_LOOPS(test)                                \
    {#test "_epoll", test, on_epoll_loop, NULL, NULL},     \
    {                                                      \
#test "_io_uring", test, on_uring_loop, NULL, NULL \
    }

int on_epoll_loop(void **state);
int on_uring_loop(void **state);
enum loop_kind test_loop(void);

#endif
