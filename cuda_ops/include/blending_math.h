// A mixture of fields by shares that are given on a coarser grid (docs/ops/blended.md).
#pragma once

#include "shapekit_host_device.h"

namespace shapekit {

constexpr int FIELDS = 4;         // and a guess
constexpr int PARTS = FIELDS + 2; // shares of the fields and of the guess, and a correction

// Where a fine voxel lies between two coarse ones: the one before, the one after, and the latter's weight; the edge's value goes on.
struct Between {
  int before, after;
  float weight;
};

SHAPEKIT_INLINE Between between(int fine, int finer, int side) {
  const double at = larger((double(fine) + 0.5) / finer - 0.5, 0.0);
  const int before = smaller(int(at), side - 1);
  return {before, smaller(before + 1, side - 1), float(at - before)};
}

SHAPEKIT_INLINE void mix_rows(const float* one, const float* other, float weight, int count, float* out) {
  for (int n = 0; n < count; ++n) out[n] = one[n] + weight * (other[n] - one[n]);
}

}  // namespace shapekit
