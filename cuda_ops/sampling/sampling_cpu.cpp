// A field at points or on another grid, on the CPU, behind a C interface.
#include <cstdint>
#include <new>

#include "../field.h"
#include "../threads.h"

namespace {

using namespace shapekit;

constexpr std::int64_t POINTS = 4096;  // that a thread takes at once

SHAPEKIT_CLONES void sample_layer(const Field& field, bool adds_way, const double* at, const double* along_h, const double* along_w, int h, int w,
                                  float* out) {
  sample_rows(field, adds_way, at, along_h, along_w, h, w, out);
}

SHAPEKIT_CLONES void sample_points(const Field& field, bool adds_way, const double* onto, const double* points, std::int64_t count, float* out) {
  sample(field, adds_way, count, out, [=](std::int64_t n, int axis) {
    const double *row = onto + 4 * axis, *point = points + 3 * n;
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

// onto: (3, 4), point -> index in the field; points: (n, 3); out: (n). Returns 0, or 1 when memory ran out.
SHAPEKIT_EXPORT int shapekit_look_up_points(const float* values, const double* metric, std::int32_t d, std::int32_t h, std::int32_t w,
                                            const double* onto, const double* points, std::int64_t n, std::int32_t threads, float* out) try {
  const Held held(values, d, h, w, metric);
  share_out((n + POINTS - 1) / POINTS, threads, [&](std::int64_t part) {
    const std::int64_t from = part * POINTS;
    sample_points(held.field, metric != nullptr, onto, points + 3 * from, smaller(POINTS, n - from), out + from);
  });
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}
