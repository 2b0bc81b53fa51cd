// The surplus volume on the CPU, behind a C interface.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#include "../include/surplus_math.h"
#include "../threads.h"

namespace shapekit {

constexpr int LANES = 16;  // independent sums: no addition waits for the one before
typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef unsigned Unsigned __attribute__((vector_size(4 * LANES)));
template <>
struct BitsOf<Floats> {
  typedef Unsigned type;
};

}  // namespace shapekit

namespace {

using namespace shapekit;

constexpr std::int64_t BLOCK_VOXELS = 8192;  // of a partial sum: few enough to be exact in float32, a whole number of lines
constexpr int GROUP = 128;                    // lines that are prepared together
constexpr float FAR = 1e30f;                 // a distance whose occupancy is exactly 0: fills up the last lanes of a line

struct Parameters {
  const float *centre, *rotation, *sigma, *length;
  double spacing;
  Sides sides;

  Item item(std::int64_t n) const { return make_item(centre + 3 * n, rotation + 9 * n, sigma + 3 * n, length[n], spacing, sides); }
};

std::int64_t lines_per_block(Sides sides) { return std::max<std::int64_t>(1, BLOCK_VOXELS / sides.w); }

// Whatever takes or gives Floats must be inlined: clones for several instruction sets pass them in different registers.
#define SHAPEKIT_INLINED __attribute__((always_inline))

// Calls visit(expected, actual, line, w, at, count) for 16 voxels after the other of some lines: from voxel w of a line, `at` in the grids.
// The last ones of a line may be fewer: FAR fills them up. One flat loop, so that what visit keeps stays in registers.
template <typename Visit>
SHAPEKIT_INLINE void walk(const float* expected, const float* actual, const Item& item, Sides sides, std::int64_t begin, std::int64_t end,
                          const Visit& visit) {
  Floats lanes;
  for (int lane = 0; lane < LANES; ++lane) lanes[lane] = float(lane);
  Line lines[GROUP];
  int d = int(begin / sides.h), h = int(begin % sides.h);
  while (begin < end) {
    const int group = int(std::min<std::int64_t>(GROUP, end - begin));
    for (int n = 0; n < group; ++n) {
      lines[n] = make_line(item, sides, d, h);
      if (++h == sides.h) h = 0, ++d;
    }
    std::int64_t at = begin * sides.w;
    for (int n = 0; n < group; ++n) {
      const Line line = lines[n];
      Floats w = lanes, e, a;
      for (int left = sides.w; left > 0; left -= LANES, w += float(LANES)) {
        const int count = std::min(LANES, left);
        if (count == LANES) {
          std::memcpy(&e, expected + at, sizeof e);
          std::memcpy(&a, actual + at, sizeof a);
        } else {
          a = e = all<Floats>(FAR);
          std::memcpy(&e, expected + at, count * sizeof(float));
          std::memcpy(&a, actual + at, count * sizeof(float));
        }
        visit(e, a, line, w, at, count);
        at += count;
      }
    }
    begin += group;
  }
}

SHAPEKIT_CLONES void sum_lines(const float* expected, const float* actual, const Item& item, Sides sides, std::int64_t begin, std::int64_t end,
                               double* record) {
  Sums<Floats> sums = {};
  const float per_spacing = float(1.0 / item.spacing);
  walk(expected, actual, item, sides, begin, end, [&](Floats e, Floats a, const Line& line, Floats w, std::int64_t, int) SHAPEKIT_INLINED {
    add_terms(e, a, line, w, per_spacing, sums);
  });
  Floats list[SUMS];
  list_sums(sums, list);
  std::fill_n(record, RECORD, 0.0);
  for (int lane = 0; lane < LANES; ++lane) {
    for (int n = 0; n < SUMS; ++n) record[n] += list[n][lane];
    record[DOUBT] += sums.doubt[lane] >> 31;
  }
}

SHAPEKIT_CLONES void slope_lines(const float* expected, const float* actual, const Item& item, const Slopes& slopes, Sides sides, std::int64_t begin,
                                 std::int64_t end, float* to_expected, float* to_actual) {
  const float per_spacing = float(1.0 / item.spacing);
  walk(expected, actual, item, sides, begin, end, [&](Floats e, Floats a, const Line& line, Floats w, std::int64_t at, int count) SHAPEKIT_INLINED {
    Floats of_expected, of_actual;
    gradients_of(e, a, line, slopes, w, per_spacing, of_expected, of_actual);
    std::memcpy(to_expected + at, &of_expected, count * sizeof(float));
    std::memcpy(to_actual + at, &of_actual, count * sizeof(float));
  });
}

}  // namespace

// columns: (batch, COLUMNS) double. Returns 0, or 1 when memory ran out.
SHAPEKIT_EXPORT int shapekit_surplus_forward(const float* expected, const float* actual, const float* centre, const float* rotation, const float* sigma,
                                        const float* length, double spacing, std::int64_t batch, std::int32_t d, std::int32_t h, std::int32_t w,
                                        std::int32_t threads, double* columns) try {
  const Parameters parameters{centre, rotation, sigma, length, spacing, Sides{d, h, w}};
  const std::int64_t lines = std::int64_t(d) * h, step = lines_per_block(parameters.sides), blocks = (lines + step - 1) / step;
  std::vector<double> partial(batch * blocks * RECORD);
  share_out(batch * blocks, threads, [&](std::int64_t n) {
    const std::int64_t item = n / blocks, begin = n % blocks * step;
    sum_lines(expected + item * lines * w, actual + item * lines * w, parameters.item(item), parameters.sides, begin, std::min(begin + step, lines),
              &partial[n * RECORD]);
  });
  for (std::int64_t item = 0; item < batch; ++item) {
    double sums[RECORD] = {};
    for (std::int64_t block = 0; block < blocks; ++block)
      for (int n = 0; n < RECORD; ++n) sums[n] += partial[(item * blocks + block) * RECORD + n];
    finish_item(parameters.item(item), sums, sums[DOUBT], columns + item * COLUMNS);
  }
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}

// upstream: (batch, COLUMNS) double, its last column unused; the gradients are shaped like the grids. Returns 0, or 1 when memory ran out.
SHAPEKIT_EXPORT int shapekit_surplus_backward(const double* upstream, const float* expected, const float* actual, const float* centre,
                                         const float* rotation, const float* sigma, const float* length, double spacing, std::int64_t batch,
                                         std::int32_t d, std::int32_t h, std::int32_t w, std::int32_t threads, float* to_expected,
                                         float* to_actual) try {
  const Parameters parameters{centre, rotation, sigma, length, spacing, Sides{d, h, w}};
  const std::int64_t lines = std::int64_t(d) * h, step = lines_per_block(parameters.sides), blocks = (lines + step - 1) / step;
  share_out(batch * blocks, threads, [&](std::int64_t n) {
    const std::int64_t place = n / blocks, begin = n % blocks * step, from = place * lines * w;
    const Item item = parameters.item(place);
    slope_lines(expected + from, actual + from, item, make_slopes(item, upstream + place * COLUMNS), parameters.sides, begin,
                std::min(begin + step, lines), to_expected + from, to_actual + from);
  });
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}
