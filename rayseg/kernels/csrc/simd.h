// Vectors of floats: load, store, exponential, logarithm. VBYTES is the width of a register of the machine at hand.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#ifndef VBYTES
#define VBYTES 16
#endif

namespace rayseg {

typedef float Floats __attribute__((vector_size(VBYTES)));
typedef int32_t Ints __attribute__((vector_size(VBYTES)));

constexpr int kLanes = VBYTES / 4;

inline Floats load(const float* from) {
  Floats values;
  std::memcpy(&values, from, VBYTES);
  return values;
}

inline Ints load(const int32_t* from) {
  Ints values;
  std::memcpy(&values, from, VBYTES);
  return values;
}

inline void store(float* to, Floats values) { std::memcpy(to, &values, VBYTES); }

inline Floats all(float value) { return Floats{} + value; }

// first * second + third, rounded once where the machine can.
inline Floats multiply_add(Floats first, Floats second, Floats third) {
#if VBYTES == 64 && defined(__AVX512F__)
  return (Floats)_mm512_fmadd_ps((__m512)first, (__m512)second, (__m512)third);
#elif VBYTES == 32 && defined(__FMA__)
  return (Floats)_mm256_fmadd_ps((__m256)first, (__m256)second, (__m256)third);
#endif
  return first * second + third;
}

inline float sum_of_lanes(Floats values) {
  float sums[kLanes];
  store(sums, values);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; lane++) sums[lane] += sums[lane + half];
  }
  return sums[0];
}

// Bit i: whether lane i of a mask, 0 or -1, is set.
inline uint32_t lanes_of(Ints mask) {
#if VBYTES == 64 && defined(__AVX512DQ__)
  return _mm512_movepi32_mask((__m512i)mask);
#elif VBYTES == 32 && defined(__AVX2__)
  return _mm256_movemask_ps((__m256)mask);
#endif
  uint32_t found = 0;
  for (int lane = 0; lane < kLanes; lane++) found |= (uint32_t)(mask[lane] & 1) << lane;
  return found;
}

// Whether a lane is not 0.
inline bool any(Ints mask) {
#if VBYTES == 64 && defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif VBYTES == 32 && defined(__AVX2__)
  return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#endif
  int32_t found = 0;
  for (int lane = 0; lane < kLanes; lane++) found |= mask[lane];
  return found != 0;
}

// exp(x) for x up to about 0, to 1 ulp or so; below -87 it stays at exp(-87), about 1e-38. NaN stays NaN.
inline Floats exponential(Floats x) {
#if VBYTES == 64 && defined(__AVX512F__)
  x = (Floats)_mm512_max_ps(_mm512_set1_ps(-87.0f), (__m512)x);  // NaN where x is
#else
  x = x < -87.0f ? all(-87.0f) : x;
#endif
  const float log2e = 1.44269504088896341f;
  const float shift = 12582912.0f + 127.0f;  // 1.5 * 2^23: rounds to a whole number, which is then in the lowest bits
  const Floats shifted = x * log2e + shift;
  const Floats fraction = x * log2e - (shifted - shift);
  Floats power = all(1.5403530e-4f);
  power = power * fraction + 1.3333558e-3f;
  power = power * fraction + 9.6181291e-3f;
  power = power * fraction + 5.5504109e-2f;
  power = power * fraction + 2.4022651e-1f;
  power = power * fraction + 6.9314718e-1f;
  power = power * fraction + 1.0f;
  return power * (Floats)((Ints)shifted << 23);
}

// log(x) for x of 1 or more, exact near 1 (the polynomial is that of Cephes). NaN and infinity become NaN.
inline Floats logarithm(Floats x) {
  const Ints bits = (Ints)x;
  const Ints exponent = (bits - 0x3f3504f3) >> 23;
  const Floats scale = __builtin_convertvector(exponent, Floats);
  const Floats t = (Floats)(bits - (exponent << 23)) - 1.0f;
  const Floats square = t * t;
  Floats series = all(7.0376836292e-2f);
  series = series * t - 1.1514610310e-1f;
  series = series * t + 1.1676998740e-1f;
  series = series * t - 1.2420140846e-1f;
  series = series * t + 1.4249322787e-1f;
  series = series * t - 1.6668057665e-1f;
  series = series * t + 2.0000714765e-1f;
  series = series * t - 2.4999993993e-1f;
  series = series * t + 3.3333331174e-1f;
  const Floats small = t * square * series - 0.5f * square + scale * -2.12194440e-4f;
  return t + small + scale * 0.693359375f + (x - x);
}

}  // namespace rayseg
