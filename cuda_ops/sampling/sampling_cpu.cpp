// A field at points or on another grid, on the CPU, behind a C interface.
#include <algorithm>
#include <cstdint>
#include <new>
#include <vector>

#include "../include/sampling_math.h"
#include "../threads.h"

namespace {

using namespace shapekit;

constexpr std::int64_t POINTS = 4096;  // that a thread takes at once

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

// One layer of the other grid, h x w voxels: its first voxel's index, and the steps along both axes.
SHAPEKIT_CLONES void sample_layer(const Field& field, bool adds_way, const double* at, const double* along_h, const double* along_w, int h, int w,
                                  float* out) {
  const double lines = 1.0 / w;
  sample(field, adds_way, std::int64_t(h) * w, out, [=](std::int64_t n, int axis) {
    const int j = int((double(n) + 0.5) * lines), k = int(n - std::int64_t(j) * w);  // half a voxel keeps the quotient clear of rounding
    return at[axis] + j * along_h[axis] + k * along_w[axis];
  });
}

SHAPEKIT_CLONES void sample_points(const Field& field, bool adds_way, const double* move, const double* points, std::int64_t count, float* out) {
  sample(field, adds_way, count, out, [=](std::int64_t n, int axis) {
    const double *row = move + 4 * axis, *point = points + 3 * n;
    return row[0] * point[0] + row[1] * point[1] + row[2] * point[2] + row[3];
  });
}

}  // namespace

// metric: 9 mm, or null where nothing is to be added beyond the grid; onto: (3, 4), index of the other grid's voxel -> index in the field;
// out: (od, oh, ow). Returns 0, or 1 when memory ran out.
SHAPEKIT_EXPORT int shapekit_sample_lattice(const float* values, const double* metric, std::int32_t d, std::int32_t h, std::int32_t w,
                                            const double* onto, std::int32_t od, std::int32_t oh, std::int32_t ow, std::int32_t threads,
                                            float* out) try {
  const Held held(values, d, h, w, metric);
  const double along_h[3] = {onto[1], onto[5], onto[9]}, along_w[3] = {onto[2], onto[6], onto[10]};
  share_out(od, threads, [&](std::int64_t i) {
    double at[3];
    for (int axis = 0; axis < 3; ++axis) at[axis] = onto[4 * axis + 3] + i * onto[4 * axis];
    sample_layer(held.field, metric != nullptr, at, along_h, along_w, oh, ow, out + i * oh * ow);
  });
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}

// moves: (k, 3, 4), point -> index in the field; points: (n, 3); out: (k, n). Returns 0, or 1 when memory ran out.
SHAPEKIT_EXPORT int shapekit_sample_points(const float* values, const double* metric, std::int32_t d, std::int32_t h, std::int32_t w,
                                           const double* moves, std::int64_t k, const double* points, std::int64_t n, std::int32_t threads,
                                           float* out) try {
  const Held held(values, d, h, w, metric);
  const std::int64_t parts = (n + POINTS - 1) / POINTS;
  share_out(k * parts, threads, [&](std::int64_t part) {
    const std::int64_t move = part / parts, from = part % parts * POINTS, count = smaller(POINTS, n - from);
    sample_points(held.field, metric != nullptr, moves + 12 * move, points + 3 * from, count, out + move * n + from);
  });
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}
