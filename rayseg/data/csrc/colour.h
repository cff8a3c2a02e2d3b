// Stages of a change of colours, pixel by pixel: a table for all channels, or one for hue or saturation on the way through HSV in
// OpenCV's 8-bit convention (see rayseg/data/_colour.py, whose numbers these are).
#pragma once

#include <cstdint>

#include "taps.h"

namespace rayseg {

enum Stage : int32_t { kAll = 0, kHue = 1, kSaturation = 2 };

// Of the convention: 255 and 30 over each level with 12 fractional bits, and how much of the chroma each channel lacks at each hue.
struct Circle {
  const int32_t *saturation, *sector;
  const float *red, *green, *blue;
};

constexpr int kPixels = 128;

struct Tile {
  int32_t red[kPixels], green[kPixels], blue[kPixels];
};

inline int32_t rounded(float value) { return int32_t((value + 12582912.0f) - 12582912.0f); }

RAYSEG_NO_FMA inline void through_hsv(Tile& tile, const Circle& circle, bool turns, const int32_t* table) {
  int32_t hue[kPixels], saturation[kPixels], value[kPixels];
  for (int x = 0; x < kPixels; x++) {
    const int32_t r = tile.red[x], g = tile.green[x], b = tile.blue[x];
    const int32_t high = r > g ? (r > b ? r : b) : (g > b ? g : b), low = r < g ? (r < b ? r : b) : (g < b ? g : b);
    const int32_t chroma = high - low;
    const int32_t sixths = high == r ? g - b : high == g ? b - r + 2 * chroma : r - g + 4 * chroma;
    const int32_t turn = (sixths * circle.sector[chroma] + (1 << 11)) >> 12;
    hue[x] = turn < 0 ? turn + 180 : turn;
    saturation[x] = (chroma * circle.saturation[high] + (1 << 11)) >> 12;
    value[x] = high;
  }
  int32_t* changed = turns ? hue : saturation;
  for (int x = 0; x < kPixels; x++) changed[x] = table[changed[x]];
  for (int x = 0; x < kPixels; x++) {
    const float high = float(value[x]), chroma = high * float(saturation[x]) * float(1.0 / 255);
    tile.red[x] = rounded(high - chroma * circle.red[hue[x]]);
    tile.green[x] = rounded(high - chroma * circle.green[hue[x]]);
    tile.blue[x] = rounded(high - chroma * circle.blue[hue[x]]);
  }
}

inline void apply(Tile& tile, const Circle& circle, int32_t stage, const int32_t* table) {
  if (stage != kAll) return through_hsv(tile, circle, stage == kHue, table);
  for (int x = 0; x < kPixels; x++) tile.red[x] = table[tile.red[x]];
  for (int x = 0; x < kPixels; x++) tile.green[x] = table[tile.green[x]];
  for (int x = 0; x < kPixels; x++) tile.blue[x] = table[tile.blue[x]];
}

}  // namespace rayseg
