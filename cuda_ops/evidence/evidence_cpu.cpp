// Slopes of a vertebral body's endplates and walls, on the CPU, behind a C interface.
#include <cmath>
#include <cstdint>
#include <new>
#include <vector>

#include "../include/evidence_math.h"
#include "../statistics.h"
#include "../threads.h"

namespace {

using namespace shapekit;

constexpr double DEGREES = 57.29577951308232;

// As shapekit/ops/evidence.py hands them over.
struct Settings {
  double not_seen, least_faces, flat, least_mm[3], most_mm[3], filled[2], crest[2], first_turn_deg, turn_step_deg, turns;
};

// As shapekit/ops/evidence.py reads it.
struct Found {
  double top_pitch, low_pitch, wall_pitch, front_pitch, top_roll, low_roll, side_roll, wall_yaw, mirror_yaw;
};

// Faces along a frame's axes, with their place in half-widths and half-depths from the middle.
struct Faces {
  Values centre[3], normal[3], area, u, v;
  std::vector<std::uint8_t> waist;
  std::size_t count;
};

template <typename Is>
Values where(const Values& values, const Is& is) {
  Values chosen;
  for (std::size_t n = 0; n < values.size(); ++n)
    if (is(n)) chosen.push_back(values[n]);
  return chosen;
}

// The weighted middle of some faces; false where there are too few.
template <typename Is>
bool middle_of(const Faces& faces, const Settings& given, double* middle, const Is& is) {
  double sum[3] = {}, area = 0.0, count = 0.0;
  for (std::size_t n = 0; n < faces.count; ++n) {
    if (!is(n)) continue;
    area += faces.area[n], ++count;
    for (int axis = 0; axis < 3; ++axis) sum[axis] += faces.area[n] * faces.centre[axis][n];
  }
  for (int axis = 0; axis < 3 && count > 0.0; ++axis) middle[axis] = sum[axis] / area;
  return count >= given.least_faces;
}

// Angle at which SI climbs from the one crest to the other along an axis.
template <typename Far, typename Near>
double slope_deg(const Faces& faces, const Settings& given, int axis, const Far& far, const Near& near) {
  double there[3], here[3];
  if (!middle_of(faces, given, there, far) || !middle_of(faces, given, here, near)) return given.not_seen;
  return DEGREES * std::atan2(there[2] - here[2], there[axis] - here[axis]);
}

// Angles at which one coordinate of a wall changes along two others, fitted robustly; false where there are too few faces.
template <typename Is>
bool wall_slopes(const Faces& faces, const Settings& given, int along, int other, int across, double* degrees, const Is& is) {
  const Values x = where(faces.centre[along], is), z = where(faces.centre[other], is), y = where(faces.centre[across], is), area = where(faces.area, is);
  const std::size_t count = area.size();
  if (double(count) < 2.0 * given.least_faces) return false;
  double middle[2] = {}, slopes[3];
  for (std::size_t n = 0; n < count; ++n) middle[0] += x[n] / double(count), middle[1] += z[n] / double(count);
  Values weight = area, off(count), sorted;
  for (int round = 0; round < 4; ++round) {
    double matrix[3][3] = {}, right[3] = {};
    for (std::size_t n = 0; n < count; ++n) {
      const double terms[3] = {x[n] - middle[0], z[n] - middle[1], 1.0};
      for (int i = 0; i < 3; ++i) {
        right[i] += weight[n] * terms[i] * y[n];
        for (int j = 0; j < 3; ++j) matrix[i][j] += weight[n] * terms[i] * terms[j];
      }
    }
    solve_symmetric(matrix, right, slopes);
    for (std::size_t n = 0; n < count; ++n) off[n] = std::fabs(y[n] - slopes[0] * (x[n] - middle[0]) - slopes[1] * (z[n] - middle[1]) - slopes[2]);
    sorted = off;
    const double scale = 1.5 * (1.48 * median(sorted) + 0.15);
    for (std::size_t n = 0; n < count; ++n) weight[n] = area[n] / (1.0 + off[n] / scale * (off[n] / scale));
  }
  for (int n = 0; n < 2; ++n) degrees[n] = DEGREES * std::atan(slopes[n]);
  return true;
}

// Radius of the wall about the middle of its outline, by angle from the front towards the left.
void outline_of(const Faces& faces, const Settings& given, double* radius) {
  Values z = faces.centre[2];
  const double range = *std::max_element(z.begin(), z.end()) - *std::min_element(z.begin(), z.end()), level = median(z);
  const auto is = [&](std::size_t n) { return std::fabs(faces.normal[2][n]) < 0.5 && std::fabs(faces.centre[2][n] - level) < 0.3 * range; };
  const Values x = where(faces.centre[0], is), y = where(faces.centre[1], is), area = where(faces.area, is);
  std::fill(radius, radius + BINS, 1.0);
  if (double(area.size()) < given.least_faces || !(*std::max_element(area.begin(), area.end()) > 0.0)) return;
  const double left = (*std::max_element(x.begin(), x.end()) + *std::min_element(x.begin(), x.end())) / 2.0;
  const double back = (*std::max_element(y.begin(), y.end()) + *std::min_element(y.begin(), y.end())) / 2.0;
  double total[BINS] = {}, sum[BINS] = {};
  for (std::size_t n = 0; n < area.size(); ++n) {
    const double angle = DEGREES * std::atan2(left - x[n], y[n] - back), around = angle < 0.0 ? angle + 360.0 : angle;
    const int bin = int(around / BIN_DEG) % BINS;
    total[bin] += area[n];
    sum[bin] += area[n] * std::hypot(x[n] - left, y[n] - back);
  }
  for (int bin = 0; bin < BINS; ++bin) {
    int before = 0, after = 0;  // bins back and on to one that was seen
    while (!(total[(bin - before + BINS) % BINS] > 0.0)) ++before;
    while (!(total[(bin + after) % BINS] > 0.0)) ++after;
    const int one = (bin - before + BINS) % BINS, other = (bin + after) % BINS;
    const double low = sum[one] / larger(total[one], 1e-9), high = sum[other] / larger(total[other], 1e-9);
    radius[bin] = before == 0 ? low : low + (high - low) * before / (before + after);
  }
}

// Where right mirrors left best: the parabola through the least misfit and its neighbours.
double mirror_yaw(const Faces& faces, const Settings& given) {
  double radius[BINS];
  outline_of(faces, given, radius);
  Values cost;
  for (int turn = 0; turn < int(given.turns); ++turn) cost.push_back(mirror_misfit(radius, given.first_turn_deg + turn * given.turn_step_deg));
  const std::size_t best = std::size_t(std::min_element(cost.begin(), cost.end()) - cost.begin());
  if (best == 0 || best + 1 == cost.size()) return given.not_seen;
  const double before = cost[best - 1] * cost[best - 1], at = cost[best] * cost[best], after = cost[best + 1] * cost[best + 1];
  const double step = 0.5 * (before - after) / larger(before - 2.0 * at + after, 1e-12);
  return given.first_turn_deg + (double(best) + step) * given.turn_step_deg;
}

Faces along(const double* centres, const double* normals, const double* areas, std::int64_t n, const double* to_local) {
  Faces faces;
  faces.count = std::size_t(n);
  faces.area.assign(areas, areas + n);
  for (int axis = 0; axis < 3; ++axis) {
    const double* row = to_local + 4 * axis;
    for (std::int64_t k = 0; k < n; ++k) {
      const double *centre = centres + 3 * k, *normal = normals + 3 * k;
      faces.centre[axis].push_back(row[0] * centre[0] + row[1] * centre[1] + row[2] * centre[2] + row[3]);
      faces.normal[axis].push_back(row[0] * normal[0] + row[1] * normal[1] + row[2] * normal[2]);
    }
  }
  return faces;
}

// False where it cannot be a vertebral body.
bool gather(Faces& faces, const Settings& given, Found& found) {
  const auto &x = faces.centre[0], &y = faces.centre[1], &z = faces.centre[2], &nx = faces.normal[0], &ny = faces.normal[1], &nz = faces.normal[2];
  const auto everyone = [](std::size_t) { return true; };
  double middle[3];
  if (!middle_of(faces, given, middle, everyone)) return false;
  Values sorted = z;
  const double low = percentile(sorted, 4.0), high = percentile(sorted, 96.0);
  const double half = larger((high - low) / 2.0, 1e-9), level = (high + low) / 2.0;
  faces.waist.resize(faces.count);
  for (std::size_t n = 0; n < faces.count; ++n) faces.waist[n] = std::fabs(z[n] - level) < 0.65 * half;
  const auto near = [&](std::size_t n) { return faces.waist[n] && std::fabs(x[n] - middle[0]) < 8.0; };
  Values ahead = where(y, [&](std::size_t n) { return near(n) && ny[n] > 0.7; }), behind = where(y, [&](std::size_t n) { return near(n) && ny[n] < -0.7; });
  if (double(std::min(ahead.size(), behind.size())) < given.least_faces) return false;
  const double front = median(ahead), back = median(behind);
  for (double at : y) faces.v.push_back((at - (front + back) / 2.0) / larger((front - back) / 2.0, 1e-9));
  const auto &u = faces.u, &v = faces.v;
  const auto beside = [&](std::size_t n) { return faces.waist[n] && v[n] > -0.4 && v[n] < 0.6; };
  const auto right = [&](std::size_t n) { return beside(n) && nx[n] > 0.7; };
  const auto left = [&](std::size_t n) { return beside(n) && nx[n] < -0.7; };
  Values rights = where(x, right), lefts = where(x, left);
  if (double(std::min(rights.size(), lefts.size())) < given.least_faces) return false;
  const double sides[2] = {median(rights), median(lefts)};
  for (double at : x) faces.u.push_back((at - (sides[0] + sides[1]) / 2.0) / larger((sides[0] - sides[1]) / 2.0, 1e-9));
  const double box[3] = {sides[0] - sides[1], front - back, high - low};
  double volume = 0.0;
  for (std::size_t n = 0; n < faces.count; ++n)
    volume += faces.area[n] * ((x[n] - middle[0]) * nx[n] + (y[n] - middle[1]) * ny[n] + (z[n] - middle[2]) * nz[n]) / 3.0;
  const double filled = volume / larger(box[0] * box[1] * box[2], 1e-9);
  for (int axis = 0; axis < 3; ++axis)
    if (box[axis] < given.least_mm[axis] || box[axis] > given.most_mm[axis]) return false;
  if (!(filled > given.filled[0] && filled < given.filled[1])) return false;

  bool any = false;
  for (int low_plate = 0; low_plate < 2; ++low_plate) {
    const double sign = low_plate ? -1.0 : 1.0;
    const auto plate = [&](std::size_t n) { return sign * nz[n] > 0.5 && sign * (z[n] - level) > 0.0; };
    double count = 0.0, area = 0.0, facing[3] = {};
    for (std::size_t n = 0; n < faces.count; ++n) {
      if (!plate(n)) continue;
      ++count, area += faces.area[n];
      for (int axis = 0; axis < 3; ++axis) facing[axis] += faces.area[n] * faces.normal[axis][n];
    }
    if (count < given.least_faces || std::sqrt(facing[0] * facing[0] + facing[1] * facing[1] + facing[2] * facing[2]) < given.flat * area) continue;
    any = true;
    const auto lengthwise = [&](std::size_t n) {
      const double away = std::fabs(v[n]);
      return plate(n) && std::fabs(u[n]) < 0.45 && away > given.crest[0] && away < given.crest[1];
    };
    const auto across = [&](std::size_t n) { return plate(n) && std::fabs(v[n]) < 0.5 && std::fabs(u[n]) > 0.5 && std::fabs(u[n]) < 0.9; };
    double &pitch = low_plate ? found.low_pitch : found.top_pitch, &roll = low_plate ? found.low_roll : found.top_roll;
    pitch = slope_deg(faces, given, 1, [&](std::size_t n) { return lengthwise(n) && v[n] > 0.0; }, [&](std::size_t n) { return lengthwise(n) && v[n] < 0.0; });
    const double rise = slope_deg(faces, given, 0, [&](std::size_t n) { return across(n) && u[n] > 0.0; }, [&](std::size_t n) { return across(n) && u[n] < 0.0; });
    roll = rise == given.not_seen ? rise : -rise;
  }
  if (!any) return false;
  double slopes[2], others[2];
  const auto inner = [&](std::size_t n) { return faces.waist[n] && std::fabs(u[n]) < 0.45; };
  if (wall_slopes(faces, given, 0, 2, 1, slopes, [&](std::size_t n) { return inner(n) && ny[n] < -0.7; }))
    found.wall_yaw = slopes[0], found.wall_pitch = -slopes[1];
  if (wall_slopes(faces, given, 0, 2, 1, slopes, [&](std::size_t n) { return inner(n) && ny[n] > 0.7; })) found.front_pitch = -slopes[1];
  if (wall_slopes(faces, given, 1, 2, 0, slopes, right) && wall_slopes(faces, given, 1, 2, 0, others, left))
    found.side_roll = (slopes[1] + others[1]) / 2.0;
  found.mirror_yaw = mirror_yaw(faces, given);
  return true;
}

}  // namespace

// centres, normals: (n, 3), areas: (n); to_local: (3, 4), which takes them into a frame; settings: as in Settings; out: as Found, not_seen
// where nothing was. Returns 0, or 1 when memory ran out.
SHAPEKIT_EXPORT int shapekit_gather_evidence(const double* centres, const double* normals, const double* areas, std::int64_t n, const double* to_local,
                                             const double* settings, double* out) try {
  Settings given;
  std::copy(settings, settings + sizeof given / sizeof(double), reinterpret_cast<double*>(&given));
  constexpr std::size_t numbers = sizeof(Found) / sizeof(double);
  std::fill(out, out + numbers, given.not_seen);
  Faces faces = along(centres, normals, areas, n, to_local);
  Found found;
  std::copy(out, out + numbers, reinterpret_cast<double*>(&found));
  if (gather(faces, given, found)) std::copy(reinterpret_cast<double*>(&found), reinterpret_cast<double*>(&found) + numbers, out);
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}
