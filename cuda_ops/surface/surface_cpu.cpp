// The mean distance that one field has on the surface of another, on the CPU, behind a C interface.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#include "../field.h"
#include "../include/surface_math.h"
#include "../threads.h"

namespace {

using namespace shapekit;

constexpr int EIGHT = 8;

// Crossings that are looked up together, and what has been found so far.
struct Gathered {
  Places places{};
  double areas[TOGETHER];
  int count = 0;
  double weighted = 0.0, area = 0.0;
};

SHAPEKIT_CLONES void look_up(const Field& field, Gathered& gathered) {
  float found[TOGETHER];
  sampled<true>(field, gathered.places, found);
  for (int n = 0; n < gathered.count; ++n) {
    gathered.weighted += std::fabs(double(found[n])) * gathered.areas[n];
    gathered.area += gathered.areas[n];
  }
  gathered.count = 0;
}

SHAPEKIT_CLONES void mark_inside(const float* values, i64 count, std::uint8_t* inside) {
  for (i64 n = 0; n < count; ++n) inside[n] = values[n] <= 0.0f;
}

}  // namespace

// surface: (od, oh, ow) values whose outermost layer but one lies outside still; spacing: 3 mm; onto: (3, 4), its index -> index in the field;
// out: the mean. Returns 0, or 1 when memory ran out.
SHAPEKIT_EXPORT int shapekit_distance_at_surface(const float* values, const double* metric, std::int32_t d, std::int32_t h, std::int32_t w,
                                                 const double* onto, const float* surface, std::int32_t od, std::int32_t oh, std::int32_t ow,
                                                 const double* spacing, double* out) try {
  const Held held(values, d, h, w, metric);
  const i64 strides[3] = {i64(oh) * ow, ow, 1};
  const i64 count = i64(od) * oh * ow;
  std::vector<std::uint8_t> inside(count + EIGHT);
  mark_inside(surface, count, inside.data());
  Gathered gathered;
  for (int axis = 0; axis < 3; ++axis)
    for (int i = 1; i + 2 < od; ++i)
      for (int j = 1; j + 2 < oh; ++j) {
        const i64 row = (i64(i) * oh + j) * ow;
        for (int from = 1; from + 2 < ow; from += EIGHT) {  // eight edges at once, of which hardly any crosses
          std::uint64_t one, other;
          std::memcpy(&one, inside.data() + row + from, EIGHT);
          std::memcpy(&other, inside.data() + row + from + strides[axis], EIGHT);
          if (one == other) continue;
          for (int k = from; k < from + EIGHT && k + 2 < ow; ++k) {
            if (inside[row + k] == inside[row + k + strides[axis]]) continue;
            const float* at = surface + row + k;
            const double share = crossing_share(at, strides[axis]);
            double index[3] = {double(i), double(j), double(k)};
            index[axis] += share;
            for (int to = 0; to < 3; ++to) {
              const double* line = onto + 4 * to;
              gathered.places.index[to][gathered.count] = line[0] * index[0] + line[1] * index[1] + line[2] * index[2] + line[3];
            }
            gathered.areas[gathered.count] = crossing_area(at, strides, spacing, axis, share);
            if (++gathered.count == TOGETHER) look_up(held.field, gathered);
          }
        }
      }
  look_up(held.field, gathered);
  *out = gathered.weighted / larger(gathered.area, 1e-300);
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}
