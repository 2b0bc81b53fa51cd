// Trilinear interpolation of a field, and the way back to it from beyond its grid (docs/ops/sample_field.md).
#pragma once

#include "shapekit_host_device.h"

namespace shapekit {

// A field of fewer than 2^31 finite values, and the length of a voxel's steps in mm: metric[3 * row + axis]. Where the last axis has a single
// voxel, a further value must follow the last.
struct Field {
  const float* values;
  int side[3];
  double metric[9];
};

// Fractional voxel indices of some points, an axis after the other.
struct Places {
  double index[3][TOGETHER];
};

// Exact at 0, at 1 and between two that are equal.
SHAPEKIT_INLINE float mixed(float one, float other, float share) { return (one - share * one) + share * other; }

// The field at some places; beyond its grid its edge's value goes on, to which the way to the grid may be added. Values that neighbour along
// the last axis are read together: a place at its end lies wholly on the second of the last two.
template <bool ADDS_WAY>
SHAPEKIT_INLINE void sampled(const Field& field, const Places& places, float* out) {
  int before[TOGETHER] = {}, step[2][TOGETHER];  // the voxel before, and how far on the one after lies: nowhere at an end
  float share[3][TOGETHER];                      // of the latter
  double beyond[3][TOGETHER];
  for (int axis = 0; axis < 3; ++axis) {
    const int side = field.side[axis], stride = axis == 2 ? 1 : axis == 1 ? field.side[2] : field.side[1] * field.side[2];
    const int last = axis == 2 ? side - 2 : side - 1;
    for (int n = 0; n < TOGETHER; ++n) {
      const double inside = smaller(larger(places.index[axis][n], 0.0), double(side - 1));
      const int floor = larger(smaller(int(inside), last), 0);  // rounds down; last is -1 for a single voxel along the last axis
      before[n] += floor * stride;
      if (axis < 2) step[axis][n] = floor + 1 < side ? stride : 0;
      share[axis][n] = float(inside - floor);
      beyond[axis][n] = places.index[axis][n] - inside;
    }
  }
  float half[2][TOGETHER];
  for (int far = 0; far < 2; ++far) {
    float here[2 * TOGETHER], there[2 * TOGETHER];
    for (int n = 0; n < TOGETHER; ++n) {
      const float* at = field.values + before[n] + far * step[0][n];
      __builtin_memcpy(here + 2 * n, at, 8);
      __builtin_memcpy(there + 2 * n, at + step[1][n], 8);
    }
    for (int n = 0; n < TOGETHER; ++n) {
      half[far][n] = mixed(mixed(here[2 * n], here[2 * n + 1], share[2][n]), mixed(there[2 * n], there[2 * n + 1], share[2][n]), share[1][n]);
    }
  }
  for (int n = 0; n < TOGETHER; ++n) out[n] = mixed(half[0][n], half[1][n], share[0][n]);
  if (!ADDS_WAY) return;
  for (int n = 0; n < TOGETHER; ++n) {
    double way = 0.0;
    for (int row = 0; row < 3; ++row) {
      const double* metric = field.metric + 3 * row;
      const double part = metric[0] * beyond[0][n] + metric[1] * beyond[1][n] + metric[2] * beyond[2][n];
      way += part * part;
    }
    out[n] += float(__builtin_sqrt(way));
  }
}

}  // namespace shapekit
