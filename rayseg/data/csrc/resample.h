// A window of a resized picture from the part of the source that it needs: horizontally, rounded to 8 bits, then vertically.
#pragma once

#include <algorithm>
#include <cstring>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "taps.h"

namespace rayseg {

// Four bytes a pixel: red in the lowest, nothing in the highest.
typedef std::vector<uint32_t> Packed;

constexpr int64_t kLanes = 16;

// Three planes of bytes, each of whole tiles of 128.
inline int64_t plane_bytes(int64_t width) { return (width + 127) / 128 * 128; }

inline void widen(const uint8_t* rgb, int64_t pixels, uint32_t* out) {
  if (pixels == 0) return;
  for (int64_t x = 0; x + 1 < pixels; x++) {
    uint32_t four;
    std::memcpy(&four, rgb + 3 * x, 4);
    out[x] = four & 0xffffff;
  }
  const uint8_t* last = rgb + 3 * (pixels - 1);
  out[pixels - 1] = last[0] | last[1] << 8 | last[2] << 16;
}

inline void to_planes(const uint32_t* in, int64_t width, uint8_t* out) {
  const int64_t plane = plane_bytes(width);
  for (int64_t x = 0; x < width; x++) out[x] = uint8_t(in[x]);
  for (int64_t x = 0; x < width; x++) out[plane + x] = uint8_t(in[x] >> 8);
  for (int64_t x = 0; x < width; x++) out[2 * plane + x] = uint8_t(in[x] >> 16);
}

// The horizontal pass. Outputs are made sixteen at a time, of neighbours that lie in two registers unless it shrinks by more than two.
class Across {
 public:
  Across(const Taps& taps, int64_t width) : width_(width), origin_(taps.begin()) {
    for (int32_t count : taps.count) most_ = std::max(most_, count);
    const int64_t tiles = (width + kLanes - 1) / kLanes;
    base_.resize(tiles), index_.assign(tiles * kLanes, 0), weights_.assign(tiles * kLanes * most_, 0);
    for (int64_t tile = 0; tile < tiles; tile++) {
      const int64_t from = tile * kLanes, to = std::min(from + kLanes, width);
      const auto [low, high] = std::minmax_element(taps.first.begin() + from, taps.first.begin() + to);
      base_[tile] = *low - origin_, near_ &= *high - *low < 2 * kLanes;
      for (int64_t x = from; x < to; x++) {
        index_[x] = taps.first[x] - *low;
        for (int tap = 0; tap < most_; tap++) weights_[(tile * most_ + tap) * kLanes + x - from] = taps.of(x)[tap];
      }
    }
  }

  // So many pixels may be read from the first one that is needed on.
  static int64_t readable(const Taps& taps) { return taps.end() - taps.begin() + taps.most + 2 * kLanes; }

  // One row: `in` begins at the first source pixel that any output needs.
  void row(const uint32_t* in, uint8_t* out) const {
    const int64_t plane = plane_bytes(width_);
    for (size_t tile = 0; tile < base_.size(); tile++) {
      const uint32_t* from = in + base_[tile];
      const int32_t *index = index_.data() + tile * kLanes, *weights = weights_.data() + tile * most_ * kLanes;
      if (near_) sums_of_near(from, index, weights, out + tile * kLanes, plane);
      else sums(from, index, weights, out + tile * kLanes, plane);
    }
  }

 private:
  void sums(const uint32_t* in, const int32_t* index, const int32_t* weights, uint8_t* out, int64_t plane) const {
    int32_t red[kLanes], green[kLanes], blue[kLanes];
    for (int x = 0; x < kLanes; x++) red[x] = green[x] = blue[x] = kHalf;
    for (int tap = 0; tap < most_; tap++) {
      for (int x = 0; x < kLanes; x++) {
        const uint32_t pixel = in[index[x] + tap];
        const int32_t weight = weights[tap * kLanes + x];
        red[x] += int32_t(pixel & 255) * weight, green[x] += int32_t(pixel >> 8 & 255) * weight;
        blue[x] += int32_t(pixel >> 16) * weight;
      }
    }
    for (int x = 0; x < kLanes; x++) out[x] = uint8_t(red[x] >> kBits);
    for (int x = 0; x < kLanes; x++) out[plane + x] = uint8_t(green[x] >> kBits);
    for (int x = 0; x < kLanes; x++) out[2 * plane + x] = uint8_t(blue[x] >> kBits);
  }

#if defined(__AVX512F__)
  void sums_of_near(const uint32_t* in, const int32_t* index, const int32_t* weights, uint8_t* out, int64_t plane) const {
    const __m512i places = _mm512_loadu_si512(index), byte = _mm512_set1_epi32(255);
    __m512i red = _mm512_set1_epi32(kHalf), green = red, blue = red;
    for (int tap = 0; tap < most_; tap++) {
      const __m512i pixels =
          _mm512_permutex2var_epi32(_mm512_loadu_si512(in + tap), places, _mm512_loadu_si512(in + tap + kLanes));
      const __m512i weight = _mm512_loadu_si512(weights + tap * kLanes);
      red = _mm512_add_epi32(red, _mm512_mullo_epi32(_mm512_and_si512(pixels, byte), weight));
      green = _mm512_add_epi32(green, _mm512_mullo_epi32(_mm512_and_si512(_mm512_srli_epi32(pixels, 8), byte), weight));
      blue = _mm512_add_epi32(blue, _mm512_mullo_epi32(_mm512_srli_epi32(pixels, 16), weight));
    }
    const auto put = [](uint8_t* to, __m512i sum) {
      const __m128i bytes = _mm512_cvtepi32_epi8(_mm512_srli_epi32(sum, kBits));
      std::memcpy(to, &bytes, sizeof bytes);
    };
    put(out, red), put(out + plane, green), put(out + 2 * plane, blue);
  }
#else
  void sums_of_near(const uint32_t* in, const int32_t* index, const int32_t* weights, uint8_t* out, int64_t plane) const {
    sums(in, index, weights, out, plane);
  }
#endif

  int64_t width_;
  int32_t origin_;
  int most_ = 0;
  bool near_ = true;
  std::vector<int32_t> base_, index_, weights_;
};

inline void down(const std::vector<const uint8_t*>& rows, const int32_t* weights, int64_t bytes, uint8_t* out) {
  constexpr int64_t kTile = 128;
  for (int64_t from = 0; from < bytes; from += kTile) {
    int32_t sums[kTile];
    for (int x = 0; x < kTile; x++) sums[x] = kHalf;
    for (size_t tap = 0; tap < rows.size(); tap++) {
      const uint8_t* row = rows[tap] + from;
      const int32_t weight = weights[tap];
      for (int x = 0; x < kTile; x++) sums[x] += int32_t(row[x]) * weight;
    }
    for (int x = 0; x < kTile; x++) out[from + x] = uint8_t(sums[x] >> kBits);
  }
}

// Rows that were resized horizontally, as many as one output row needs.
class Ring {
 public:
  Ring(int most, int64_t bytes) : rows_(most, std::vector<uint8_t>(bytes)), held_(most, -1) {}

  template <class Make>
  const uint8_t* row(int64_t number, Make make) {
    const size_t slot = size_t(number) % rows_.size();
    if (held_[slot] != number) make(number, rows_[slot].data()), held_[slot] = number;
    return rows_[slot].data();
  }

 private:
  std::vector<std::vector<uint8_t>> rows_;
  std::vector<int64_t> held_;
};

}  // namespace rayseg
