/* load/load_machine.h - how busy the machine was: what a measurement must know of its surroundings.
 *
 * Read from /proc/stat and getrusage. Figures are totals since start; subtract two readings. */
#ifndef LOAD_LOAD_MACHINE_H
#define LOAD_LOAD_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

struct load_machine {
    bool known;     /* false where /proc/stat cannot be read */
    double busy_s;  /* CPU seconds used by all processes and the kernel, on all CPUs */
    double steal_s; /* CPU seconds withheld by the hypervisor */
    double own_s;   /* of this process */
    uint32_t n_cpus;
};

struct load_machine load_machine_read(void);

/* Parses the first line of /proc/stat; `hz` is the unit. False when it is no such line. */
bool load_machine_parse(const char *line, double hz, double *ret_busy_s, double *ret_steal_s);

#endif
