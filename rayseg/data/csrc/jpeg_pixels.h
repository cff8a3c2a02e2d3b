// Coefficients to samples to RGB, in the arithmetic of the reference decoder: the accurate integer transform of Loeffler, Ligtenberg
// and Moschytz with 13 fractional bits, chroma upsampled by a triangle filter, 16 fractional bits from luma and chroma to RGB.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace rayseg {

inline uint8_t clamped(int32_t value) { return uint8_t(value < 0 ? 0 : value > 255 ? 255 : value); }

// Eight transforms of length eight, side by side: `in` and `out` hold one sample of each of them in a row. Unsigned, because what is
// no picture may overflow.
template <int kShift>
inline void transform(const int32_t* in, int32_t* out) {
  typedef uint32_t U;
  const auto scaled = [](U value) { return int32_t(value + (U(1) << (kShift - 1))) >> kShift; };
  for (int i = 0; i < 8; i++) {
    const U s0 = U(in[i]), s1 = U(in[8 + i]), s2 = U(in[16 + i]), s3 = U(in[24 + i]);
    const U s4 = U(in[32 + i]), s5 = U(in[40 + i]), s6 = U(in[48 + i]), s7 = U(in[56 + i]);
    const U turn = (s2 + s6) * 4433, low = turn - s6 * 15137, high = turn + s2 * 6270;
    const U sum = (s0 + s4) * 8192, difference = (s0 - s4) * 8192;
    const U e0 = sum + high, e3 = sum - high, e1 = difference + low, e2 = difference - low;
    const U all = (s7 + s3 + s5 + s1) * 9633;
    const U z1 = (s7 + s1) * 7373, z2 = (s5 + s3) * 20995;
    const U z3 = all - (s7 + s3) * 16069, z4 = all - (s5 + s1) * 3196;
    const U o0 = s7 * 2446 - z1 + z3, o1 = s5 * 16819 - z2 + z4;
    const U o2 = s3 * 25172 - z2 + z3, o3 = s1 * 12299 - z1 + z4;
    out[i] = scaled(e0 + o3), out[56 + i] = scaled(e0 - o3);
    out[8 + i] = scaled(e1 + o2), out[48 + i] = scaled(e1 - o2);
    out[16 + i] = scaled(e2 + o1), out[40 + i] = scaled(e2 - o1);
    out[24 + i] = scaled(e3 + o0), out[32 + i] = scaled(e3 - o0);
  }
}

// Rows become columns; the second of the two, of samples, saturates to 0 .. 255.
#if defined(__AVX2__)
inline void turned(const int32_t* in, int32_t* out) {
  __m256i row[8], pair[8], four[8];
#pragma GCC unroll 8
  for (int y = 0; y < 8; y++) row[y] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + 8 * y));
#pragma GCC unroll 8
  for (int y = 0; y < 8; y += 2) {
    pair[y] = _mm256_unpacklo_epi32(row[y], row[y + 1]), pair[y + 1] = _mm256_unpackhi_epi32(row[y], row[y + 1]);
  }
#pragma GCC unroll 8
  for (int y = 0; y < 8; y += 4) {
    four[y] = _mm256_unpacklo_epi64(pair[y], pair[y + 2]), four[y + 1] = _mm256_unpackhi_epi64(pair[y], pair[y + 2]);
    four[y + 2] = _mm256_unpacklo_epi64(pair[y + 1], pair[y + 3]), four[y + 3] = _mm256_unpackhi_epi64(pair[y + 1], pair[y + 3]);
  }
#pragma GCC unroll 8
  for (int x = 0; x < 4; x++) {
    const __m256i low = _mm256_permute2x128_si256(four[x], four[x + 4], 0x20);
    const __m256i high = _mm256_permute2x128_si256(four[x], four[x + 4], 0x31);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 8 * x), low);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 8 * x + 32), high);
  }
}

