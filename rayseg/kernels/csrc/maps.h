// Sums over maps of pixels, whose weights are bytes of 0 or 1.
#pragma once

#include <algorithm>

#include "simd.h"

namespace rayseg {

inline double sum_of_products(const float* values, const uint8_t* weights, int64_t count) {
  double lanes[kLanes] = {}, sum = 0;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int lane = 0; lane < kLanes; lane++) lanes[lane] += (double)(values[i + lane] * (float)weights[i + lane]);
  }
  for (; i < count; i++) sum += (double)(values[i] * (float)weights[i]);
  for (int lane = 0; lane < kLanes; lane++) sum += lanes[lane];
  return sum;
}

inline int64_t count_of_ones(const uint8_t* weights, int64_t count) {
  int64_t found = 0;
  for (int64_t first = 0; first < count; first += 128) {
    uint8_t some = 0;
    for (int64_t i = first; i < std::min(count, first + 128); i++) some += weights[i];
    found += some;
  }
  return found;
}

}  // namespace rayseg
