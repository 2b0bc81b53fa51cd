// The exact signed distance on the CPU, behind a C interface: one axis after the other, 16 neighbouring lines at a time. In float64: the result is
// rounded once, so that what follows does not depend on which implementation served.
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
constexpr double FAR = 1e300;   // where a line has nothing of the other side: compilers may assume finite numbers
constexpr double NEAR = 1e-30;  // fills up lanes without a line: they never keep the others searching
constexpr int PATIENCE = 4;  // steps of the search between two looks at whether it may end

// Along the last axis the field is still binary: the nearest voxel of the other side is the end of a run.
void first_axis(const std::uint8_t* mask, int length, double spacing, double* squared) {
  for (int begin = 0; begin < length;) {
    int end = begin + 1;
    while (end < length && (mask[end] != 0) == (mask[begin] != 0)) ++end;
    const double side = mask[begin] ? -1.0 : 1.0;
    for (int n = begin; n < end; ++n) {
      const int before = begin > 0 ? n - begin + 1 : length, after = end < length ? end - n : length;
      const int steps = std::min(before, after);
      const double way = steps * spacing;
      squared[n] = side * (steps < length ? way * way : FAR);
    }
    begin = end;
  }
}

// 16 lines side by side: every voxel looks outward until no voxel further away can be nearer. With a field, the distances go there.
SHAPEKIT_CLONES void further_axis(double* squared, std::int64_t stride, int length, int lanes, double spacing, float* field, double* lines) {
  double least[LANES], most[LANES];  // a line's smallest and largest value tell how near its other voxels may bring one at best
  std::fill_n(least, LANES, FAR);
  std::fill_n(most, LANES, -FAR);
  for (int n = 0; n < length; ++n) {
    for (int lane = 0; lane < LANES; ++lane) {
      const double value = lane < lanes ? squared[n * stride + lane] : NEAR;
      lines[n * LANES + lane] = value;
      least[lane] = smaller(least[lane], value);
      most[lane] = larger(most[lane], value);
    }
  }
  double base[LANES];
  for (int lane = 0; lane < LANES; ++lane) base[lane] = least[lane] > 0.0 ? least[lane] : most[lane] < 0.0 ? -most[lane] : 0.0;
  for (int n = 0; n < length; ++n) {
    double side[LANES], best[LANES];
    for (int lane = 0; lane < LANES; ++lane) {
      side[lane] = lines[n * LANES + lane] < 0.0 ? -1.0 : 1.0;
      best[lane] = side[lane] * lines[n * LANES + lane];
    }
    const int reach = std::max(n, length - 1 - n);
    for (int step = 1; step <= reach;) {
      double worst = 0.0;
      for (int lane = 0; lane < LANES; ++lane) worst = larger(worst, base[lane] < FAR ? best[lane] - base[lane] : 0.0);
      if (step * spacing * (step * spacing) >= worst) break;
      for (const int until = std::min(step + PATIENCE, reach + 1); step < until; ++step) {
        const double way = step * spacing * (step * spacing);
        // beyond an end of the line its last voxel stands in: too far away to win, and right all the same
        const double *before = lines + std::max(n - step, 0) * LANES, *after = lines + std::min(n + step, length - 1) * LANES;
        for (int lane = 0; lane < LANES; ++lane) {
          const double one = squared_through(side[lane], before[lane], way), other = squared_through(side[lane], after[lane], way);
          best[lane] = smaller(best[lane], smaller(one, other));
        }
      }
    }
    for (int lane = 0; lane < lanes; ++lane) {
      if (field) {
        field[n * stride + lane] = float(side[lane] * std::sqrt(best[lane]));
      } else {
        squared[n * stride + lane] = side[lane] * best[lane];
      }
    }
  }
}

struct Grid {
  int d, h, w;
  double spacing[3];
};

void one_mask(const std::uint8_t* mask, const Grid& grid, int threads, float* field) {
  const std::int64_t plane = std::int64_t(grid.h) * grid.w;
  if (std::find(mask, mask + grid.d * plane, mask[0] == 0) == mask + grid.d * plane) {  // empty or full
    std::fill_n(field, grid.d * plane, mask[0] ? -HUGE_VALF : HUGE_VALF);
    return;
  }
  std::vector<double> squared(grid.d * plane);
  share_out(grid.d, threads, [&](std::int64_t n) {
    std::vector<double> lines(std::int64_t(grid.h) * LANES);
    double* from = &squared[n * plane];
    for (int row = 0; row < grid.h; ++row) first_axis(mask + n * plane + row * std::int64_t(grid.w), grid.w, grid.spacing[2], from + row * std::int64_t(grid.w));
    for (int w = 0; w < grid.w; w += LANES)
      further_axis(from + w, grid.w, grid.h, std::min(LANES, grid.w - w), grid.spacing[1], nullptr, lines.data());
  });
  share_out(grid.h, threads, [&](std::int64_t n) {
    std::vector<double> lines(std::int64_t(grid.d) * LANES);
    for (int w = 0; w < grid.w; w += LANES)
      further_axis(&squared[n * grid.w + w], plane, grid.d, std::min(LANES, grid.w - w), grid.spacing[0], field + n * grid.w + w, lines.data());
  });
}

}  // namespace

// mask and field: (batch, d, h, w); spacing: 3 sides in mm. Returns 0, or 1 when memory ran out.
SHAPEKIT_EXPORT int shapekit_signed_distance(const std::uint8_t* mask, const double* spacing, std::int64_t batch, std::int32_t d, std::int32_t h,
                                             std::int32_t w, std::int32_t threads, float* field) try {
  const Grid grid{d, h, w, {spacing[0], spacing[1], spacing[2]}};
  const std::int64_t voxels = std::int64_t(d) * h * w;
  if (batch >= threads) {  // a thread for a mask: none waits for another between the axes
    share_out(batch, threads, [&](std::int64_t n) { one_mask(mask + n * voxels, grid, 1, field + n * voxels); });
  } else {
    for (std::int64_t n = 0; n < batch; ++n) one_mask(mask + n * voxels, grid, threads, field + n * voxels);
  }
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}
