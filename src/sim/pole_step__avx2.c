#include "sim/pole_lanes.h"

void pole2_step_avx2(struct pole_lanes *lanes, const double force[POLE_LANES])
{
    pole2_step_lanes(lanes, force);
}
