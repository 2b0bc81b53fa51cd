// The exact signed distance on the CPU, behind a C interface: one axis after the other, 16 neighbouring lines at a time.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <new>
#include <vector>

#include "../include/distance_math.h"
#include "../threads.h"

namespace {

using namespace shapekit;

constexpr int LANES = 16;
constexpr int PATIENCE = 4;  // steps of the search between two looks at whether it may end

// Along the last axis the field is still binary: the nearest voxel of the other side is the end of a run.
void first_axis(const std::uint8_t* mask, int length, float spacing, float* field) {
  for (int begin = 0; begin < length;) {
    int end = begin + 1;
    while (end < length && (mask[end] != 0) == (mask[begin] != 0)) ++end;
    const float side = mask[begin] ? -1.0f : 1.0f;
    for (int n = begin; n < end; ++n) {
      const int before = begin > 0 ? n - begin + 1 : length, after = end < length ? end - n : length;
      const int steps = std::min(before, after);
      const float way = float(steps) * spacing;
      field[n] = side * (steps < length ? way * way : no_distance());
    }
    begin = end;
  }
}

// 16 lines side by side: every voxel looks outward until no voxel further away can be nearer.
SHAPEKIT_CLONES void further_axis(float* field, std::int64_t stride, int length, int lanes, float spacing, bool last, float* lines) {
  for (int n = 0; n < length; ++n)
    for (int lane = 0; lane < LANES; ++lane) lines[n * LANES + lane] = lane < lanes ? field[n * stride + lane] : 1.0f;
  for (int n = 0; n < length; ++n) {
    float side[LANES], best[LANES];
    for (int lane = 0; lane < LANES; ++lane) {
      side[lane] = lines[n * LANES + lane] < 0.0f ? -1.0f : 1.0f;
      best[lane] = side[lane] * lines[n * LANES + lane];
    }
    const int reach = std::max(n, length - 1 - n);
    for (int step = 1; step <= reach;) {
      float worst = 0.0f;
      for (int lane = 0; lane < LANES; ++lane) worst = larger(worst, lane < lanes ? best[lane] : 0.0f);
      if (float(step) * spacing * (float(step) * spacing) >= worst) break;
      for (const int until = std::min(step + PATIENCE, reach + 1); step < until; ++step) {
        const float squared = float(step) * spacing * (float(step) * spacing);
        // beyond an end of the line its last voxel stands in: too far away to win, and right all the same
        const float *before = lines + std::max(n - step, 0) * LANES, *after = lines + std::min(n + step, length - 1) * LANES;
        for (int lane = 0; lane < LANES; ++lane) {
          const float one = squared_through(side[lane], before[lane], squared), other = squared_through(side[lane], after[lane], squared);
          best[lane] = smaller(best[lane], smaller(one, other));
        }
      }
    }
    for (int lane = 0; lane < LANES; ++lane) best[lane] = side[lane] * (last ? std::sqrt(best[lane]) : best[lane]);
    std::copy_n(best, lanes, field + n * stride);
  }
}

}  // namespace

// mask and field: (batch, d, h, w); spacing: 3 sides in mm. Returns 0, or 1 when memory ran out.
SHAPEKIT_EXPORT int shapekit_signed_distance(const std::uint8_t* mask, const double* spacing, std::int64_t batch, std::int32_t d, std::int32_t h,
                                        std::int32_t w, std::int32_t threads, float* field) try {
  const std::int64_t plane = std::int64_t(h) * w, volume = d * plane, tiles = (w + LANES - 1) / LANES;
  share_out(batch * d, threads, [&](std::int64_t n) {
    std::vector<float> lines(std::int64_t(h) * LANES);
    for (int row = 0; row < h; ++row) first_axis(mask + n * plane + std::int64_t(row) * w, w, float(spacing[2]), field + n * plane + std::int64_t(row) * w);
    for (std::int64_t tile = 0; tile < tiles; ++tile)
      further_axis(field + n * plane + tile * LANES, w, h, int(std::min<std::int64_t>(LANES, w - tile * LANES)), float(spacing[1]), false, lines.data());
  });
  share_out(batch * h, threads, [&](std::int64_t n) {
    std::vector<float> lines(std::int64_t(d) * LANES);
    float* from = field + n / h * volume + n % h * w;
    for (std::int64_t tile = 0; tile < tiles; ++tile)
      further_axis(from + tile * LANES, plane, d, int(std::min<std::int64_t>(LANES, w - tile * LANES)), float(spacing[0]), true, lines.data());
  });
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}
