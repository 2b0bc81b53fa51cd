// The gap behind a vertebral body and the wall in front of it, on the CPU, behind a C interface.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <new>
#include <vector>

#include "../field.h"
#include "../include/canal_math.h"
#include "../statistics.h"
#include "../threads.h"

namespace {

using namespace shapekit;

// As shapekit/ops/canal.py hands them over; mm.
struct Settings {
  double lr_first, ap_first, si_first, least_gap, deepest_wall, midline, wall_spread, clear_of_arch, tie;
  double least_columns, least_rows;
};

// As shapekit/ops/canal.py reads it; its outline follows.
struct Found {
  double found, centre[3], body[3], wall[TERMS], lr[2], si[2], sides[2];
};

// What lies about a body, a millimetre apart: LR, SI, then AP backward.
struct Bone {
  std::int32_t lr, si, ap;
  std::vector<std::uint8_t> there;

  const std::uint8_t* column(int l, int s) const { return there.data() + (std::int64_t(l) * si + s) * ap; }
};

SHAPEKIT_CLONES void mark_layer(const Field& field, const double* at, const double* along_h, const double* along_w, int h, int w, float* room,
                                std::uint8_t* out) {
  sample_rows(field, false, at, along_h, along_w, h, w, room);
  for (int n = 0; n < h * w; ++n) out[n] = room[n] > 0.5f;
}

Bone bone_about(const Field& field, const double* onto, std::int32_t lr, std::int32_t si, std::int32_t ap) {
  Bone bone{lr, si, ap, std::vector<std::uint8_t>(std::size_t(lr) * si * ap)};
  std::vector<float> room(std::size_t(si) * ap);
  const double along_h[3] = {onto[1], onto[5], onto[9]}, along_w[3] = {onto[2], onto[6], onto[10]};
  for (std::int32_t l = 0; l < lr; ++l) {
    double at[3];
    for (int axis = 0; axis < 3; ++axis) at[axis] = onto[4 * axis + 3] + l * onto[4 * axis];
    mark_layer(field, at, along_h, along_w, si, ap, room.data(), bone.there.data() + std::int64_t(l) * si * ap);
  }
  return bone;
}

// Where a column that runs backward from the body's middle leaves the bone, and how long the gap is that follows; -1: it has no end in sight.
struct Column {
  int run, gap;
  bool seen;
};

std::vector<Column> columns_of(const Bone& bone, const Settings& given) {
  const int middle = int(given.ap_first), length = bone.ap - middle;
  std::vector<Column> columns;
  columns.reserve(std::size_t(bone.lr) * bone.si);
  for (int l = 0; l < bone.lr; ++l)
    for (int s = 0; s < bone.si; ++s) {
      const std::uint8_t* back = bone.column(l, s) + middle;
      int run = 0;
      while (run < length && back[run]) ++run;
      int next = run;
      while (next < length && !back[next]) ++next;
      const int gap = next < length ? next - run : -1;
      columns.push_back({run, gap, run > 0 && gap >= given.least_gap && 0.5 - run > -given.deepest_wall});
    }
  return columns;
}

// The canal's left and right edge in the rows where a pedicle stands on either side of it, median over these rows.
bool between_pedicles(const Bone& bone, const Settings& given, double depth, double* edges) {
  const int middle = int(-given.lr_first);
  Values left, right;
  const int first = int(std::floor(given.ap_first - depth + 2.0)) + 1, end = std::min(int(std::ceil(given.ap_first - depth + 6.0)), bone.ap);
  const auto stands = [&](int l, int s) {
    const std::uint8_t* column = bone.column(l, s);
    return 2 * std::count(column + first, column + end, 1) > end - first;
  };
  for (int s = 0; s < bone.si; ++s) {
    if (stands(middle, s)) continue;
    int to_left = 1, to_right = 1;
    while (middle - to_left >= 0 && !stands(middle - to_left, s)) ++to_left;
    while (middle + to_right < bone.lr && !stands(middle + to_right, s)) ++to_right;
    if (middle - to_left < 0 || middle + to_right >= bone.lr) continue;
    left.push_back(to_left);
    right.push_back(to_right);
  }
  if (left.size() < 3) return false;
  edges[0] = -median(left);
  edges[1] = median(right);
  return true;
}

// LR of the body's left and right side where neither pedicles nor transverse processes reach.
void sides_of(const Bone& bone, const Settings& given, double depth, double* sides) {
  const int middle = int(-given.lr_first), rows = std::min(int(std::floor(given.ap_first - depth - given.clear_of_arch)) + 1, bone.ap);
  Values sums, differences;
  for (int s = 0; s < bone.si; ++s)
    for (int a = 0; a < rows; ++a) {
      int left = 0, right = 0;
      while (middle - left >= 0 && bone.column(middle - left, s)[a]) ++left;
      while (middle + right < bone.lr && bone.column(middle + right, s)[a]) ++right;
      sums.push_back(left + right);
      differences.push_back(right - left);
    }
  Values all = sums, wide, off;
  const double least = 0.7 * percentile(all, 95.0);
  for (std::size_t n = 0; n < sums.size(); ++n)
    if (sums[n] >= least) wide.push_back(sums[n]), off.push_back(differences[n]);
  const double centre = median(off) / 2.0, half = percentile(wide, 95.0) / 2.0;
  sides[0] = centre - half;
  sides[1] = centre + half;
}

// Least squares reweighted by Cauchy's rule at twice the median deviation.
void fit_robustly(const Values& x, const Values& z, const Values& depth, double* wall) {
  const std::size_t count = depth.size();
  Values weight(count, 1.0), off(count), sorted(count);
  for (int round = 0; round < 8; ++round) {
    double matrix[TERMS][TERMS] = {}, right[TERMS] = {}, terms[TERMS];
    for (std::size_t n = 0; n < count; ++n) {
      wall_terms(x[n], z[n], terms);
      for (int i = 0; i < TERMS; ++i) {
        const double weighted = weight[n] * terms[i];
        right[i] += weighted * depth[n];
        for (int j = 0; j < TERMS; ++j) matrix[i][j] += weighted * terms[j];
      }
    }
    solve_symmetric(matrix, right, wall);
    for (std::size_t n = 0; n < count; ++n) off[n] = std::fabs(depth[n] - wall_at(wall, x[n], z[n]));
    sorted = off;
    const double scale = 2.0 * (1.48 * median(sorted) + 0.3);
    for (std::size_t n = 0; n < count; ++n) weight[n] = 1.0 / (1.0 + off[n] / scale * (off[n] / scale));
  }
}

// How far back the body reaches at each distance from the midline: the median over the rows where no pedicle hides it.
void outline_of(const std::vector<Column>& columns, const Bone& bone, const Settings& given, const Found& found, double* outline) {
  Values in_sight;
  for (int l = 0; l < bone.lr; ++l) {
    in_sight.clear();
    for (int s = 0; s < bone.si; ++s) {
      const int run = columns[std::size_t(l) * bone.si + s].run;
      const double lr = clipped(given.lr_first + l, found.lr[0], found.lr[1]), si = clipped(given.si_first + s, found.si[0], found.si[1]);
      // exits come in whole millimetres: half of one decides between the wall and a pedicle
      if (run > 0 && 0.5 - run >= wall_at(found.wall, lr, si) - 0.5 - given.tie) in_sight.push_back(0.5 - run);
    }
    outline[l] = double(in_sight.size()) >= given.least_rows ? median(in_sight) : given.ap_first - (bone.ap - 1);
  }
}

// The middle of those voxels that lie in front of the wall; none: false.
SHAPEKIT_CLONES bool middle_in_front(const float* mask, const std::int32_t* side, const double* to_local, const Settings& given, Found& found) {
  double sum[3] = {};
  std::int64_t front = 0;
  for (int i = 0; i < side[0]; ++i)
    for (int j = 0; j < side[1]; ++j) {
      const float* row = mask + (std::int64_t(i) * side[1] + j) * side[2];
      double start[3];
      for (int axis = 0; axis < 3; ++axis) start[axis] = to_local[4 * axis] * i + to_local[4 * axis + 1] * j + to_local[4 * axis + 3];
      for (int k = 0; k < side[2]; ++k) {
        if (!(row[k] > 0.5f)) continue;
        double local[3];
        for (int axis = 0; axis < 3; ++axis) local[axis] = start[axis] + to_local[4 * axis + 2] * k;
        if (local[1] < wall_at(found.wall, clipped(local[0], found.lr[0], found.lr[1]), clipped(local[2], found.si[0], found.si[1])) - given.tie) continue;
        ++front;
        for (int axis = 0; axis < 3; ++axis) sum[axis] += local[axis];
      }
    }
  for (int axis = 0; axis < 3 && front; ++axis) found.body[axis] = sum[axis] / double(front);
  return front > 0;
}

}  // namespace

