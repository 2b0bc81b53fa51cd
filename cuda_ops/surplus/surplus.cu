// The surplus volume on the GPU. A block takes some lines of one item; its sums go to a record of its own, and a second kernel adds an
// item's records in their order: the same bits in every run, whatever else is in the batch.
#include "../include/surplus_math.h"

using namespace shapekit;

constexpr int THREADS = 256, WARP = 32, MOST_LINES = 256, AT_ONCE = 4;
constexpr float FAR = 1e30f;  // a distance whose occupancy is exactly 0

struct Grids {
  const float *expected, *actual;
  bool aligned;  // lines start and end at 16 bytes
};

// Calls visit(expected, actual, line, w, at, count) for runs of up to four voxels of a block's lines: voxels w... of a line, `at` in the grids.
template <typename Visit>
__device__ __forceinline__ void walk(const Grids& grids, const Line* lines, i64 begin, int count, int width, const Visit& visit) {
  const int runs = (width + AT_ONCE - 1) / AT_ONCE, step_lines = THREADS / runs, step_runs = THREADS % runs;
  int n = threadIdx.x / runs, run = threadIdx.x % runs;
  while (n < count) {
    const int w = run * AT_ONCE, here = smaller(AT_ONCE, width - w);
    const i64 at = (begin + n) * width + w;
    float e[AT_ONCE], a[AT_ONCE];
    if (grids.aligned) {
      const float4 four_e = *reinterpret_cast<const float4*>(grids.expected + at), four_a = *reinterpret_cast<const float4*>(grids.actual + at);
      e[0] = four_e.x, e[1] = four_e.y, e[2] = four_e.z, e[3] = four_e.w;
      a[0] = four_a.x, a[1] = four_a.y, a[2] = four_a.z, a[3] = four_a.w;
    } else {
#pragma unroll
      for (int k = 0; k < AT_ONCE; ++k) {
        e[k] = k < here ? grids.expected[at + k] : FAR;
        a[k] = k < here ? grids.actual[at + k] : FAR;
      }
    }
    visit(e, a, lines[n], w, at, here);
    n += step_lines;
    run += step_runs;
    if (run >= runs) run -= runs, ++n;
  }
}

__device__ __forceinline__ bool is_aligned(const void* grid, int width) {
  return width % AT_ONCE == 0 && reinterpret_cast<unsigned long long>(grid) % (AT_ONCE * sizeof(float)) == 0;
}

// Launched with batch * blocks blocks of THREADS; lines_per_block <= MOST_LINES; partial: (batch, blocks, RECORD).
extern "C" __global__ void __launch_bounds__(THREADS)
    surplus_forward(const float* expected, const float* actual, const float* centre, const float* rotation, const float* sigma, const float* length,
                    double spacing, int d, int h, int w, int lines_per_block, int blocks, double* partial) {
  __shared__ Item item;
  __shared__ Line lines[MOST_LINES];
  __shared__ double warps[THREADS / WARP][RECORD];
  const int place = blockIdx.x / blocks;
  const i64 begin = i64(blockIdx.x % blocks) * lines_per_block, all_lines = i64(d) * h;
  const int count = int(smaller(i64(lines_per_block), all_lines - begin));
  const Sides sides = {d, h, w};
  if (threadIdx.x == 0) item = make_item(centre + 3 * place, rotation + 9 * place, sigma + 3 * place, length[place], spacing, sides);
  __syncthreads();
  if (int(threadIdx.x) < count) lines[threadIdx.x] = make_line(item, sides, int((begin + threadIdx.x) / h), int((begin + threadIdx.x) % h));
  __syncthreads();

  const i64 from = place * all_lines * w;
  const Grids grids = {expected + from, actual + from, is_aligned(expected, w) && is_aligned(actual, w)};
  const float per_spacing = float(1.0 / spacing);
  Sums<float> sums = {};
  walk(grids, lines, begin, count, w, [&](const float* e, const float* a, const Line& line, int at_w, i64, int) {
#pragma unroll
    for (int k = 0; k < AT_ONCE; ++k) {
      doubt_terms(e[k], a[k], sums);
      add_terms(e[k], a[k], line, float(at_w + k), per_spacing, sums);
    }
  });

  float list[RECORD];
  list_sums(sums, list);
  list[DOUBT] = float(sums.doubt >> 31);
#pragma unroll
  for (int n = 0; n < RECORD; ++n) {
#pragma unroll
    for (int offset = WARP / 2; offset > 0; offset /= 2) list[n] += __shfl_down_sync(0xffffffffu, list[n], offset);
    if (threadIdx.x % WARP == 0) warps[threadIdx.x / WARP][n] = list[n];
  }
  __syncthreads();
  if (threadIdx.x < RECORD) {
    double sum = 0.0;
    for (int n = 0; n < THREADS / WARP; ++n) sum += warps[n][threadIdx.x];
    partial[i64(blockIdx.x) * RECORD + threadIdx.x] = sum;
  }
}

