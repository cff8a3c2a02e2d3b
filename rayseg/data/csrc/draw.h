// From a JPEG or from pixels to a window of the resized picture in other colours, row by row: what lies between stays in the cache.
#pragma once

#include "colour.h"
#include "jpeg.h"
#include "resample.h"

namespace rayseg {

// A window of the picture of out_height x out_width that one of in_height x in_width becomes.
struct View {
  int64_t in_height, in_width, out_height, out_width;
  int64_t top, left, height, width;
  int64_t mirrored;

  bool is_resized() const { return in_height != out_height || in_width != out_width; }
};

// Either a JPEG with places to go on from, of which another number than it has are not used; or pixels of three bytes from (row,
// column) of the picture on, `stride` bytes a row.
struct Source {
  const uint8_t* jpeg;
  int64_t size;
  const Place* places;
  int64_t count;
  const uint8_t* pixels;
  int64_t row, column, stride;
};

// Where each of the three bytes of each pixel goes: so many bytes from row to row, from channel to channel, from pixel to pixel.
struct Sink {
  uint8_t* to;
  int64_t row, channel, pixel;

  void put(int64_t y, const uint8_t* planes, int64_t plane, int64_t width) const {
    uint8_t* at = to + y * row;
    if (pixel == 1) {
      for (int i = 0; i < 3; i++) std::memcpy(at + i * channel, planes + i * plane, width);
    } else {
      const uint8_t *red = planes, *green = red + plane, *blue = green + plane;
      for (int64_t x = 0; x < width; x++) at[3 * x] = red[x], at[3 * x + 1] = green[x], at[3 * x + 2] = blue[x];
    }
  }
};

struct Light {
  const Stage* stages;
  int64_t count;
};

class PixelRows {
 public:
  PixelRows(const Source& source, const Region& region, int64_t readable) : source_(source), region_(region), row_(readable) {}

  const uint32_t* row(int64_t y) {
    const uint8_t* from = source_.pixels + (y - source_.row) * source_.stride + 3 * (region_.left - source_.column);
    widen(from, region_.right - region_.left, row_.data());
    return row_.data();
  }

 private:
  const Source source_;
  const Region region_;
  Packed row_;
};

template <class Rows>
void draw_cut(const View& view, Rows& rows, const Light& light, const Sink& sink) {
  const int64_t plane = plane_bytes(view.width);
  std::vector<uint8_t> row(3 * plane);
  for (int64_t y = 0; y < view.height; y++) {
    to_planes(rows.row(view.top + y), view.width, row.data());
    for (int i = 0; view.mirrored && i < 3; i++) std::reverse(row.data() + i * plane, row.data() + i * plane + view.width);
    change_colours(row.data(), plane, light.stages, light.count);
    sink.put(y, row.data(), plane, view.width);
  }
}

template <class Rows>
void draw_resized(const View& view, Rows& rows, const Taps& vertical, const Taps& horizontal, const Light& light, const Sink& sink) {
  const int64_t plane = plane_bytes(view.width);
  const Across across(horizontal, view.width);
  const auto make = [&](int64_t y, uint8_t* into) { across.row(rows.row(y), into); };
  Ring ring(vertical.most, 3 * plane);
  std::vector<uint8_t> row(3 * plane);
  std::vector<const uint8_t*> wide;
  for (int64_t y = 0; y < view.height; y++) {
    wide.clear();
    for (int tap = 0; tap < vertical.count[y]; tap++) wide.push_back(ring.row(vertical.first[y] + tap, make));
    down(wide, vertical.of(y), 3 * plane, row.data());
    change_colours(row.data(), plane, light.stages, light.count);
    sink.put(y, row.data(), plane, view.width);
  }
}

// `Then` draws from rows.
template <class Then>
bool with_rows(const View& view, const Source& source, const Region& region, int64_t readable, Then then) {
  if (source.pixels) {
    PixelRows rows(source, region, readable);
    return then(rows), true;
  }
  Header header;
  if (!read_header(source.jpeg, source.size, header) || header.height != view.in_height || header.width != view.in_width) return false;
  const bool fit = source.count == header.units_down() * places_across(header);
  JpegRows rows(header, region, readable);
  return rows.read(fit ? source.places : nullptr) && (then(rows), true);
}

// False: the JPEG is damaged, or of another size.
inline bool draw(const View& view, const Source& source, const Light& light, const Sink& sink) {
  if (!view.is_resized()) {
    const Region cut{view.top, view.top + view.height, view.left, view.left + view.width};
    return with_rows(view, source, cut, view.width, [&](auto& rows) { draw_cut(view, rows, light, sink); });
  }
  const Taps vertical = make_taps(view.in_height, view.out_height, view.top, view.height, false);
  const Taps horizontal = make_taps(view.in_width, view.out_width, view.left, view.width, view.mirrored);
  const Region needed{vertical.begin(), vertical.end(), horizontal.begin(), horizontal.end()};
  const auto then = [&](auto& rows) { draw_resized(view, rows, vertical, horizontal, light, sink); };
  return with_rows(view, source, needed, Across::readable(horizontal), then);
}

}  // namespace rayseg
