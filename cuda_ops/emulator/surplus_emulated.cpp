// surplus.cu behind the CPU library's C interface, run by the emulator; the launches are those of shapekit/ops/_cuda.py.
#include <algorithm>
#include <cstdint>

#include "emulator.h"
// the kernels come after the emulator, whose words they are written in
#include "../surplus/surplus.cu"

static std::int64_t lines_per_block(int w) { return std::max<std::int64_t>(1, std::min<std::int64_t>(MOST_LINES, 16384 / w)); }

extern "C" int shapekit_surplus_forward(const float* expected, const float* actual, const float* centre, const float* rotation, const float* sigma,
                                        const float* length, double spacing, std::int64_t batch, std::int32_t d, std::int32_t h, std::int32_t w,
                                        std::int32_t, double* columns) {
  const std::int64_t step = lines_per_block(w), blocks = (std::int64_t(d) * h + step - 1) / step;
  std::vector<double> partial(batch * blocks * RECORD);
  emulator::launch(batch * blocks, THREADS, [&] {
    surplus_forward(expected, actual, centre, rotation, sigma, length, spacing, d, h, w, int(step), int(blocks), partial.data());
  });
  emulator::launch(batch, WARP, [&] { surplus_combine(partial.data(), centre, rotation, sigma, length, spacing, d, h, w, int(blocks), columns); });
  return 0;
}

extern "C" int shapekit_surplus_backward(const double* upstream, const float* expected, const float* actual, const float* centre,
                                         const float* rotation, const float* sigma, const float* length, double spacing, std::int64_t batch,
                                         std::int32_t d, std::int32_t h, std::int32_t w, std::int32_t, float* to_expected, float* to_actual) {
  const std::int64_t step = lines_per_block(w), blocks = (std::int64_t(d) * h + step - 1) / step;
  emulator::launch(batch * blocks, THREADS, [&] {
    surplus_backward(upstream, expected, actual, centre, rotation, sigma, length, spacing, d, h, w, int(step), int(blocks), to_expected, to_actual);
  });
  return 0;
}
