#include "emulator.h"
// after the emulator, whose words it is written in
#include "../distance/distance.cu"

EMULATED(distance_first)
EMULATED(distance_further)