// Launched with batch blocks of WARP; columns: (batch, COLUMNS).
extern "C" __global__ void __launch_bounds__(WARP)
    surplus_combine(const double* partial, const float* centre, const float* rotation, const float* sigma, const float* length, double spacing, int d,
                    int h, int w, int blocks, double* columns) {
  __shared__ double sums[RECORD];
  const int place = blockIdx.x;
  if (threadIdx.x < RECORD) {
    double sum = 0.0;
    for (int n = 0; n < blocks; ++n) sum += partial[(i64(place) * blocks + n) * RECORD + threadIdx.x];
    sums[threadIdx.x] = sum;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    const Item item =
        make_item(centre + 3 * place, rotation + 9 * place, sigma + 3 * place, length[place], spacing, Sides{d, h, w});
    finish_item(item, sums, sums[DOUBT], columns + i64(place) * COLUMNS);
  }
}

// Launched like surplus_forward; upstream: (batch, COLUMNS), its last column unused.
extern "C" __global__ void __launch_bounds__(THREADS)
    surplus_backward(const double* upstream, const float* expected, const float* actual, const float* centre, const float* rotation,
                     const float* sigma, const float* length, double spacing, int d, int h, int w, int lines_per_block, int blocks,
                     float* to_expected, float* to_actual) {
  __shared__ Item item;
  __shared__ Slopes slopes;
  __shared__ Line lines[MOST_LINES];
  const int place = blockIdx.x / blocks;
  const i64 begin = i64(blockIdx.x % blocks) * lines_per_block, all_lines = i64(d) * h;
  const int count = int(smaller(i64(lines_per_block), all_lines - begin));
  const Sides sides = {d, h, w};
  if (threadIdx.x == 0) {
    item = make_item(centre + 3 * place, rotation + 9 * place, sigma + 3 * place, length[place], spacing, sides);
    slopes = make_slopes(item, upstream + i64(place) * COLUMNS);
  }
  __syncthreads();
  if (int(threadIdx.x) < count) lines[threadIdx.x] = make_line(item, sides, int((begin + threadIdx.x) / h), int((begin + threadIdx.x) % h));
  __syncthreads();

  const i64 from = place * all_lines * w;
  const bool aligned = is_aligned(expected, w) && is_aligned(actual, w) && is_aligned(to_expected, w) && is_aligned(to_actual, w);
  const Grids grids = {expected + from, actual + from, aligned};
  const float per_spacing = float(1.0 / spacing);
  walk(grids, lines, begin, count, w, [&](const float* e, const float* a, const Line& line, int at_w, i64 at, int here) {
    float of_e[AT_ONCE], of_a[AT_ONCE];
#pragma unroll
    for (int k = 0; k < AT_ONCE; ++k) gradients_of(e[k], a[k], line, slopes, float(at_w + k), per_spacing, of_e[k], of_a[k]);
    if (aligned) {
      *reinterpret_cast<float4*>(to_expected + from + at) = float4{of_e[0], of_e[1], of_e[2], of_e[3]};
      *reinterpret_cast<float4*>(to_actual + from + at) = float4{of_a[0], of_a[1], of_a[2], of_a[3]};
    } else {
#pragma unroll
      for (int k = 0; k < AT_ONCE; ++k) {
        if (k < here) to_expected[from + at + k] = of_e[k], to_actual[from + at + k] = of_a[k];
      }
    }
  });
}
