/* base/descriptors.h - how many file descriptors the process may have open.
 *
 * Threads: any. */
#ifndef BASE_DESCRIPTORS_H
#define BASE_DESCRIPTORS_H

#include <stdint.h>

/* Raises the soft limit towards `wanted`, as far as the hard limit allows; never lowers it. Returns how many
 * are allowed then, UINT64_MAX when there is no limit. */
uint64_t descriptors_allow(uint64_t wanted);

#endif
