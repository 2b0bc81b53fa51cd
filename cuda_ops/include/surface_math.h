// Where an edge of a field's voxels crosses its zero level, and how much of the surface that stands for (docs/ops/distance_at_surface.md).
#pragma once

#include "shapekit_host_device.h"

namespace shapekit {

// The way from the first to the second of two values of different sign at which zero lies, as a share.
SHAPEKIT_INLINE double crossing_share(const float* at, i64 stride) {
  const float low = at[0], high = at[stride];
  return double(low / (low - high));
}

// Of the surface at a crossing: the normal's part along the edge's axis, times a voxel's face across it.
SHAPEKIT_INLINE double crossing_area(const float* at, const i64* strides, const double* spacing, int axis, double share) {
  double slope[3];
  for (int along = 0; along < 3; ++along) {
    const i64 side = strides[along], step = strides[axis];
    const double here = double(at[side] - at[-side]), there = double(at[step + side] - at[step - side]);
    slope[along] = ((1.0 - share) * here + share * there) / spacing[along];
  }
  const double length = __builtin_sqrt(slope[0] * slope[0] + slope[1] * slope[1] + slope[2] * slope[2]);
  return absolute(slope[axis]) / larger(length, 1e-12) * (spacing[0] * spacing[1] * spacing[2] / spacing[axis]);
}

}  // namespace shapekit
