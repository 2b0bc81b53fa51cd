// The surplus volume's maths, one voxel and one line of voxels at a time (equations: docs/ops/surplus_volume.md).
#pragma once

#include "shapekit_host_device.h"

namespace shapekit {

// Sums over voxels, in the order of a block's record, which ends with whether a distance was not finite; then the columns of an item's result.
enum Sum { FIRST, MIDDLE, LAST, SURPLUS, EXCESS, WEIGHTED_EXPECTED, EXPECTED, ACTUAL, SUMS, DOUBT = SUMS, RECORD };
enum Column { V_WEIGHTED, V_POSTERIOR, V_MIDDLE, V_ANTERIOR, V_SURPLUS, V_EXCESS, V_WEIGHTED_EXPECTED, V_EXPECTED, V_ACTUAL, V_STATUS, COLUMNS };
// Bits of V_STATUS.
enum Fault { BAD_GRID = 1, BAD_CENTRE = 2, BAD_ROTATION = 4, BAD_SIGMA = 8, BAD_LENGTH = 16, NOT_ORTHONORMAL = 32 };

struct Sides {
  int d, h, w;
};

// One item's weight, read once per block.
struct Item {
  double middle[3], rotation[9], per_sigma[3], sixth, spacing;
  double stride[3], curve, per_curve, ap_step, per_ap_step;  // along a line: steps in units of sigma, their squared length, mm along AP
  int faults;
};

// One line of voxels along the last axis: exponent = floor + t (slope + t curve) with t = w - at >= 0 or slope = 0, so nothing cancels.
struct Line {
  float at, floor, slope, curve;
  float first_end, middle_end;  // w < first_end lies in the first third met, w > middle_end in the last
};

SHAPEKIT_INLINE int parameter_faults(const float* centre, const float* rotation, const float* sigma, float length) {
  int faults = 0;
  for (int n = 0; n < 3; ++n) {
    if (is_not_finite(centre[n])) faults |= BAD_CENTRE;
    if (!is_positive(sigma[n])) faults |= BAD_SIGMA;
    for (int m = 0; m < 3; ++m) {
      if (is_not_finite(rotation[3 * n + m])) faults |= BAD_ROTATION;
      double product = n == m ? -1.0 : 0.0;
      for (int row = 0; row < 3; ++row) product += double(rotation[3 * row + n]) * double(rotation[3 * row + m]);
      if (!(product <= 1e-4 && product >= -1e-4)) faults |= NOT_ORTHONORMAL;
    }
  }
  if (!is_positive(length)) faults |= BAD_LENGTH;
  return faults;
}

SHAPEKIT_INLINE Item make_item(const float* centre, const float* rotation, const float* sigma, float length, double spacing, Sides sides) {
  Item item;
  item.faults = parameter_faults(centre, rotation, sigma, length);
  item.spacing = spacing;
  item.sixth = double(length) / 6.0;
  item.middle[0] = 0.5 * (sides.d - 1);
  item.middle[1] = 0.5 * (sides.h - 1);
  item.middle[2] = 0.5 * (sides.w - 1);
  item.curve = 0.0;
  for (int n = 0; n < 3; ++n) {
    item.middle[n] = item.middle[n] * spacing + double(centre[n]);
    item.per_sigma[n] = 1.0 / double(sigma[n]);
    item.stride[n] = double(rotation[6 + n]) * spacing * item.per_sigma[n];
    item.curve += item.stride[n] * item.stride[n];
  }
  for (int n = 0; n < 9; ++n) item.rotation[n] = double(rotation[n]);
  item.per_curve = item.curve > 0.0 ? 1.0 / item.curve : 0.0;
  item.ap_step = item.rotation[7] * spacing;
  item.per_ap_step = item.ap_step != 0.0 ? 1.0 / (item.ap_step < 0.0 ? -item.ap_step : item.ap_step) : 0.0;
  return item;
}

SHAPEKIT_INLINE Line make_line(const Item& item, Sides sides, int d, int h) {
  const double x = d * item.spacing - item.middle[0], y = h * item.spacing - item.middle[1];
  const double* r = item.rotation;
  double begin[3], toward = 0.0;
  for (int m = 0; m < 3; ++m) {
    begin[m] = (x * r[m] + y * r[3 + m] - item.middle[2] * r[6 + m]) * item.per_sigma[m];
    toward -= begin[m] * item.stride[m];
  }
  Line line;
  line.at = float(smaller(larger(toward * item.per_curve, 0.0), double(sides.w - 1)));
  double floor = 0.0, slope = 0.0;
  for (int m = 0; m < 3; ++m) {
    const double nearest = begin[m] + line.at * item.stride[m];
    floor += nearest * nearest;
    slope += 2.0 * nearest * item.stride[m];
  }
  // half of log2(e); the cap keeps inf * 0 out of the line, and its weight is 0 in any case
  const double unit = 0.72134752044448170, cap = 1e20;
  line.floor = float(smaller(unit * floor, cap));
  line.slope = float(larger(smaller(unit * slope, cap), -cap));
  line.curve = float(smaller(unit * item.curve, cap));

  // Where along this line, in voxels, the place along AP passes the thirds' borders; beyond its ends, or nowhere, is never.
  const double from = x * r[1] + y * r[4] - item.middle[2] * r[7], never = sides.w + 1.0;
  const double ahead = item.ap_step < 0.0 ? -from : from;
  const double first = (-item.sixth - ahead) * item.per_ap_step, last = (item.sixth - ahead) * item.per_ap_step;
  const bool level = item.ap_step == 0.0;
  line.first_end = float(level ? (from < -item.sixth ? never : -1.0) : larger(smaller(first, never), -1.0));
  line.middle_end = float(level ? (from > item.sixth ? -1.0 : never) : larger(smaller(last, never), -1.0));
  return line;
}

#ifdef __CUDACC__
SHAPEKIT_INLINE float power_of_two(float x) { return exp2f(x); }
#else
// 2^x for x <= 0, to 2e-7 relative. 2^-96 stands for everything smaller: times an occupancy it is no denormal number yet,
// and those are slow.
template <typename F>
SHAPEKIT_INLINE F power_of_two(F x) {
  x = larger(x, all<F>(-96.0f));
  const F shifted = x + 12582912.0f;  // 1.5 * 2^23: rounds to a whole number, which stands in the low bits
  const F rest = x - (shifted - 12582912.0f);
  F power = rest * 1.32647204e-3f + 9.67151302e-3f;  // minimax on [-1/2, 1/2]: 1e-7 relative
  power = power * rest + 5.55073378e-2f;
  power = power * rest + 2.40222421e-1f;
  power = power * rest + 6.93146978e-1f;
  power = power * rest + 1.0f;
  const typename BitsOf<F>::type scaled = bits_of(power) + (bits_of(shifted) << 23);
  __builtin_memcpy(&power, &scaled, sizeof power);
  return power;
}
#endif

template <typename F>
SHAPEKIT_INLINE F weight_at(const Line& line, F w) {
  const F t = w - line.at;
  return power_of_two(-(line.floor + t * (line.slope + t * line.curve)));
}

template <typename F>
SHAPEKIT_INLINE F ramp_of(F sdf, float per_spacing) {
  return smaller(larger(sdf * -per_spacing, all<F>(-1.0f)), all<F>(1.0f));
}

// From this distance on the ramp has ended in float32, too: the occupancy is exactly 0, or 1 inside, and the slope 0.
SHAPEKIT_INLINE float beyond_ramp(double spacing) { return float(spacing * (1.0 + 1e-6)); }

template <typename F>
SHAPEKIT_INLINE F occupancy_of(F ramp) {
  return 0.5f + ramp * (1.0f - 0.5f * absolute(ramp));
}

// Named, not an array: compilers keep them in registers.
template <typename F>
struct Sums {
  F first, middle, last, surplus, excess, weighted_expected, expected, actual;
  typename BitsOf<F>::type doubt;  // its highest bit says that a distance was not finite
};

// Notes whether a distance is not finite.
template <typename F>
SHAPEKIT_INLINE void doubt_terms(F expected, F actual, Sums<F>& sums) {
  sums.doubt |= not_finite(expected) | not_finite(actual);
}

template <typename F>
SHAPEKIT_INLINE void list_sums(const Sums<F>& sums, F* list) {
  list[FIRST] = sums.first;
  list[MIDDLE] = sums.middle;
  list[LAST] = sums.last;
  list[SURPLUS] = sums.surplus;
  list[EXCESS] = sums.excess;
  list[WEIGHTED_EXPECTED] = sums.weighted_expected;
  list[EXPECTED] = sums.expected;
  list[ACTUAL] = sums.actual;
}

// Adds one voxel, or several side by side; doubt_terms sees all voxels, this one only those that count.
template <typename F>
SHAPEKIT_INLINE void add_terms(F expected, F actual, const Line& line, F w, float per_spacing, Sums<F>& sums) {
  const F zero = all<F>(0.0f), weight = weight_at(line, w);
  const F e = occupancy_of(ramp_of(expected, per_spacing)), a = occupancy_of(ramp_of(actual, per_spacing));
  const F gap = e - a, surplus = larger(gap, zero), weighted = weight * surplus;
  const F first = w < line.first_end ? weighted : zero, last = w > line.middle_end ? weighted : zero;
  sums.first += first;
  sums.last += last;
  sums.middle += weighted - first - last;  // exact: at most one of the two is not zero
  sums.surplus += surplus;
  sums.excess += surplus - gap;  // exact as well
  sums.weighted_expected += weight * e;
  sums.expected += e;
  sums.actual += a;
}

// An item's result from the sums over all its voxels and how many blocks doubted them.
SHAPEKIT_INLINE void finish_item(const Item& item, const double* sums, double doubts, double* columns) {
  const double voxel = item.spacing * item.spacing * item.spacing;
  const bool backward = item.ap_step < 0.0;
  columns[V_POSTERIOR] = voxel * sums[backward ? LAST : FIRST];
  columns[V_MIDDLE] = voxel * sums[MIDDLE];
  columns[V_ANTERIOR] = voxel * sums[backward ? FIRST : LAST];
  columns[V_WEIGHTED] = columns[V_POSTERIOR] + columns[V_MIDDLE] + columns[V_ANTERIOR];
  columns[V_SURPLUS] = voxel * sums[SURPLUS];
  columns[V_EXCESS] = voxel * sums[EXCESS];
  columns[V_WEIGHTED_EXPECTED] = voxel * sums[WEIGHTED_EXPECTED];
  columns[V_EXPECTED] = voxel * sums[EXPECTED];
  columns[V_ACTUAL] = voxel * sums[ACTUAL];
  columns[V_STATUS] = item.faults | (doubts == 0.0 ? 0 : BAD_GRID);
}

// d loss / d sum, times d occupancy / d sdf without its ramp: what the backward pass needs of an item.
struct Slopes {
  float first, middle, last, surplus, excess, weighted_expected, expected, actual;
};

SHAPEKIT_INLINE Slopes make_slopes(const Item& item, const double* upstream) {
  const double area = -item.spacing * item.spacing;  // a voxel's volume over the ramp's length
  const bool backward = item.ap_step < 0.0;
  Slopes slopes;
  slopes.first = float(area * (upstream[V_WEIGHTED] + upstream[backward ? V_ANTERIOR : V_POSTERIOR]));
  slopes.middle = float(area * (upstream[V_WEIGHTED] + upstream[V_MIDDLE]));
  slopes.last = float(area * (upstream[V_WEIGHTED] + upstream[backward ? V_POSTERIOR : V_ANTERIOR]));
  slopes.surplus = float(area * upstream[V_SURPLUS]);
  slopes.excess = float(area * upstream[V_EXCESS]);
  slopes.weighted_expected = float(area * upstream[V_WEIGHTED_EXPECTED]);
  slopes.expected = float(area * upstream[V_EXPECTED]);
  slopes.actual = float(area * upstream[V_ACTUAL]);
  return slopes;
}

// Gradient of one voxel's two distances. Where both occupancies are equal both sides of the kink count, as torch's clamp_min has it.
template <typename F>
SHAPEKIT_INLINE void gradients_of(F expected, F actual, const Line& line, const Slopes& slopes, F w, float per_spacing, F& to_expected, F& to_actual) {
  const F zero = all<F>(0.0f), weight = weight_at(line, w);
  const F ramp_e = ramp_of(expected, per_spacing), ramp_a = ramp_of(actual, per_spacing);
  const F e = occupancy_of(ramp_e), a = occupancy_of(ramp_a);
  const F inner = w > line.middle_end ? all<F>(slopes.last) : all<F>(slopes.middle);
  const F third = w < line.first_end ? all<F>(slopes.first) : inner;
  const F above = e >= a ? weight * third + slopes.surplus : zero, below = a >= e ? all<F>(slopes.excess) : zero;
  to_expected = (above - below + weight * slopes.weighted_expected + slopes.expected) * (1.0f - absolute(ramp_e));
  to_actual = (below - above + slopes.actual) * (1.0f - absolute(ramp_a));
}

}  // namespace shapekit