// A mask as values of 0 and 1; onto: (3, 4), lattice of lr x si x ap -> index in it; to_local: (3, 4), index in it -> mm in the frame of the
// lattice; settings: as in Settings; out: as Found, and lr numbers more. Returns 0, or 1 when memory ran out.
SHAPEKIT_EXPORT int shapekit_look_behind(const float* values, std::int32_t d, std::int32_t h, std::int32_t w, const double* onto, std::int32_t lr,
                                         std::int32_t si, std::int32_t ap, const double* to_local, const double* settings, double* out) try {
  const std::int32_t side[3] = {d, h, w};
  const Held held(values, d, h, w, nullptr);
  Settings given;
  std::copy(settings, settings + sizeof given / sizeof(double), reinterpret_cast<double*>(&given));
  Found& found = *reinterpret_cast<Found*>(out);
  const Bone bone = bone_about(held.field, onto, lr, si, ap);
  std::vector<Column> columns = columns_of(bone, given);
  Values exits, gaps;
  for (std::size_t at = 0; at < columns.size(); ++at) {
    const double across = given.lr_first + double(at / si);
    if (columns[at].seen && std::fabs(across) <= given.midline) exits.push_back(0.5 - columns[at].run), gaps.push_back(columns[at].gap);
  }
  if (double(exits.size()) < given.least_columns) return 0;
  const double depth = median(exits);
  const bool between = between_pedicles(bone, given, depth, found.lr);
  Values x, z, walls;
  for (std::size_t at = 0; at < columns.size(); ++at) {
    const double across = given.lr_first + double(at / si), exit = 0.5 - columns[at].run;
    if (!columns[at].seen || std::fabs(exit - depth) >= given.wall_spread) continue;
    if (between && (across < found.lr[0] || across > found.lr[1])) continue;
    x.push_back(across);
    z.push_back(given.si_first + double(at % si));
    walls.push_back(exit);
  }
  if (walls.empty()) return 0;
  if (!between) {
    Values across = x;
    found.lr[0] = percentile(across, 5.0);
    found.lr[1] = percentile(across, 95.0);
  }
  fit_robustly(x, z, walls, found.wall);
  found.si[0] = *std::min_element(z.begin(), z.end());
  found.si[1] = *std::max_element(z.begin(), z.end());
  if (!middle_in_front(values, side, to_local, given, found)) return 0;
  sides_of(bone, given, depth, found.sides);
  found.body[0] = (found.sides[0] + found.sides[1]) / 2.0;
  found.centre[0] = (found.lr[0] + found.lr[1]) / 2.0;
  found.centre[1] = depth - median(gaps) / 2.0;
  found.centre[2] = 0.0;
  outline_of(columns, bone, given, found, out + sizeof found / sizeof(double));
  found.found = 1.0;
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}
