// An outline by angle and how far it is from mirroring itself (docs/ops/gather_evidence.md).
#pragma once

#include "shapekit_host_device.h"

namespace shapekit {

constexpr int BINS = 48;
constexpr double BIN_DEG = 360.0 / BINS;

// The radius at an angle, interpolated between the bins' middles around the circle.
SHAPEKIT_INLINE double radius_at(const double* radius, double degrees) {
  const double at = degrees / BIN_DEG - 0.5, floor = __builtin_floor(at);
  const int before = int(floor) % BINS, wrapped = before < 0 ? before + BINS : before;
  const double one = radius[wrapped], other = radius[(wrapped + 1) % BINS];
  return one + (other - one) * (at - floor);
}

// How far right is from mirroring left about a direction, RMS over every fifth degree.
SHAPEKIT_INLINE double mirror_misfit(const double* radius, double turn_deg) {
  double sum = 0.0;
  int count = 0;
  for (double beyond = 5.0; beyond < 180.0; beyond += 5.0, ++count) {
    const double apart = radius_at(radius, turn_deg + beyond) - radius_at(radius, turn_deg - beyond);
    sum += apart * apart;
  }
  return __builtin_sqrt(sum / count);
}

}  // namespace shapekit
