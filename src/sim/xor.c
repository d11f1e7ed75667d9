#include "sim/xor.h"

#include <math.h>

const float XOR_INPUTS[2][XOR_PATTERNS] = {{0, 0, 1, 1}, {0, 1, 0, 1}};
const float XOR_TARGETS[XOR_PATTERNS] = {0, 1, 1, 0};

double xor_fitness(const float answers[XOR_PATTERNS])
{
    float errors = 0;
    for (int i = 0; i < XOR_PATTERNS; i++) errors += fabsf(XOR_TARGETS[i] - answers[i]);
    return (4.0 - (double)errors) * (4.0 - (double)errors);
}

bool xor_solved_cls(const float answers[XOR_PATTERNS])
{
    return answers[0] < 0.5f && answers[1] > 0.5f && answers[2] > 0.5f && answers[3] < 0.5f;
}

bool xor_solved_sse(const float answers[XOR_PATTERNS])
{
    double sum = 0;
    for (int i = 0; i < XOR_PATTERNS; i++) {
        double error = (double)XOR_TARGETS[i] - (double)answers[i];
        sum += error * error;
    }
    return sum <= 0.1;
}
