// Labels: the nearest ones of a window of a resized mask, how often each occurs, and whether they are ones.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "draw.h"

namespace rayseg {

// The pixels of a side of `in` px that outputs start .. start + length - 1 of `out` are taken from. Pillow's: it adds up its steps.
inline std::vector<int32_t> nearest(int64_t in, int64_t out, int64_t start, int64_t length) {
  std::vector<int32_t> found(length);
  const double step = double(in) / double(out);
  double place = 0.5 * step;
  for (int64_t i = 0; i < start + length; i++, place += step) {
    if (i >= start) found[i - start] = int32_t(std::min(int64_t(place), in - 1));
  }
  return found;
}

inline void copy_row(const uint8_t* from, int64_t width, bool mirrored, uint8_t* to) {
  if (mirrored) std::reverse_copy(from, from + width, to);
  else std::memcpy(to, from, width);
}

inline void draw_labels(const View& view, const uint8_t* mask, int64_t stride, uint8_t* out, int64_t out_stride) {
  if (!view.is_resized()) {
    for (int64_t y = 0; y < view.height; y++) {
      copy_row(mask + (view.top + y) * stride + view.left, view.width, view.mirrored, out + y * out_stride);
    }
    return;
  }
  const std::vector<int32_t> rows = nearest(view.in_height, view.out_height, view.top, view.height);
  std::vector<int32_t> columns = nearest(view.in_width, view.out_width, view.left, view.width);
  if (view.mirrored) std::reverse(columns.begin(), columns.end());
  for (int64_t y = 0; y < view.height; y++) {
    const uint8_t* from = mask + rows[y] * stride;
    uint8_t* to = out + y * out_stride;
    if (y > 0 && rows[y] == rows[y - 1]) std::memcpy(to, to - out_stride, view.width);
    else for (int64_t x = 0; x < view.width; x++) to[x] = from[columns[x]];
  }
}

// Neighbours count into tables of their own, so that equal ones need not wait; sixteen equal ones count at once.
inline void count_labels(const uint8_t* mask, int64_t stride, int64_t height, int64_t width, int64_t* counts) {
  std::vector<int64_t> tables(4 * 256);
  for (int64_t y = 0; y < height; y++) {
    const uint8_t* row = mask + y * stride;
    int64_t x = 0;
    for (; x + 16 <= width; x += 16) {
      uint64_t eight[2];
      std::memcpy(eight, row + x, 16);
      if (eight[0] == eight[1] && eight[0] == row[x] * 0x0101010101010101u) {
        tables[row[x]] += 16;
        continue;
      }
      for (int i = 0; i < 16; i += 4) {
        for (int lane = 0; lane < 4; lane++) tables[256 * lane + row[x + i + lane]]++;
      }
    }
    for (; x < width; x++) tables[row[x]]++;
  }
  for (int label = 0; label < 256; label++) {
    counts[label] = tables[label] + tables[256 + label] + tables[512 + label] + tables[768 + label];
  }
}

// Whether every label is 0 .. most or `also`.
inline bool are_labels(const uint8_t* mask, int64_t stride, int64_t height, int64_t width, uint8_t most, uint8_t also) {
  for (int64_t y = 0; y < height; y++) {
    const uint8_t* row = mask + y * stride;
    uint8_t wrong = 0;
    for (int64_t x = 0; x < width; x++) wrong |= uint8_t((row[x] > most) & (row[x] != also));
    if (wrong) return false;
  }
  return true;
}

}  // namespace rayseg
