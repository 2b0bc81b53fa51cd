// distance.cu behind the CPU library's C interface, run by the emulator; the launches are those of shapekit/ops/_cuda.py.
#include <algorithm>
#include <cstdint>

#include "emulator.h"
// the kernels come after the emulator, whose words they are written in
#include "../distance/distance.cu"

static void further(float* field, std::int64_t voxels, std::int64_t stride, int length, double spacing, bool last) {
  int tile = 32;
  while (tile > 1 && tile * length > SHARED) tile /= 2;
  const std::int64_t tiles = (stride + tile - 1) / tile;
  emulator::launch(voxels / (length * stride) * tiles, THREADS,
                   [&] { distance_further(field, stride, length, tile, int(tiles), float(spacing), last); });
}

extern "C" int shapekit_signed_distance(const std::uint8_t* mask, const double* spacing, std::int64_t batch, std::int32_t d, std::int32_t h,
                                        std::int32_t w, std::int32_t, float* field) {
  const std::int64_t voxels = batch * d * h * w;
  emulator::launch((voxels + THREADS - 1) / THREADS, THREADS, [&] { distance_first(mask, voxels, w, float(spacing[2]), field); });
  further(field, voxels, w, h, spacing[1], false);
  further(field, voxels, std::int64_t(h) * w, d, spacing[0], true);
  return 0;
}