inline void put_turned(const int32_t* in, uint8_t* out, int64_t stride) {
  const __m256i middle = _mm256_set1_epi32(128);
  const auto shifted = [&](int x) {
    return _mm256_add_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + 8 * x)), middle);
  };
  const auto four = [&](int x) {  // columns x .. x + 3 of rows 0 .. 3 and 4 .. 7, row by row
    const __m256i columns = _mm256_packus_epi16(
        _mm256_packs_epi32(shifted(x), shifted(x + 1)), _mm256_packs_epi32(shifted(x + 2), shifted(x + 3)));
    const __m128i turn = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm256_shuffle_epi8(columns, _mm256_broadcastsi128_si256(turn));
  };
  const auto put = [&](int y, __m128i rows) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + y * stride), rows);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + (y + 1) * stride), _mm_unpackhi_epi64(rows, rows));
  };
  const __m256i left = four(0), right = four(4);
  const __m256i low = _mm256_unpacklo_epi32(left, right), high = _mm256_unpackhi_epi32(left, right);
  put(0, _mm256_castsi256_si128(low)), put(2, _mm256_castsi256_si128(high));
  put(4, _mm256_extracti128_si256(low, 1)), put(6, _mm256_extracti128_si256(high, 1));
}
#else
inline void turned(const int32_t* in, int32_t* out) {
  for (int y = 0; y < 8; y++) {
    for (int x = 0; x < 8; x++) out[8 * x + y] = in[8 * y + x];
  }
}

inline void put_turned(const int32_t* in, uint8_t* out, int64_t stride) {
  for (int y = 0; y < 8; y++) {
    for (int x = 0; x < 8; x++) out[y * stride + x] = clamped(in[8 * x + y] + 128);
  }
}
#endif

// A block of samples from coefficients in rows.
inline void samples(const int32_t* coefficients, bool flat, uint8_t* out, int64_t stride) {
  if (flat) {
    const uint8_t level = clamped(((coefficients[0] + 4) >> 3) + 128);
    for (int y = 0; y < 8; y++) std::memset(out + y * stride, level, 8);
    return;
  }
  int32_t once[64], other[64];
  transform<11>(coefficients, once);
  turned(once, other);
  transform<18>(other, once);
  put_turned(once, out, stride);
}

// Chroma between two rows, `near` three times as much as `far`; with `far` null the row itself, once.
inline void mixed(const uint8_t* near, const uint8_t* far, int64_t width, int16_t* out) {
  if (far == nullptr) {
    for (int64_t x = 0; x < width; x++) out[x] = near[x];
    return;
  }
  for (int64_t x = 0; x < width; x++) out[x] = int16_t(3 * near[x] + far[x]);
}

// Twice as many columns; what the numbers are multiples of is 4, or 1. The first and last column of the picture stay.
template <bool kFour>
inline void spread(const int16_t* in, int64_t width, bool first, bool last, int16_t* out) {
  constexpr int shift = kFour ? 4 : 2, left = kFour ? 8 : 1, right = kFour ? 7 : 2, once = kFour ? 4 : 1;
  for (int64_t x = 0; x + 1 < width; x++) {
    out[2 * x + 1] = int16_t((3 * in[x] + in[x + 1] + right) >> shift);
    out[2 * x + 2] = int16_t((3 * in[x + 1] + in[x] + left) >> shift);
  }
  if (first) out[0] = kFour ? int16_t((once * in[0] + left) >> shift) : in[0];
  if (last) out[2 * width - 1] = kFour ? int16_t((once * in[width - 1] + right) >> shift) : in[width - 1];
}

inline void to_rgb(const uint8_t* luma, const int16_t* blue, const int16_t* red, int64_t width, uint32_t* out) {
  for (int64_t x = 0; x < width; x++) {
    const int32_t y = luma[x], cb = blue[x] - 128, cr = red[x] - 128;
    const uint32_t r = clamped(y + ((91881 * cr + 32768) >> 16));
    const uint32_t g = clamped(y + ((-22554 * cb - 46802 * cr + 32768) >> 16));
    const uint32_t b = clamped(y + ((116130 * cb + 32768) >> 16));
    out[x] = r | g << 8 | b << 16;
  }
}

}  // namespace rayseg
