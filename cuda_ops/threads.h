// Work shared out over plain threads: no OpenMP, which would put a second runtime beside torch's.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace shapekit {

// Calls work(n) once for every n below count. Which thread takes which n is open, so work must write to places of its own.
template <typename Work>
void share_out(std::int64_t count, int threads, const Work& work) {
  std::atomic<std::int64_t> next{0};
  std::exception_ptr failure;
  std::atomic_flag failed = ATOMIC_FLAG_INIT;
  const auto take = [&] {
    try {
      for (std::int64_t n = next++; n < count; n = next++) work(n);
    } catch (...) {
      if (!failed.test_and_set()) failure = std::current_exception();
      next = count;
    }
  };
  std::vector<std::thread> others;
  try {
    others.reserve(threads > 1 ? threads - 1 : 0);
    for (std::int64_t n = 1; n < threads && n < count; ++n) others.emplace_back(take);
  } catch (const std::system_error&) {
    // the system has no more threads to give: those there are do the work
  }
  take();
  for (auto& other : others) other.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace shapekit

#define SHAPEKIT_EXPORT extern "C" __attribute__((visibility("default")))

// One function, compiled for several instruction sets and chosen when the library is loaded; elsewhere, and for the tests of each single
// one, as the compiler is told.
#if !defined(SHAPEKIT_NO_CLONES) && defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define SHAPEKIT_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define SHAPEKIT_CLONES
#endif
