// A field at points or on another grid, on the CPU, behind a C interface.
#include <cstdint>
#include <new>

#include "../include/sampling_math.h"
#include "../threads.h"

namespace {

using namespace shapekit;

constexpr std::int64_t POINTS = 4096;  // that a thread takes at once

Field field_of(const float* values, std::int32_t d, std::int32_t h, std::int32_t w, const double* metric) {
  Field field{values, d, h, w, {}, metric != nullptr};
  for (int n = 0; metric && n < 9; ++n) field.metric[n] = metric[n];
  return field;
}

// Consecutive voxels of one line of the other grid, from index `at` in steps.
SHAPEKIT_CLONES void sample_line(const Field& field, const double* at, const double* step, int count, float* out) {
  for (int n = 0; n < count; ++n) out[n] = sampled(field, at[0] + n * step[0], at[1] + n * step[1], at[2] + n * step[2]);
}

SHAPEKIT_CLONES void sample_some(const Field& field, const double* move, const double* points, std::int64_t count, float* out) {
  for (std::int64_t n = 0; n < count; ++n) {
    const double x = points[3 * n], y = points[3 * n + 1], z = points[3 * n + 2];
    out[n] = sampled(field, move[0] * x + move[1] * y + move[2] * z + move[3], move[4] * x + move[5] * y + move[6] * z + move[7],
                     move[8] * x + move[9] * y + move[10] * z + move[11]);
  }
}

}  // namespace

// metric: 9 mm, or null where nothing is to be added beyond the grid; onto: (3, 4), index of the other grid's voxel -> index in the field;
// out: (od, oh, ow). Returns 0, or 1 when memory ran out.
SHAPEKIT_EXPORT int shapekit_sample_lattice(const float* values, const double* metric, std::int32_t d, std::int32_t h, std::int32_t w,
                                            const double* onto, std::int32_t od, std::int32_t oh, std::int32_t ow, std::int32_t threads,
                                            float* out) try {
  const Field field = field_of(values, d, h, w, metric);
  const double step[3] = {onto[2], onto[6], onto[10]};
  share_out(od, threads, [&](std::int64_t i) {
    for (int j = 0; j < oh; ++j) {
      double at[3];
      for (int row = 0; row < 3; ++row) at[row] = onto[4 * row + 3] + i * onto[4 * row] + j * onto[4 * row + 1];
      sample_line(field, at, step, ow, out + (i * oh + j) * ow);
    }
  });
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}

// moves: (k, 3, 4), point -> index in the field; points: (n, 3); out: (k, n). Returns 0, or 1 when memory ran out.
SHAPEKIT_EXPORT int shapekit_sample_points(const float* values, const double* metric, std::int32_t d, std::int32_t h, std::int32_t w,
                                           const double* moves, std::int64_t k, const double* points, std::int64_t n, std::int32_t threads,
                                           float* out) try {
  const Field field = field_of(values, d, h, w, metric);
  const std::int64_t parts = (n + POINTS - 1) / POINTS;
  share_out(k * parts, threads, [&](std::int64_t part) {
    const std::int64_t move = part / parts, from = part % parts * POINTS, count = smaller(POINTS, n - from);
    sample_some(field, moves + 12 * move, points + 3 * from, count, out + move * n + from);
  });
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}
