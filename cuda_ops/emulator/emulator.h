// Runs CUDA kernels on the CPU, for the tests: every thread of a block is a fibre, and barriers and warp shuffles switch between them.
// The threads of a block take turns in ascending order, in every other block in descending order, and shared memory begins as NaNs, so
// that a missing barrier shows: give it two blocks at least.
// It does not see what only real concurrency shows (races between reads and writes of one phase): the GPU check does.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

struct Index3 {
  unsigned x;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
static Index3 threadIdx, blockIdx;

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __shared__ static __attribute__((section("emulated_shared")))
extern "C" char __start_emulated_shared[] __attribute__((visibility("hidden")));
extern "C" char __stop_emulated_shared[] __attribute__((visibility("hidden")));

namespace emulator {

constexpr int WARP = 32;
constexpr std::size_t STACK = 64 * 1024;
enum class State { READY, AT_BARRIER, AT_SHUFFLE, DONE };

struct Fibre {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[STACK]};
  State state = State::READY;
  float offered = 0.0f;
};

static std::vector<Fibre> fibres;
static ucontext_t scheduler;
static int current;
static std::function<void()> kernel;

constexpr int SPLIT_WARP = 1, SPLIT_BLOCK = 2;  // only some threads came to a shuffle, to a barrier

inline void pause(State state) {
  Fibre& fibre = fibres[current];
  fibre.state = state;
  swapcontext(&fibre.context, &scheduler);
}

inline void body() {
  kernel();
  fibres[current].state = State::DONE;
  swapcontext(&fibres[current].context, &scheduler);
}

// Lets those go on who wait for nobody any more: whole warps at a shuffle, or everybody at the barrier. Returns a fault, or 0.
inline int release(bool& all_done) {
  std::size_t done = 0, waiting = 0, released = 0;
  for (std::size_t warp = 0; warp < fibres.size(); warp += WARP) {
    std::size_t shuffling = 0;
    for (int lane = 0; lane < WARP; ++lane) {
      const State state = fibres[warp + lane].state;
      done += state == State::DONE;
      waiting += state == State::AT_BARRIER;
      shuffling += state == State::AT_SHUFFLE;
    }
    if (shuffling == WARP) {
      for (int lane = 0; lane < WARP; ++lane) fibres[warp + lane].state = State::READY;
      released += WARP;
    } else if (shuffling) {
      return SPLIT_WARP;
    }
  }
  if (!released && waiting && waiting != fibres.size()) return SPLIT_BLOCK;
  if (!released) {
    for (Fibre& fibre : fibres) {
      if (fibre.state == State::AT_BARRIER) fibre.state = State::READY;
    }
  }
  all_done = done == fibres.size();
  return 0;
}

inline int launch(long long blocks, int threads, std::function<void()> call) {
  kernel = std::move(call);
  fibres = std::vector<Fibre>(threads);
  for (long long block = 0; block < blocks; ++block) {
    blockIdx.x = static_cast<unsigned>(block);
    std::memset(__start_emulated_shared, 0xff, __stop_emulated_shared - __start_emulated_shared);
    for (Fibre& fibre : fibres) {
      getcontext(&fibre.context);
      fibre.context.uc_stack.ss_sp = fibre.stack.get();
      fibre.context.uc_stack.ss_size = STACK;
      makecontext(&fibre.context, body, 0);
      fibre.state = State::READY;
    }
    for (bool all_done = false; !all_done;) {
      for (int turn = 0; turn < threads; ++turn) {
        current = block % 2 ? turn : threads - 1 - turn;
        if (fibres[current].state != State::READY) continue;
        threadIdx.x = current;
        swapcontext(&scheduler, &fibres[current].context);
      }
      if (const int fault = release(all_done)) return fault;
    }
  }
  return 0;
}

// A kernel with its own arguments behind those of the launch; what the tests call in the place of cuda.core's launch.
template <auto kernel>
struct Emulated;
template <typename... Arguments, void (*kernel)(Arguments...)>
struct Emulated<kernel> {
  static int run(long long blocks, int threads, Arguments... arguments) {
    return launch(blocks, threads, [=] { kernel(arguments...); });
  }
};

}  // namespace emulator

#define EMULATED(kernel) \
  extern "C" void* emulated_##kernel() { return reinterpret_cast<void*>(&emulator::Emulated<kernel>::run); }

inline void __syncthreads() {
  const unsigned thread = threadIdx.x;
  emulator::pause(emulator::State::AT_BARRIER);
  threadIdx.x = thread;
}

inline float __shfl_down_sync(unsigned, float value, int offset) {
  const unsigned thread = threadIdx.x;
  emulator::fibres[thread].offered = value;
  emulator::pause(emulator::State::AT_SHUFFLE);
  const unsigned lane = thread % emulator::WARP;
  const float taken = lane + offset < emulator::WARP ? emulator::fibres[thread + offset].offered : value;
  emulator::pause(emulator::State::AT_SHUFFLE);  // nobody offers anew before all have taken
  threadIdx.x = thread;
  return taken;
}
