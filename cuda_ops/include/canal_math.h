// The wall in front of the spinal canal, a surface that bends twice (docs/ops/look_behind.md).
#pragma once

#include "shapekit_host_device.h"

namespace shapekit {

constexpr int TERMS = 6;  // 1, x, z, x², z², xz

SHAPEKIT_INLINE void wall_terms(double x, double z, double* terms) {
  terms[0] = 1.0, terms[1] = x, terms[2] = z, terms[3] = x * x, terms[4] = z * z, terms[5] = x * z;
}

SHAPEKIT_INLINE double wall_at(const double* wall, double x, double z) {
  return wall[0] + x * (wall[1] + wall[3] * x + wall[5] * z) + z * (wall[2] + wall[4] * z);
}

SHAPEKIT_INLINE double clipped(double value, double low, double high) { return smaller(larger(value, low), high); }

}  // namespace shapekit
