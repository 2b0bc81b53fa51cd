// Trilinear interpolation of a field, and the way back to it from beyond its grid (docs/ops/sample_field.md).
#pragma once

#include "shapekit_host_device.h"

namespace shapekit {

// A field of d x h x w values, and the length of a voxel's steps in mm: metric[3 * row + axis].
struct Field {
  const float* values;
  int d, h, w;
  double metric[9];
  bool adds_way;  // whether the distance to the grid is added beyond it
};

// Where along one axis: the voxel before, the step to the one after (0 at the end), and the share of the latter.
struct Between {
  i64 before, step;
  float share;
};

SHAPEKIT_INLINE Between between(double inside, int side, i64 stride) {
  const int floor = smaller(int(inside), side - 1);  // not negative: rounds down
  return {floor * stride, floor + 1 < side ? stride : 0, float(inside - floor)};
}

SHAPEKIT_INLINE float mixed(float one, float other, float share) { return one + share * (other - one); }

SHAPEKIT_INLINE double clamped(double x, double last) { return smaller(larger(x, 0.0), last); }

// The field at a fractional voxel index.
SHAPEKIT_INLINE float sampled(const Field& field, double i, double j, double k) {
  const double a = clamped(i, field.d - 1), b = clamped(j, field.h - 1), c = clamped(k, field.w - 1);
  const Between x = between(a, field.d, i64(field.h) * field.w), y = between(b, field.h, field.w), z = between(c, field.w, 1);
  const float* at = field.values + x.before + y.before + z.before;
  const float near = mixed(mixed(at[0], at[z.step], z.share), mixed(at[y.step], at[y.step + z.step], z.share), y.share);
  at += x.step;
  const float far = mixed(mixed(at[0], at[z.step], z.share), mixed(at[y.step], at[y.step + z.step], z.share), y.share);
  float value = mixed(near, far, x.share);
  if (field.adds_way && (a != i || b != j || c != k)) {
    double way = 0.0;
    for (int row = 0; row < 3; ++row) {
      const double part = field.metric[3 * row] * (i - a) + field.metric[3 * row + 1] * (j - b) + field.metric[3 * row + 2] * (k - c);
      way += part * part;
    }
    value += float(__builtin_sqrt(way));
  }
  return value;
}

}  // namespace shapekit
