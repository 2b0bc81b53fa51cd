// Where a mask is densest, on the CPU, behind a C interface.
#include <cstdint>
#include <new>
#include <vector>

#include "../include/density_math.h"
#include "../threads.h"

namespace {

using namespace shapekit;

// Adds the weights of some voxels and what they weigh along each axis; those of no voxel are nothing.
SHAPEKIT_CLONES void add_weights(const Voxels* voxels, std::int64_t blocks, const double* peak, double per_variance, double (*sums)[TOGETHER]) {
  const double half_squared = 0.5 * (peak[0] * peak[0] + peak[1] * peak[1] + peak[2] * peak[2]);
  for (std::int64_t block = 0; block < blocks; ++block) weigh(voxels[block], peak, half_squared, per_variance, sums);
}

}  // namespace

// mask: (d, h, w) of 0 and 1, at least one of them 1; affine: (3, 4), index -> mm; sigmas: (s) mm; out: 3 mm. Returns 0, or 1 when memory ran out.
SHAPEKIT_EXPORT int shapekit_densest_point(const std::uint8_t* mask, std::int32_t d, std::int32_t h, std::int32_t w, const double* affine,
                                           std::int32_t s, const double* sigmas, double* out) try {
  std::int64_t count = 0, total[3] = {};
  const auto each_voxel = [&](const auto& take) {
    const std::uint8_t* at = mask;
    for (std::int64_t i = 0; i < d; ++i)
      for (std::int64_t j = 0; j < h; ++j)
        for (std::int64_t k = 0; k < w; ++k, ++at)
          if (*at) take(i, j, k);
  };
  each_voxel([&](std::int64_t i, std::int64_t j, std::int64_t k) { ++count, total[0] += i, total[1] += j, total[2] += k; });
  if (count == 0) return 0;
  double middle[3];
  for (int axis = 0; axis < 3; ++axis) middle[axis] = double(total[axis]) / double(count);
  std::vector<Voxels> voxels((count + TOGETHER - 1) / TOGETHER);
  std::int64_t number = 0;
  each_voxel([&](std::int64_t i, std::int64_t j, std::int64_t k) {
    const double index[3] = {double(i) - middle[0], double(j) - middle[1], double(k) - middle[2]};
    Voxels& block = voxels[number / TOGETHER];
    double squared = 0.0;
    for (int axis = 0; axis < 3; ++axis) {
      const double* row = affine + 4 * axis;
      const double mm = row[0] * index[0] + row[1] * index[1] + row[2] * index[2];
      block.at[axis][number % TOGETHER] = mm;
      squared += mm * mm;
    }
    block.half_squared[number++ % TOGETHER] = 0.5 * squared;
  });
  for (; number % TOGETHER; ++number) voxels.back().half_squared[number % TOGETHER] = 1e30;
  double peak[3] = {};
  for (std::int32_t round = 0; round < s; ++round) {
    double sums[SUMS][TOGETHER] = {}, all[SUMS] = {};
    add_weights(voxels.data(), std::int64_t(voxels.size()), peak, 1.0 / (sigmas[round] * sigmas[round]), sums);
    for (int sum = 0; sum < SUMS; ++sum)
      for (int n = 0; n < TOGETHER; ++n) all[sum] += sums[sum][n];
    for (int axis = 0; axis < 3; ++axis) peak[axis] = all[axis] / all[3];
  }
  for (int axis = 0; axis < 3; ++axis) {
    const double* row = affine + 4 * axis;
    out[axis] = peak[axis] + row[0] * middle[0] + row[1] * middle[1] + row[2] * middle[2] + row[3];
  }
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}
