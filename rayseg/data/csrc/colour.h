// Stages of a change of colours, pixel by pixel: a factor and an offset for all channels, or one of hue or saturation on the way through
// HSV in OpenCV's 8-bit convention (see rayseg/data/_colour.py, whose numbers these are; quotients stand for its tables).
#pragma once

#include <cstdint>

#include "taps.h"

namespace rayseg {

enum Kind : int32_t { kAll = 0, kHue = 1, kSaturation = 2 };

// Levels become level * factor + offset; hues are turned by the offset, 0 .. 179.
struct Stage {
  int32_t kind;
  float factor, offset;
};

constexpr int kPixels = 128;

struct Tile {
  int32_t red[kPixels], green[kPixels], blue[kPixels];
};

inline int32_t rounded(float value) { return int32_t((value + 12582912.0f) - 12582912.0f); }

// Cut to whole numbers of 8 bits. Without a fused multiply-add, as numpy has it.
RAYSEG_NO_FMA inline void moved(int32_t* levels, float factor, float offset) {
  for (int x = 0; x < kPixels; x++) {
    const float level = float(levels[x]) * factor + offset;
    levels[x] = int32_t(level < 0.0f ? 0.0f : level > 255.0f ? 255.0f : level);
  }
}

inline void turned_hue(int32_t* hues, int32_t by) {
  for (int x = 0; x < kPixels; x++) hues[x] += hues[x] + by >= 180 ? by - 180 : by;
}

// How much of the chroma a channel lacks at a hue, `ahead` of red's.
inline float lack(int32_t hue, int32_t ahead) {
  const int32_t place = hue + ahead >= 180 ? hue + ahead - 180 : hue + ahead;
  const int32_t near = place < 120 - place ? place : 120 - place;
  return float(near < 0 ? 0 : near > 30 ? 30 : near) / 30.0f;
}

RAYSEG_NO_FMA inline void through_hsv(Tile& tile, const Stage& stage) {
  int32_t hue[kPixels], saturation[kPixels], value[kPixels];
  for (int x = 0; x < kPixels; x++) {
    const int32_t r = tile.red[x], g = tile.green[x], b = tile.blue[x];
    const int32_t high = r > g ? (r > b ? r : b) : (g > b ? g : b), low = r < g ? (r < b ? r : b) : (g < b ? g : b);
    const int32_t chroma = high - low;
    const int32_t sixths = high == r ? g - b : high == g ? b - r + 2 * chroma : r - g + 4 * chroma;
    const int32_t turn = (sixths * rounded(122880.0f / float(chroma > 1 ? chroma : 1)) + (1 << 11)) >> 12;
    hue[x] = turn < 0 ? turn + 180 : turn;
    saturation[x] = (chroma * rounded(1044480.0f / float(high > 1 ? high : 1)) + (1 << 11)) >> 12;
    value[x] = high;
  }
  if (stage.kind == kHue) turned_hue(hue, int32_t(stage.offset));
  else moved(saturation, stage.factor, stage.offset);
  for (int x = 0; x < kPixels; x++) {
    const float high = float(value[x]), chroma = high * float(saturation[x]) * float(1.0 / 255);
    tile.red[x] = rounded(high - chroma * lack(hue[x], 150));
    tile.green[x] = rounded(high - chroma * lack(hue[x], 90));
    tile.blue[x] = rounded(high - chroma * lack(hue[x], 30));
  }
}

inline void apply(Tile& tile, const Stage& stage) {
  if (stage.kind != kAll) return through_hsv(tile, stage);
  for (int32_t* levels : {tile.red, tile.green, tile.blue}) moved(levels, stage.factor, stage.offset);
}

// A row in three planes, `plane` bytes apart, of whole tiles.
inline void change_colours(uint8_t* row, int64_t plane, const Stage* stages, int64_t count) {
  Tile tile;
  for (int64_t from = 0; count && from < plane; from += kPixels) {
    uint8_t *red = row + from, *green = red + plane, *blue = green + plane;
    for (int x = 0; x < kPixels; x++) tile.red[x] = red[x], tile.green[x] = green[x], tile.blue[x] = blue[x];
    for (int64_t stage = 0; stage < count; stage++) apply(tile, stages[stage]);
    for (int x = 0; x < kPixels; x++) red[x] = uint8_t(tile.red[x]);
    for (int x = 0; x < kPixels; x++) green[x] = uint8_t(tile.green[x]);
    for (int x = 0; x < kPixels; x++) blue[x] = uint8_t(tile.blue[x]);
  }
}

}  // namespace rayseg
