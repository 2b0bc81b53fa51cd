// The surplus volume on the CPU, behind a C interface.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "../include/surplus_math.h"
#include "../threads.h"

namespace shapekit {

constexpr int LANES = 8;  // independent sums: no addition waits for the one before, and with AVX2 all of them stay in registers
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

// True when the highest bit of any lane is set.
SHAPEKIT_INLINE bool any_sign(Unsigned bits) {
  std::uint64_t halves[LANES / 2], found = 0;
  std::memcpy(halves, &bits, sizeof halves);
  for (const std::uint64_t half : halves) found |= half;
  return found & 0x8000000080000000u;
}

// Calls visit(expected, actual, line, w, at, count) for LANES voxels after the other of some lines: from voxel w of a line, `at` in the grids.
// The last ones of a line may be fewer: FAR fills them up. Where counts(expected, actual) says that none of them matters they are passed over,
// and a line is only prepared for its first voxels that do: of a patch around one body, most lie outside both shapes.
template <typename Counts, typename Visit>
SHAPEKIT_INLINE void walk(const float* expected, const float* actual, const Item& item, Sides sides, std::int64_t begin, std::int64_t end,
                          const Counts& counts, const Visit& visit) {
  Floats lanes;
  for (int lane = 0; lane < LANES; ++lane) lanes[lane] = float(lane);
  std::int64_t at = begin * sides.w;
  for (std::int64_t n = begin; n < end; ++n) {
    Line line;
    bool prepared = false;
    for (int w = 0; w < sides.w; w += LANES) {
      const int count = std::min(LANES, sides.w - w);
      Floats e, a;
      if (count == LANES) {
        std::memcpy(&e, expected + at, sizeof e);
        std::memcpy(&a, actual + at, sizeof a);
      } else {
        a = e = all<Floats>(FAR);
        std::memcpy(&e, expected + at, count * sizeof(float));
        std::memcpy(&a, actual + at, count * sizeof(float));
      }
      if (counts(e, a, at, count)) {
        if (!prepared) line = make_line(item, sides, int(n / sides.h), int(n % sides.h)), prepared = true;
        visit(e, a, line, lanes + float(w), at, count);
      }
      at += count;
    }
  }
}

SHAPEKIT_CLONES void sum_lines(const float* expected, const float* actual, const Item& item, Sides sides, std::int64_t begin, std::int64_t end,
                               double* record) {
  Sums<Floats> sums = {};
  const float per_spacing = float(1.0 / item.spacing), outside = beyond_ramp(item.spacing);
  walk(
      expected, actual, item, sides, begin, end,
      [&](Floats e, Floats a, std::int64_t, int) SHAPEKIT_INLINED {
        doubt_terms(e, a, sums);
        return any_sign(bits_of(smaller(e, a) - outside));
      },
      [&](Floats e, Floats a, const Line& line, Floats w, std::int64_t, int) SHAPEKIT_INLINED { add_terms(e, a, line, w, per_spacing, sums); });
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
  const float per_spacing = float(1.0 / item.spacing), outside = beyond_ramp(item.spacing);
  const Floats zero = all<Floats>(0.0f);
  walk(
      expected, actual, item, sides, begin, end,
      [&](Floats e, Floats a, std::int64_t at, int count) SHAPEKIT_INLINED {
        if (any_sign(bits_of(smaller(absolute(e), absolute(a)) - outside))) return true;
        std::memcpy(to_expected + at, &zero, count * sizeof(float));
        std::memcpy(to_actual + at, &zero, count * sizeof(float));
        return false;
      },
      [&](Floats e, Floats a, const Line& line, Floats w, std::int64_t at, int count) SHAPEKIT_INLINED {
        Floats of_expected, of_actual;
        gradients_of(e, a, line, slopes, w, per_spacing, of_expected, of_actual);
        std::memcpy(to_expected + at, &of_expected, count * sizeof(float));
        std::memcpy(to_actual + at, &of_actual, count * sizeof(float));
      });
}

// Asks for large pages behind memory that is about to be written: fresh pages of 4 kB cost more than the gradients that go into them.
void in_large_pages(float* begin, std::int64_t count) {
#ifdef MADV_HUGEPAGE
  const std::uintptr_t page = 4096, from = (reinterpret_cast<std::uintptr_t>(begin) + page - 1) / page * page;
  const std::uintptr_t to = reinterpret_cast<std::uintptr_t>(begin + count) / page * page;
  if (to > from) madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);  // where that is refused, small ones serve
#else
  (void)begin, (void)count;
#endif
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
  in_large_pages(to_expected, batch * lines * w);
  in_large_pages(to_actual, batch * lines * w);
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
