// The exact signed distance on the GPU, one axis after the other, in place. Every voxel looks along its line, nearest ones first.
#include "../include/distance_math.h"

using namespace shapekit;

constexpr int THREADS = 256, SHARED = 4096;

// The last axis, from the mask itself; launched with at least `voxels` threads in blocks of THREADS.
extern "C" __global__ void __launch_bounds__(THREADS) distance_first(const unsigned char* mask, i64 voxels, int length, float spacing, float* field) {
  const i64 at = i64(blockIdx.x) * THREADS + threadIdx.x;
  if (at >= voxels) return;
  const int n = int(at % length);
  const unsigned char* line = mask + (at - n);
  const bool inside = line[n] != 0;
  float squared = no_distance();
  for (int step = 1; step <= larger(n, length - 1 - n); ++step) {
    if ((line[larger(n - step, 0)] != 0) != inside || (line[smaller(n + step, length - 1)] != 0) != inside) {
      squared = float(step) * spacing * (float(step) * spacing);
      break;
    }
  }
  field[at] = inside ? -squared : squared;
}

// Another axis of `length` voxels that lie `stride` apart; a block takes `tile` neighbouring lines (a power of two, tile * length <= SHARED).
// Launched with (voxels / (length * stride)) * ceil(stride / tile) blocks of THREADS.
extern "C" __global__ void __launch_bounds__(THREADS)
    distance_further(float* field, i64 stride, int length, int tile, int tiles, float spacing, int last) {
  __shared__ float lines[SHARED];
  const i64 first = i64(blockIdx.x % tiles) * tile;
  float* from = field + blockIdx.x / tiles * length * stride + first;
  for (int n = threadIdx.x; n < length * tile; n += THREADS) {
    if (first + n % tile < stride) lines[n] = from[n / tile * stride + n % tile];
  }
  __syncthreads();
  for (int n = threadIdx.x; n < length * tile; n += THREADS) {
    const int place = n / tile, lane = n % tile;
    if (first + lane >= stride) continue;
    const float side = lines[n] < 0.0f ? -1.0f : 1.0f;
    float best = side * lines[n];
    for (int step = 1; step <= larger(place, length - 1 - place); ++step) {
      const float squared = float(step) * spacing * (float(step) * spacing);
      if (squared >= best) break;
      // beyond an end of the line its last voxel stands in: too far away to win, and right all the same
      const float before = squared_through(side, lines[larger(place - step, 0) * tile + lane], squared);
      const float after = squared_through(side, lines[smaller(place + step, length - 1) * tile + lane], squared);
      best = smaller(best, smaller(before, after));
    }
    from[i64(place) * stride + lane] = side * (last ? sqrtf(best) : best);
  }
}
