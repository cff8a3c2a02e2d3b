// Weights of a bilinear filter along one axis, as Pillow's resize has them: wider when shrinking, fixed point with 22 bits.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

// Pillow adds what it multiplied: one rounding more than a fused multiply-add has.
#if defined(__clang__)
#pragma clang fp contract(off)
#define RAYSEG_NO_FMA
#else
#define RAYSEG_NO_FMA __attribute__((optimize("fp-contract=off")))
#endif

namespace rayseg {

constexpr int kBits = 22;
constexpr int32_t kHalf = 1 << (kBits - 1);

// Output pixel i is the sum of source pixels first[i] .. first[i] + count[i] - 1, with weights of their own; unused ones are 0.
struct Taps {
  int most = 0;
  std::vector<int32_t> first, count, weights;

  const int32_t* of(int64_t i) const { return weights.data() + i * most; }
  int32_t begin() const { return least; }
  int32_t end() const { return largest; }

  int32_t least = 0, largest = 0;
};

inline double triangle(double x) {
  x = std::fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

// Of outputs start .. start + length - 1 of the `out` that a side of `in` pixels becomes; from the last to the first if mirrored.
RAYSEG_NO_FMA inline Taps make_taps(int64_t in, int64_t out, int64_t start, int64_t length, bool mirrored) {
  const double scale = double(in) / double(out), stretch = scale < 1.0 ? 1.0 : scale, support = stretch;
  Taps taps;
  taps.most = int(std::ceil(support)) * 2 + 1;
  taps.first.resize(length), taps.count.resize(length), taps.weights.assign(length * taps.most, 0);
  std::vector<double> real(taps.most);
  for (int64_t i = 0; i < length; i++) {
    const double center = (double(start + i) + 0.5) * scale, inverse = 1.0 / stretch;
    int64_t low = int64_t(center - support + 0.5), high = int64_t(center + support + 0.5);
    low = low < 0 ? 0 : low, high = high > in ? in : high;
    double sum = 0.0;
    for (int64_t x = 0; x < high - low; x++) sum += real[x] = triangle((double(x + low) - center + 0.5) * inverse);
    const int64_t place = mirrored ? length - 1 - i : i;
    for (int64_t x = 0; x < high - low; x++) {
      if (sum != 0.0) real[x] /= sum;
      taps.weights[place * taps.most + x] = int32_t(0.5 + real[x] * (1 << kBits));
    }
    taps.first[place] = int32_t(low), taps.count[place] = int32_t(high - low);
    if (i == 0) taps.least = int32_t(low);
    taps.largest = int32_t(high);
  }
  return taps;
}

}  // namespace rayseg
