#include "emulator.h"
// after the emulator, whose words it is written in
#include "../surplus/surplus.cu"

EMULATED(surplus_forward)
EMULATED(surplus_combine)
EMULATED(surplus_backward)
