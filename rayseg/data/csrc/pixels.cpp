// What a training sample costs most of its time, behind a plain C interface: see rayseg/data/_native.py.
#include <algorithm>
#include <new>

#include "draw.h"
#include "labels.h"
#include "normal.h"
#include "twist.h"

using namespace rayseg;

extern "C" {

// Rows and columns of the source that a resized window needs: top, bottom, left, right.
void rayseg_needed(const View* view, int64_t* needed) {
  const Taps down = make_taps(view->in_height, view->out_height, view->top, view->height, false);
  const Taps across = make_taps(view->in_width, view->out_width, view->left, view->width, false);
  needed[0] = down.begin(), needed[1] = down.end(), needed[2] = across.begin(), needed[3] = across.end();
}

// The window of a picture, its colours changed by the stages, in order. 0: a JPEG that is damaged, or whose size is not the view's.
int32_t rayseg_draw(const View* view, const Source* source, const Stage* stages, int64_t count, const Sink* sink) {
  try {
    return draw(*view, *source, {stages, count}, *sink);
  } catch (const std::bad_alloc&) {
    return 0;
  }
}

// The window of a mask, of which all is there.
void rayseg_draw_labels(const View* view, const uint8_t* mask, int64_t stride, uint8_t* out, int64_t out_stride) {
  draw_labels(*view, mask, stride, out, out_stride);
}

// Images of three planes of bytes to planes of floats by a table for each channel, which is that of `mean` and `std`; 0 outside each
// image's height and width.
void rayseg_normalize(
    const uint8_t* pixels, int64_t images, int64_t height, int64_t width, const int64_t* sizes, const float* tables,
    const double* mean, const double* std, float* out) {
  for (int64_t plane = 0; plane < 3 * images; plane++) {
    const int64_t rows = sizes[plane / 3 * 2], columns = sizes[plane / 3 * 2 + 1], channel = plane % 3;
    const Normal normal(tables + 256 * channel, mean[channel], std[channel]);
    for (int64_t y = 0; y < height; y++, pixels += width, out += width) {
      const int64_t inside = y < rows ? columns : 0;
      normal.row(pixels, inside, out);
      std::fill(out + inside, out + width, 0.0f);
    }
  }
}

// The same by an affine map for each image, of six numbers for each channel.
void rayseg_twist(
    const uint8_t* pixels, int64_t images, int64_t height, int64_t width, const int64_t* sizes, const float* maps,
    float* out) {
  const int64_t area = height * width;
  for (int64_t n = 0; n < images; n++, pixels += 3 * area, out += 3 * area) {
    const int64_t rows = sizes[2 * n], columns = sizes[2 * n + 1];
    for (int64_t y = 0; y < height; y++) {
      const int64_t inside = y < rows ? columns : 0;
      twist_row(pixels + y * width, area, inside, maps + 18 * n, out + y * width);
      for (int i = 0; i < 3; i++) std::fill_n(out + i * area + y * width + inside, width - inside, 0.0f);
    }
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

// How often each of the 256 labels occurs.
void rayseg_label_counts(const uint8_t* mask, int64_t stride, int64_t height, int64_t width, int64_t* counts) {
  count_labels(mask, stride, height, width, counts);
}

// Whether every label is 0 .. most or `also`.
int32_t rayseg_are_labels(const uint8_t* mask, int64_t stride, int64_t height, int64_t width, uint8_t most, uint8_t also) {
  return are_labels(mask, stride, height, width, most, also);
}

}  // extern "C"
