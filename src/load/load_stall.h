/* load/load_stall.h - what a stall must look like in a true measurement.
 *
 * A server is stopped for S while requests fall due at rate L; then it answers at its full rate C until
 * the backlog is gone. A request due a time `a` into the stall waits S - a for its end and L a / C for
 * those before it: S - a (1 - L/C). All others are answered at once, so in a run of length T the slowest
 * share f of requests are those due in the first f T of the stall, and the quantile is
 *     S - f T (1 - L/C)      while f T is less than the time the backlog takes to go, S / (1 - L/C).
 * With T = 5 s and S = 500 ms: p99 = 450 ms + 50 ms L/C, p99.9 = 495 ms + 5 ms L/C. */
#ifndef LOAD_LOAD_STALL_H
#define LOAD_LOAD_STALL_H

struct load_stall {
    double stall_s, run_s;
    double rate, drain_rate; /* L and C, requests a second; L < C */
};

/* The expected response time at quantile q, in seconds; 0 where the stall does not reach. */
double load_stall_quantile(const struct load_stall *stall, double q);

#endif
