// What the maths headers need of a compiler: nvcc, NVRTC, g++ and clang read the same sources. No includes: NVRTC has none to give.
#pragma once

#ifdef __CUDACC__
#define SHAPEKIT_INLINE __device__ __forceinline__
#else
#define SHAPEKIT_INLINE static inline __attribute__((always_inline))
#endif

namespace shapekit {

constexpr int TOGETHER = 64;  // items that a CPU takes side by side: every loop over them is one a compiler makes vectors of

typedef long long i64;  // 64 bits everywhere that CUDA runs; NVRTC has no <cstdint>

template <typename T>
SHAPEKIT_INLINE T smaller(T one, T other) {
  return one < other ? one : other;
}

template <typename T>
SHAPEKIT_INLINE T larger(T one, T other) {
  return one > other ? one : other;
}

template <typename F>
SHAPEKIT_INLINE F absolute(F x) {
  return larger(x, -x);
}

// A number as F: float, or several floats side by side on a CPU.
template <typename F>
SHAPEKIT_INLINE F all(float value) {
  return F{} + value;
}

// The bits of a float, or of several side by side.
template <typename F>
struct BitsOf;
template <>
struct BitsOf<float> {
  typedef unsigned type;
};

template <typename F>
SHAPEKIT_INLINE typename BitsOf<F>::type bits_of(F value) {
#ifdef __CUDACC__
  return __float_as_uint(value);
#else
  typename BitsOf<F>::type bits;
  __builtin_memcpy(&bits, &value, sizeof value);
  return bits;
#endif
}

// Its highest bit is set for NaN and both infinities, whose exponent's last step up carries into the sign. Whole numbers: the host's
// compiler may assume finite floats, which makes minima single instructions.
template <typename F>
SHAPEKIT_INLINE typename BitsOf<F>::type not_finite(F value) {
  const typename BitsOf<F>::type bits = bits_of(value);
  return (bits + 0x00800000u) ^ bits;
}

SHAPEKIT_INLINE bool is_not_finite(float value) { return not_finite(value) >> 31; }

// Infinity is; NaN is not.
SHAPEKIT_INLINE bool is_positive(float value) { return bits_of(value) - 1u < 0x7f800000u; }

}  // namespace shapekit
