// The rigid motion that lays points best onto a field of distances, on the CPU, behind a C interface.
#include <cmath>
#include <cstdint>
#include <new>
#include <vector>

#include "../field.h"
#include "../include/placement_math.h"
#include "../threads.h"

namespace {

using namespace shapekit;

constexpr int SIX = 6;
constexpr double NOT_YET = 1e300;  // a start's cost before it was looked at

// As shapekit/ops/placement.py hands them over.
struct Settings {
  double loss_mm, excess_mm, probe_mm, damping, gain, still, together;
};

// Where a start is, what it tries next, and what it costs there.
struct Start {
  double at[SIX], trial[SIX], step[SIX], slope[SIX], normal[SIX][SIX], cost, damping;
  bool down, settled;
};

// A rotation vector's matrix and how its change turns what it has turned, in its turned axes (Chirikjian 2012, section 10.7).
void rotation(const double* vector, double (*turn)[3], double (*jacobian)[3]) {
  const double squared = vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2];
  const double angle = larger(std::sqrt(squared), 1e-4), sine = std::sin(angle), cosine = std::cos(angle);
  const double crossed[3][3] = {{0, -vector[2], vector[1]}, {vector[2], 0, -vector[0]}, {-vector[1], vector[0], 0}};
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      const double twice = vector[i] * vector[j] - (i == j ? squared : 0.0), one = i == j ? 1.0 : 0.0;
      turn[i][j] = one + sine / angle * crossed[i][j] + (1.0 - cosine) / (angle * angle) * twice;
      jacobian[i][j] = one - (1.0 - cosine) / (angle * angle) * crossed[i][j] + (angle - sine) / (angle * angle * angle) * twice;
    }
}

SHAPEKIT_CLONES void add_all(const Field& field, const Misfit& misfit, const Motion& motion, const Points* points, std::int64_t blocks,
                             double (*sums)[TOGETHER]) {
  for (std::int64_t block = 0; block < blocks; ++block) add_misfits(field, misfit, motion, points[block], sums);
}

// The points' misfits after a step: the sum of their squares, its slope and their normal matrix, by the steps' own six numbers.
double looked_at(const Field& field, const Settings& settings, const double* base, const std::vector<Points>& points, const double* step, double* slope,
                 double (*normal)[SIX]) {
  double turn[3][3], jacobian[3][3];
  rotation(step, turn, jacobian);
  Motion motion;
  for (int i = 0; i < 3; ++i) {
    motion.shift[i] = base[4 * i + 3];
    for (int j = 0; j < 3; ++j) {
      motion.shift[i] += base[4 * i + j] * step[3 + j];
      motion.turn[i][j] = 0.0;
      for (int k = 0; k < 3; ++k) motion.turn[i][j] += base[4 * i + k] * turn[k][j];
    }
  }
  double sums[PAIRS][TOGETHER] = {}, products[COLUMNS][COLUMNS];
  add_all(field, {settings.loss_mm, settings.excess_mm, settings.probe_mm}, motion, points.data(), std::int64_t(points.size()), sums);
  for (int one = 0, pair = 0; one < COLUMNS; ++one)
    for (int other = one; other < COLUMNS; ++other, ++pair) {
      double sum = 0.0;
      for (int n = 0; n < TOGETHER; ++n) sum += sums[pair][n];
      products[one][other] = products[other][one] = sum;
    }
  // from the turned shape's axes to the step's: its turning by the Jacobian, its shift by the turn
  double onto[SIX][SIX] = {}, halfway[SIX][SIX];
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) onto[i][j] = jacobian[j][i], onto[3 + i][3 + j] = turn[i][j];
  for (int i = 0; i < SIX; ++i) {
    slope[i] = 0.0;
    for (int j = 0; j < SIX; ++j) {
      slope[i] += onto[i][j] * products[j][SIX];
      halfway[i][j] = 0.0;
      for (int k = 0; k < SIX; ++k) halfway[i][j] += onto[i][k] * products[k][j];
    }
  }
  for (int i = 0; i < SIX; ++i)
    for (int j = 0; j < SIX; ++j) {
      normal[i][j] = 0.0;
      for (int k = 0; k < SIX; ++k) normal[i][j] += halfway[i][k] * onto[j][k];
    }
  return products[SIX][SIX];
}

