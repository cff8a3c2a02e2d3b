// What a training sample costs most of its time, behind a plain C interface: see rayseg/data/_native.py.
#include <algorithm>
#include <new>

#include "colour.h"
#include "jpeg.h"
#include "resample.h"

using namespace rayseg;

// A window of the picture of out_height x out_width that one of in_height x in_width becomes.
struct View {
  int64_t in_height, in_width, out_height, out_width;
  int64_t top, left, height, width;
  int64_t mirrored;
};

namespace {

// Weights by tap, then by output: neighbours lie beside each other.
std::vector<int32_t> by_tap(const Taps& taps, int64_t width, int most) {
  std::vector<int32_t> columns(size_t(most) * width);
  for (int64_t x = 0; x < width; x++) {
    for (int tap = 0; tap < most; tap++) columns[tap * width + x] = taps.of(x)[tap];
  }
  return columns;
}

int most_used(const Taps& taps) {
  int most = 0;
  for (int32_t count : taps.count) most = count > most ? count : most;
  return most;
}

}  // namespace

extern "C" {

// Rows and columns of the source that the window needs: top, bottom, left, right.
void rayseg_needed(const View* view, int64_t* needed) {
  const Taps down = make_taps(view->in_height, view->out_height, view->top, view->height, false);
  const Taps across = make_taps(view->in_width, view->out_width, view->left, view->width, false);
  needed[0] = down.begin(), needed[1] = down.end(), needed[2] = across.begin(), needed[3] = across.end();
}

// `source` holds rows and columns of the source from (row, column) on, three bytes a pixel and `stride` bytes a row; `out` has the
// window's height and width, three bytes a pixel and `out_stride` bytes a row.
void rayseg_resample(
    const View* view, const uint8_t* source, int64_t row, int64_t column, int64_t stride, uint8_t* out, int64_t out_stride) {
  const Taps vertical = make_taps(view->in_height, view->out_height, view->top, view->height, false);
  const Taps horizontal = make_taps(view->in_width, view->out_width, view->left, view->width, view->mirrored);
  const int most = most_used(horizontal);
  const std::vector<int32_t> columns = by_tap(horizontal, view->width, most);
  const int64_t needed = std::max(horizontal.begin(), horizontal.end()) - horizontal.begin();
  Row wide(needed + most), mixed(view->width);
  Ring ring(vertical.most, view->width);
  const auto make = [&](int64_t number, Row& into) {
    widen(source + (number - row) * stride + 3 * (horizontal.begin() - column), needed, wide.data());
    across(wide.data(), horizontal, columns, most, view->width, into);
  };
  std::vector<const uint8_t*> rows;
  for (int64_t y = 0; y < view->height; y++) {
    rows.clear();
    for (int tap = 0; tap < vertical.count[y]; tap++) {
      rows.push_back(reinterpret_cast<const uint8_t*>(ring.row(vertical.first[y] + tap, make)));
    }
    down(rows, vertical.of(y), view->width * 4, reinterpret_cast<uint8_t*>(mixed.data()));
    narrow(mixed.data(), view->width, out + y * out_stride);
  }
}

// Images of three bytes a pixel to planes of floats by a table for each channel; 0 outside each image's height and width.
void rayseg_normalize(
    const uint8_t* pixels, int64_t images, int64_t height, int64_t width, const int64_t* sizes, const float* tables, float* out) {
  const int64_t area = height * width;
  for (int64_t n = 0; n < images; n++) {
    const int64_t rows = sizes[2 * n], columns = sizes[2 * n + 1];
    float* planes = out + n * 3 * area;
    for (int64_t y = 0; y < height; y++) {
      const uint8_t* row = pixels + (n * area + y * width) * 3;
      float *red = planes + y * width, *green = red + area, *blue = green + area;
      const int64_t inside = y < rows ? columns : 0;
      for (int64_t x = 0; x < inside; x++) {
        red[x] = tables[row[3 * x]], green[x] = tables[256 + row[3 * x + 1]], blue[x] = tables[512 + row[3 * x + 2]];
      }
      for (float* plane : {red, green, blue}) std::fill(plane + inside, plane + width, 0.0f);
    }
  }
}

// Labels at rows and columns of the source that were chosen before.
void rayseg_chosen(
    const uint8_t* mask, int64_t stride, const int32_t* rows, const int32_t* columns, int64_t height, int64_t width,
    int64_t out_stride, uint8_t* out) {
  for (int64_t y = 0; y < height; y++) {
    const uint8_t* from = mask + rows[y] * stride;
    uint8_t* to = out + y * out_stride;
    if (y > 0 && rows[y] == rows[y - 1]) {
      std::memcpy(to, to - out_stride, width);
      continue;
    }
    for (int64_t x = 0; x < width; x++) to[x] = from[columns[x]];
  }
}

// Whether a JPEG is of the kind that is read here, and if so its height, width, and how many places there are to go on from.
int32_t rayseg_jpeg_header(const uint8_t* data, int64_t size, int64_t* found) {
  Header header;
  if (!read_header(data, size, header)) return 0;
  found[0] = header.height, found[1] = header.width, found[2] = header.units_down() * places_across(header);
  return 1;
}

int32_t rayseg_jpeg_places(const uint8_t* data, int64_t size, Place* places) {
  Header header;
  return read_header(data, size, header) && find_places(header, places);
}

// Rows top .. bottom - 1 and columns left .. right - 1 in RGB, three bytes a pixel. 0: it is damaged, or its size is not that which
// they were chosen for. As many `places` as the file does not have are not used.
int32_t rayseg_jpeg_region(
    const uint8_t* data, int64_t size, const Place* places, int64_t count, int64_t top, int64_t bottom, int64_t left,
    int64_t right, uint8_t* out, int64_t stride) {
  Header header;
  try {
    if (!read_header(data, size, header) || bottom > header.height || right > header.width) return 0;
    if (count != header.units_down() * places_across(header)) places = nullptr;
    return decode(header, {top, bottom, left, right}, places, out, stride);
  } catch (const std::bad_alloc&) {
    return 0;
  }
}

// Each of `pixels` pixels of three bytes goes through the stages in order; each stage has a table of 256 numbers.
void rayseg_colour(
    const uint8_t* in, uint8_t* out, int64_t pixels, const int32_t* stages, int64_t count, const int32_t* tables,
    const int32_t* saturation, const int32_t* sector, const float* lack) {
  const Circle circle{saturation, sector, lack, lack + 180, lack + 360};
  Tile tile = {};
  for (int64_t from = 0; from < pixels; from += kPixels) {
    const int some = pixels - from < kPixels ? int(pixels - from) : kPixels;
    const uint8_t* rgb = in + 3 * from;
    for (int x = 0; x < some; x++) tile.red[x] = rgb[3 * x], tile.green[x] = rgb[3 * x + 1], tile.blue[x] = rgb[3 * x + 2];
    for (int64_t stage = 0; stage < count; stage++) apply(tile, circle, stages[stage], tables + 256 * stage);
    uint8_t* to = out + 3 * from;
    for (int x = 0; x < some; x++) {
      to[3 * x] = uint8_t(tile.red[x]), to[3 * x + 1] = uint8_t(tile.green[x]), to[3 * x + 2] = uint8_t(tile.blue[x]);
    }
  }
}

// How often each of the 256 labels occurs; neighbours count into tables of their own, so that equal ones need not wait.
void rayseg_label_counts(const uint8_t* mask, int64_t stride, int64_t height, int64_t width, int64_t* counts) {
  std::vector<int64_t> tables(4 * 256);
  for (int64_t y = 0; y < height; y++) {
    const uint8_t* row = mask + y * stride;
    int64_t x = 0;
    for (; x + 4 <= width; x += 4) {
      for (int lane = 0; lane < 4; lane++) tables[256 * lane + row[x + lane]]++;
    }
    for (; x < width; x++) tables[row[x]]++;
  }
  for (int label = 0; label < 256; label++) {
    counts[label] = tables[label] + tables[256 + label] + tables[512 + label] + tables[768 + label];
  }
}

}  // extern "C"
