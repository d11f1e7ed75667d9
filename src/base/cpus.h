/* base/cpus.h - which processors this process may use, and how many.
 *
 * How many: the smaller of the affinity mask and the cgroup's CPU quota (version 2 and 1), rounded up, at
 * least 1: what a container was promised, not what the host has. */
#ifndef BASE_CPUS_H
#define BASE_CPUS_H

#include <stdbool.h>
#include <stdint.h>

uint32_t cpus_usable(void);

/* The quota in a cgroup v2 "cpu.max" text such as "150000 100000", as whole CPUs rounded up; 0: no quota
 * or not such a text. */
uint32_t cpus_from_cpu_max(const char *text);

#define CPUS_MAX 1024u /* numbers are below */

/* The processors that the calling thread may run on, in ascending order, into ret[CPUS_MAX]; returns how
 * many. */
uint32_t cpus_list(uint32_t *ret);

/* From now on the calling thread, and whatever it starts, runs on these alone. False when the system refuses,
 * as it does where none of them may be used. */
bool cpus_bind(const uint32_t *cpus, uint32_t n);

#endif
