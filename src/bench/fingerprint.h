/* bench/fingerprint.h - on what a figure was measured: like is compared with like only.
 *
 * Two machines are alike when everything here is equal; the id is a hash of it. How busy the machine was is
 * no part of it (see bench_run.h).
 *
 * Ownership: plain memory. Threads: any. */
#ifndef BENCH_FINGERPRINT_H
#define BENCH_FINGERPRINT_H

#include <stdint.h>

struct fingerprint {
    char id[17];        /* 16 hexadecimal digits */
    char cpu[128];      /* "AMD EPYC" */
    char caches[96];    /* "L1d 48K, L1i 32K, L2 1024K, L3 32768K"; "" where unknown */
    char isa[16];       /* of our kernels: "avx512" */
    char kernel[160];   /* "Linux 6.1.0" */
    char governor[32];  /* "performance"; "" where there is none to see, as in most virtual machines */
    char compiler[128]; /* "gcc 12.2.0" */
    char flags[256];    /* of the build */
    uint32_t n_cpus;    /* usable by this process */
};

void fingerprint_read(struct fingerprint *ret);

/* Sets ret->id from the other fields. */
void fingerprint_seal(struct fingerprint *ret);

/* The processor's name; "unknown processor" where the system tells none. */
void fingerprint_cpu_name(char *out, uint32_t size);

/* The commit this program was built from, with "-dirty" behind it when files had changed; "" when unknown. */
const char *fingerprint_commit(void);

/* Mean number of runnable processes over the last minute; negative when unknown. */
double fingerprint_load(void);

#endif