// Solves matrix * x = right, positive definite, by Cholesky's factors.
void solve(const double (*matrix)[SIX], const double* right, double* x) {
  double lower[SIX][SIX];
  for (int i = 0; i < SIX; ++i) {
    for (int j = 0; j <= i; ++j) {
      double sum = matrix[i][j];
      for (int k = 0; k < j; ++k) sum -= lower[i][k] * lower[j][k];
      lower[i][j] = i == j ? std::sqrt(sum) : sum / lower[j][j];
    }
  }
  for (int i = 0; i < SIX; ++i) {
    x[i] = right[i];
    for (int k = 0; k < i; ++k) x[i] -= lower[i][k] * x[k];
    x[i] /= lower[i][i];
  }
  for (int i = SIX - 1; i >= 0; --i) {
    for (int k = i + 1; k < SIX; ++k) x[i] -= lower[k][i] * x[k];
    x[i] /= lower[i][i];
  }
}

double furthest(const double* one, const double* other) {
  double most = 0.0;
  for (int n = 0; n < SIX; ++n) most = larger(most, std::fabs(one[n] - (other ? other[n] : 0.0)));
  return most;
}

// One round of a start: a look at its trial, and the next one.
void go_on(Start& start, const Field& field, const Settings& settings, const double* base, const std::vector<Points>& points, const double* spread) {
  double step[SIX], slope[SIX], normal[SIX][SIX];
  for (int n = 0; n < SIX; ++n) step[n] = start.trial[n] * spread[n];
  double height = looked_at(field, settings, base, points, step, slope, normal);
  for (int n = 0; n < SIX; ++n) height += start.trial[n] * start.trial[n];
  const double gain = start.cost - height;
  start.down = gain > 0.0;
  if (start.down) {
    start.cost = height;
    for (int i = 0; i < SIX; ++i) {
      start.at[i] = start.trial[i];
      start.slope[i] = slope[i] * spread[i] + start.trial[i];
      for (int j = 0; j < SIX; ++j) start.normal[i][j] = normal[i][j] * spread[i] * spread[j] + (i == j ? 1.0 : 0.0);
    }
  }
  start.damping *= start.down ? 0.1 : 10.0;
  double damped[SIX][SIX], downhill[SIX];
  for (int i = 0; i < SIX; ++i) {
    downhill[i] = -start.slope[i];
    for (int j = 0; j < SIX; ++j) damped[i][j] = start.normal[i][j] * (i == j ? 1.0 + start.damping : 1.0);
  }
  solve(damped, downhill, start.step);
  for (int n = 0; n < SIX; ++n) start.trial[n] = start.at[n] + start.step[n];
  start.settled = (start.down && gain <= settings.gain * height) || furthest(start.step, nullptr) < settings.still;
}

}  // namespace

// base: (3, 4), a point about the middle -> index in the field; points: (n, 3); scale: (n); starts: (s, 6) and spread: (6), rotation vectors in
// rad and shifts in mm, along the points' axes; settings: as in Settings; out: (6). Returns 0, or 1 when memory ran out.
SHAPEKIT_EXPORT int shapekit_fit_rigidly(const float* values, const double* metric, std::int32_t d, std::int32_t h, std::int32_t w, const double* base,
                                         std::int64_t n, const double* points, const double* scale, std::int32_t s, const double* starts,
                                         const double* spread, const double* settings, std::int32_t rounds, double* out) try {
  const Held held(values, d, h, w, metric);
  const Settings given{settings[0], settings[1], settings[2], settings[3], settings[4], settings[5], settings[6]};
  std::vector<Points> blocks((n + TOGETHER - 1) / TOGETHER, Points{});  // the last few weigh nothing
  for (std::int64_t point = 0; point < n; ++point) {
    Points& block = blocks[point / TOGETHER];
    for (int axis = 0; axis < 3; ++axis) block.at[axis][point % TOGETHER] = points[3 * point + axis];
    block.scale[point % TOGETHER] = scale[point];
  }
  std::vector<Start> all(s, Start{});
  std::vector<Start*> going;
  for (std::int32_t number = 0; number < s; ++number) {
    Start& start = all[number];
    for (int k = 0; k < SIX; ++k) start.at[k] = start.trial[k] = starts[SIX * number + k] / spread[k], start.normal[k][k] = 1.0;
    start.cost = NOT_YET;
    start.damping = given.damping;
    going.push_back(&start);
  }
  for (std::int32_t round = 0; round < rounds && !going.empty(); ++round) {
    for (Start* start : going) go_on(*start, held.field, given, base, blocks, spread);
    std::vector<Start*> rest;
    for (Start* start : going) {
      bool met = false;  // a lower one
      for (const Start& other : all) met = met || (other.cost < start->cost && furthest(start->at, other.at) < given.together);
      if (!start->settled && !met) rest.push_back(start);
    }
    going.swap(rest);
  }
  const Start* best = &all[0];
  for (const Start& start : all)
    if (start.cost < best->cost) best = &start;
  for (int k = 0; k < SIX; ++k) out[k] = best->at[k] * spread[k];
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}
