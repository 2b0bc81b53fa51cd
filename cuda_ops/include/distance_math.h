// The signed distance's maths: one voxel of one line against another (docs/ops/signed_distance.md).
#pragma once

#include "shapekit_host_device.h"

namespace shapekit {

// A field of squared distances to the nearest voxel of the other side: positive outside the mask, negative inside, never 0.
// Seen from a voxel, another one of its own side passes its distance on, and one of the other side is a goal itself: 0.
// `side` is +1 for a voxel outside, -1 inside.
template <typename F>
SHAPEKIT_INLINE F squared_through(F side, F other, F step_squared) {
  return larger(side * other + step_squared, step_squared);
}

// Infinity: the distance to the other side where a line has none.
SHAPEKIT_INLINE float no_distance() {
#ifdef __CUDACC__
  return __int_as_float(0x7f800000);
#else
  return __builtin_inff();
#endif
}

}  // namespace shapekit
