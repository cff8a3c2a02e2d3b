// Levels to normalised numbers in other colours: an affine map of the three channels, clipped.
#pragma once

#include <algorithm>
#include <cstdint>

namespace rayseg {

// `map` has for each channel what it takes of the three, what is added, the least and the most; a row of pixels lies in three planes,
// `area` apart, of bytes and of floats.
inline void twist_row(const uint8_t* levels, int64_t area, int64_t width, const float* map, float* out) {
  const uint8_t *red = levels, *green = red + area, *blue = green + area;
  for (int channel = 0; channel < 3; channel++, map += 6, out += area) {
    const float r = map[0], g = map[1], b = map[2], add = map[3], least = map[4], most = map[5];
    for (int64_t x = 0; x < width; x++) {
      const float sum = add + r * float(red[x]) + g * float(green[x]) + b * float(blue[x]);
      out[x] = sum < least ? least : sum > most ? most : sum;
    }
  }
}

}  // namespace rayseg
