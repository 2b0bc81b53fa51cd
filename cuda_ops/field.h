// A field as the C++ library's operators hold it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "include/sampling_math.h"

namespace shapekit {

// A field, and its own copy with one value more at the end where it has a single voxel along its last axis.
struct Held {
  Field field;
  std::vector<float> longer;

  Held(const float* values, std::int32_t d, std::int32_t h, std::int32_t w, const double* metric) : field{values, {d, h, w}, {}} {
    for (int n = 0; metric && n < 9; ++n) field.metric[n] = metric[n];
    if (w > 1) return;
    const std::int64_t count = std::int64_t(d) * h;
    longer.reserve(count + 1);
    longer.assign(values, values + count);
    longer.push_back(0.0f);
    field.values = longer.data();
  }
  Held(const Held&) = delete;
};

// Looks some points up: the last few among places that are looked at for nothing.
template <typename Where>
SHAPEKIT_INLINE void sample(const Field& field, bool adds_way, std::int64_t count, float* out, const Where& where) {
  Places places{};
  float found[TOGETHER];
  for (std::int64_t from = 0; from < count; from += TOGETHER) {
    const int some = int(smaller<std::int64_t>(TOGETHER, count - from));
    for (int n = 0; n < some; ++n)
      for (int axis = 0; axis < 3; ++axis) places.index[axis][n] = where(from + n, axis);
    adds_way ? sampled<true>(field, places, found) : sampled<false>(field, places, found);
    std::copy(found, found + some, out + from);
  }
}

// One layer of another grid, h x w voxels: its first voxel's index, and the steps along both axes.
SHAPEKIT_INLINE void sample_rows(const Field& field, bool adds_way, const double* at, const double* along_h, const double* along_w, int h, int w,
                                 float* out) {
  const double lines = 1.0 / w;
  sample(field, adds_way, std::int64_t(h) * w, out, [=](std::int64_t n, int axis) {
    const int j = int((double(n) + 0.5) * lines), k = int(n - std::int64_t(j) * w);  // half a voxel keeps the quotient clear of rounding
    return at[axis] + j * along_h[axis] + k * along_w[axis];
  });
}

}  // namespace shapekit
