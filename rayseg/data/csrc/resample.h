// A window of a resized picture from the part of the source that it needs: horizontally, rounded to 8 bits, then vertically.
#pragma once

#include <cstring>

#include "taps.h"

namespace rayseg {

// Four bytes a pixel: red in the lowest.
typedef std::vector<uint32_t> Row;

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

// One row, resized: `in` begins at the first source pixel that any output needs.
inline void across(const uint32_t* in, const Taps& taps, const std::vector<int32_t>& columns, int most, int64_t width, Row& out) {
  constexpr int64_t kTile = 64;
  const int32_t origin = taps.begin();
  for (int64_t from = 0; from < width; from += kTile) {
    const int64_t pixels = width - from < kTile ? width - from : kTile;
    int32_t red[kTile], green[kTile], blue[kTile];
    for (int64_t x = 0; x < pixels; x++) red[x] = green[x] = blue[x] = kHalf;
    for (int tap = 0; tap < most; tap++) {
      const int32_t* weights = columns.data() + tap * width + from;
      const int32_t* first = taps.first.data() + from;
      for (int64_t x = 0; x < pixels; x++) {
        const uint32_t pixel = in[first[x] - origin + tap];
        red[x] += int32_t(pixel & 255) * weights[x];
        green[x] += int32_t(pixel >> 8 & 255) * weights[x];
        blue[x] += int32_t(pixel >> 16) * weights[x];
      }
    }
    for (int64_t x = 0; x < pixels; x++) {
      out[from + x] = uint32_t(red[x] >> kBits) | uint32_t(green[x] >> kBits) << 8 | uint32_t(blue[x] >> kBits) << 16;
    }
  }
}

inline void down(const std::vector<const uint8_t*>& rows, const int32_t* weights, int64_t bytes, uint8_t* out) {
  constexpr int64_t kTile = 256;
  for (int64_t from = 0; from < bytes; from += kTile) {
    const int64_t some = bytes - from < kTile ? bytes - from : kTile;
    int32_t sums[kTile];
    for (int64_t x = 0; x < some; x++) sums[x] = kHalf;
    for (size_t tap = 0; tap < rows.size(); tap++) {
      const uint8_t* row = rows[tap] + from;
      const int32_t weight = weights[tap];
      for (int64_t x = 0; x < some; x++) sums[x] += int32_t(row[x]) * weight;
    }
    for (int64_t x = 0; x < some; x++) out[from + x] = uint8_t(sums[x] >> kBits);
  }
}

inline void narrow(const uint32_t* in, int64_t pixels, uint8_t* rgb) {
  for (int64_t x = 0; x + 1 < pixels; x++) std::memcpy(rgb + 3 * x, &in[x], 4);
  if (pixels > 0) std::memcpy(rgb + 3 * (pixels - 1), &in[pixels - 1], 3);
}

// Rows that were resized horizontally, as many as one output row needs.
class Ring {
 public:
  Ring(int most, int64_t width) : rows_(most, Row(width)), held_(most, -1) {}

  template <class Make>
  const uint32_t* row(int64_t number, Make make) {
    const size_t slot = size_t(number) % rows_.size();
    if (held_[slot] != number) make(number, rows_[slot]), held_[slot] = number;
    return rows_[slot].data();
  }

 private:
  std::vector<Row> rows_;
  std::vector<int64_t> held_;
};

}  // namespace rayseg
