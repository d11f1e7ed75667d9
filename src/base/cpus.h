/* base/cpus.h - how many processors this process may use.
 *
 * The smaller of the affinity mask and the cgroup's CPU quota (version 2 and 1), rounded up, at least 1:
 * what a container was promised, not what the host has. */
#ifndef BASE_CPUS_H
#define BASE_CPUS_H

#include <stdint.h>

uint32_t cpus_usable(void);

/* The quota in a cgroup v2 "cpu.max" text such as "150000 100000", as whole CPUs rounded up; 0: no quota
 * or not such a text. */
uint32_t cpus_from_cpu_max(const char *text);

#endif
