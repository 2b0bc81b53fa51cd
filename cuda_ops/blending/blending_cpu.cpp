// A mixture of fields by shares that are given on a coarser grid, on the CPU, behind a C interface.
#include <cstdint>
#include <new>
#include <vector>

#include "../include/blending_math.h"
#include "../threads.h"

namespace {

using namespace shapekit;

struct Shape {
  int side[3], finer;  // of the coarse grid

  int fine(int axis) const { return side[axis] * finer; }
};

// Everything along the last axis at the fine grid's step: (PARTS, i, j, fine k).
SHAPEKIT_CLONES void lengthen(const Shape& shape, const float* shares, const float* correction, const Between* along, float* out) {
  const std::int64_t rows = std::int64_t(shape.side[0]) * shape.side[1];
  const int length = shape.fine(2);
  for (std::int64_t row = 0; row < PARTS * rows; ++row) {
    const float* from = row < (PARTS - 1) * rows ? shares + row * shape.side[2] : correction + (row - (PARTS - 1) * rows) * shape.side[2];
    for (int k = 0; k < length; ++k) out[row * length + k] = from[along[k].before] + along[k].weight * (from[along[k].after] - from[along[k].before]);
  }
}

// One layer of the fine grid. room: (PARTS, j, fine k) and then one row more a part.
SHAPEKIT_CLONES void mix_layer(const Shape& shape, const float* parts, const float* fields, const float* guess, int i, float* room, float* out) {
  const int j_side = shape.side[1], length = shape.fine(2), rows = shape.fine(1);
  const std::int64_t plane = std::int64_t(j_side) * length, volume = shape.side[0] * plane, whole = std::int64_t(shape.fine(0)) * rows * length;
  const Between layer = between(i, shape.finer, shape.side[0]);
  for (int part = 0; part < PARTS; ++part) {
    const float* from = parts + part * volume;
    mix_rows(from + layer.before * plane, from + layer.after * plane, layer.weight, int(plane), room + part * plane);
  }
  float* row_of = room + PARTS * plane;
  for (int j = 0; j < rows; ++j) {
    const Between row = between(j, shape.finer, j_side);
    for (int part = 0; part < PARTS; ++part) {
      const float* from = room + part * plane;
      mix_rows(from + row.before * length, from + row.after * length, row.weight, length, row_of + part * length);
    }
    const std::int64_t at = (std::int64_t(i) * rows + j) * length;
    float* to = out + at;
    for (int k = 0; k < length; ++k) to[k] = row_of[(PARTS - 1) * length + k] + row_of[FIELDS * length + k] * guess[at + k];
    for (int field = 0; field < FIELDS; ++field)
      for (int k = 0; k < length; ++k) to[k] += row_of[field * length + k] * fields[field * whole + at + k];
  }
}

}  // namespace

// fields: (b, 4, fine), guess: (b, fine), shares: (b, 5, coarse), correction: (b, coarse), out: (b, fine), the coarse grid being i x j x k and the
// fine one finer times that along each axis. Returns 0, or 1 when memory ran out.
SHAPEKIT_EXPORT int shapekit_blend(const float* fields, const float* guess, const float* shares, const float* correction, std::int64_t b, std::int32_t i,
                                   std::int32_t j, std::int32_t k, std::int32_t finer, std::int32_t threads, float* out) try {
  const Shape shape{{i, j, k}, finer};
  const std::int64_t coarse = std::int64_t(i) * j * k, whole = coarse * finer * finer * finer, rows = std::int64_t(i) * j;
  std::vector<Between> along;
  for (int n = 0; n < shape.fine(2); ++n) along.push_back(between(n, finer, k));
  std::vector<float> parts(PARTS * rows * shape.fine(2));
  for (std::int64_t item = 0; item < b; ++item) {
    lengthen(shape, shares + item * (PARTS - 1) * coarse, correction + item * coarse, along.data(), parts.data());
    share_out(shape.fine(0), threads, [&](std::int64_t layer) {
      std::vector<float> room(std::size_t(PARTS) * (j + 1) * shape.fine(2));
      mix_layer(shape, parts.data(), fields + item * FIELDS * whole, guess + item * whole, int(layer), room.data(), out + item * whole);
    });
  }
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}
