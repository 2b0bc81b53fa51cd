// A rigid step's misfits on a field of distances and their normal equations (docs/ops/fit_rigidly.md).
#pragma once

#include "sampling_math.h"

namespace shapekit {

constexpr int PROBES = 7;                       // where a step takes a point, and a little to either side along the turned shape's axes
constexpr int COLUMNS = 7;                      // three slopes by turning, three by shifting, the misfit
constexpr int PAIRS = COLUMNS * (COLUMNS + 1) / 2;

// What tells misfits from distances; all in mm.
struct Misfit {
  double loss, excess, probe;
};

// Points about their middle, an axis after the other, and the weight of each: TOGETHER of them.
struct Points {
  double at[3][TOGETHER], scale[TOGETHER];
};

// A point's index in the field: turn * point + shift.
struct Motion {
  double turn[3][3], shift[3];
};

// Adds the products of each two columns to their sums, point by point: sums[pair][n] is of the points that were n-th of theirs.
SHAPEKIT_INLINE void add_misfits(const Field& field, const Misfit& misfit, const Motion& motion, const Points& points, double (*sums)[TOGETHER]) {
  float found[PROBES][TOGETHER];
  double middle[3][TOGETHER];
  for (int axis = 0; axis < 3; ++axis)
    for (int n = 0; n < TOGETHER; ++n)
      middle[axis][n] = motion.turn[axis][0] * points.at[0][n] + motion.turn[axis][1] * points.at[1][n] + motion.turn[axis][2] * points.at[2][n] +
                        motion.shift[axis];
  for (int probe = 0; probe < PROBES; ++probe) {
    Places places;
    const int along = (probe + 1) / 2 - 1;  // -1 where it takes it
    const double step = along < 0 ? 0.0 : probe % 2 ? misfit.probe : -misfit.probe;
    for (int axis = 0; axis < 3; ++axis) {
      const double off = along < 0 ? 0.0 : step * motion.turn[axis][along];
      for (int n = 0; n < TOGETHER; ++n) places.index[axis][n] = middle[axis][n] + off;
    }
    sampled<true>(field, places, found[probe]);
  }
  double column[COLUMNS][TOGETHER];
  for (int n = 0; n < TOGETHER; ++n) {
    const double gap = found[0][n], scale = points.scale[n];
    const bool missing = gap > 0.0;
    const double part = gap / (missing ? misfit.loss : misfit.excess), share = 1.0 + part * part;
    const double low = __builtin_sqrt(share), root = missing ? low : __builtin_sqrt(low);
    const double felt = (missing ? 1.0 / share : 0.5 + 0.5 / share) * scale / root / (2.0 * misfit.probe);  // of a change of the gap
    const double u = double(found[1][n] - found[2][n]) * felt, v = double(found[3][n] - found[4][n]) * felt, w = double(found[5][n] - found[6][n]) * felt;
    const double x = points.at[0][n], y = points.at[1][n], z = points.at[2][n];
    column[0][n] = y * w - z * v;
    column[1][n] = z * u - x * w;
    column[2][n] = x * v - y * u;
    column[3][n] = u;
    column[4][n] = v;
    column[5][n] = w;
    column[6][n] = gap * scale / root;
  }
  for (int one = 0, pair = 0; one < COLUMNS; ++one)
    for (int other = one; other < COLUMNS; ++other, ++pair)
      for (int n = 0; n < TOGETHER; ++n) sums[pair][n] += column[one][n] * column[other][n];
}

}  // namespace shapekit
