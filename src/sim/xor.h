/* sim/xor.h - exclusive or, the four patterns and how a network's answers to them are judged.
 *
 * Fitness is the paper's: (4 - sum of absolute errors) squared. CLS: every answer lies on the right side of
 * 0.5. SSE: the sum of squared errors is at most 0.1. Threads: pure functions. */
#ifndef SIM_XOR_H
#define SIM_XOR_H

#include <stdbool.h>

#define XOR_PATTERNS 4

extern const float XOR_INPUTS[2][XOR_PATTERNS];
extern const float XOR_TARGETS[XOR_PATTERNS];

double xor_fitness(const float answers[XOR_PATTERNS]);
bool xor_solved_cls(const float answers[XOR_PATTERNS]);
bool xor_solved_sse(const float answers[XOR_PATTERNS]);

#endif
