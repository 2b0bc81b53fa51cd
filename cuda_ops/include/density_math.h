// The exponential of some numbers that are not positive, in loops that a compiler makes vectors of (docs/ops/densest_point.md).
#pragma once

#include "shapekit_host_device.h"

namespace shapekit {

constexpr double LEAST_EXPONENT = -700.0;  // below it lies nothing that counts

// A power of two, and a Taylor series on what is left, at most half of ln 2: the first term that is left out is 4e-18 at most.
SHAPEKIT_INLINE double exponential(double x) {
  constexpr double log2_e = 1.4426950408889634, ln2_high = 0.693145751953125, ln2_low = 1.42860682030941723e-6, to_whole = 6755399441055744.0;
  x = larger(x, LEAST_EXPONENT);
  const double shifted = x * log2_e + to_whole, whole = shifted - to_whole, r = x - whole * ln2_high - whole * ln2_low;
  double sum = r / 6227020800.0 + 1.0 / 479001600.0;  // written out: a loop within would keep the one around it from being made vectors of
  sum = sum * r + 1.0 / 39916800.0;
  sum = sum * r + 1.0 / 3628800.0;
  sum = sum * r + 1.0 / 362880.0;
  sum = sum * r + 1.0 / 40320.0;
  sum = sum * r + 1.0 / 5040.0;
  sum = sum * r + 1.0 / 720.0;
  sum = sum * r + 1.0 / 120.0;
  sum = sum * r + 1.0 / 24.0;
  sum = sum * r + 1.0 / 6.0;
  sum = sum * r + 0.5;
  sum = sum * r + 1.0;
  sum = sum * r + 1.0;
  long long bits;
  __builtin_memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 52) + 0x3ff0000000000000LL;  // the whole number lies in the lowest bits
  double power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return sum * power;
}

constexpr int SUMS = 4;

// Voxels about their middle, and half their squared distance from it.
struct Voxels {
  double at[3][TOGETHER], half_squared[TOGETHER];
};

// Adds each one's weight, and what it weighs along each axis, to the sums of those that were n-th of theirs.
SHAPEKIT_INLINE void weigh(const Voxels& voxels, const double* peak, double half_squared, double per_variance, double (*sums)[TOGETHER]) {
  double weight[TOGETHER];
  for (int n = 0; n < TOGETHER; ++n) {
    const double along = voxels.at[0][n] * peak[0] + voxels.at[1][n] * peak[1] + voxels.at[2][n] * peak[2];
    weight[n] = exponential((along - voxels.half_squared[n] - half_squared) * per_variance);
  }
  for (int axis = 0; axis < 3; ++axis)
    for (int n = 0; n < TOGETHER; ++n) sums[axis][n] += weight[n] * voxels.at[axis][n];
  for (int n = 0; n < TOGETHER; ++n) sums[3][n] += weight[n];
}

}  // namespace shapekit
