// From gradients at full size to that at the logits: rows between the same two rows of logits, a tile at a time.
#pragma once

#include "tiles.h"

namespace rayseg {

constexpr int64_t kStripRows = 32;

// Rows of pixels between the same two rows of logits are done together: what they share is read and written once.
constexpr int kMostRows = 4;

struct BackwardState {
  RowPair rows;
  Buffer values, first, second;
  float *upper, *lower;  // gradient at the two rows, (C, columns) each
  const int columns;
  bool touched = false;  // whether there is any
  int32_t labels[kMostRows][kMostColumns];

  BackwardState(const Geometry& geometry, const Axis& across, int columns)
      : rows(geometry, across, columns), values(geometry.classes * std::max(columns, kMostRows * kLanes)),
        first(geometry.classes * columns), second(geometry.classes * columns), upper(first.data()), lower(second.data()),
        columns(columns) {}
};

// Logits of a class at both rows, and what is added to the gradient there.
struct Between {
  Floats top, difference, above{}, below{};
  const int64_t at;

  Between(const BackwardState& state, int64_t at) : top(load(state.rows.upper() + at)), at(at) {
    difference = load(state.rows.lower() + at) - top;
  }

  Floats logit(float share) const { return top + share * difference; }

  void add(Floats slope, float share) {
    const Floats part = share * slope;
    above += slope - part;
    below += part;
  }

  void finish(BackwardState& state) const {
    store(state.upper + at, load(state.upper + at) + above);
    store(state.lower + at, load(state.lower + at) + below);
  }
};

// The transpose of expansion: how much of each output goes to each of the kLanes inputs of its window.
class Fold {
 public:
  Fold(const Geometry& geometry, const Axis& across) : geometry_(geometry), across_(across) {
    for (int64_t x = 0; x < geometry.width; x++) {
      const int32_t start = across.window(x / kLanes * kLanes);
      float weights[kLanes] = {};
      if (start >= 0) {
        weights[across.low[x] - start] += 1 - across.share[x];
        weights[across.high[x] - start] += across.share[x];
      }
      weights_.insert(weights_.end(), weights, weights + kLanes);
    }
    weights_.resize((geometry.width + kLanes) * kLanes, 0.0f);
  }

  // Adds a row of a tile, (C, columns), to a row of the gradient, whose class 0 is at `to`, and sets it to 0.
  void operator()(float* from, float* to, int64_t left, int used, int columns) const {
    for (int x = 0; x < used; x += kLanes) {
      const int32_t start = across_.window(left + x);
      for (int64_t c = 0; c < geometry_.classes; c++) {
        float* row = to + c * geometry_.height_in * geometry_.width_in;
        const float* values = from + c * columns + x;
        if (start >= 0) {
          store(row + start, load(row + start) + mixed(values, &weights_[(left + x) * kLanes]));
        } else {
          add_each(row, values, left + x);
        }
      }
    }
    std::fill(from, from + geometry_.classes * columns, 0.0f);
  }

 private:
  static Floats mixed(const float* values, const float* weights) {
    Floats even{}, odd{};
    for (int lane = 0; lane < kLanes; lane += 2) {
      even += values[lane] * load(weights + lane * kLanes);
      odd += values[lane + 1] * load(weights + (lane + 1) * kLanes);
    }
    return even + odd;
  }

  void add_each(float* row, const float* values, int64_t x) const {
    for (int lane = 0; lane < kLanes && x + lane < geometry_.width; lane++) {
      const float right = across_.share[x + lane] * values[lane];
      row[across_.low[x + lane]] += values[lane] - right;
      row[across_.high[x + lane]] += right;
    }
  }

  const Geometry& geometry_;
  const Axis& across_;
  std::vector<float> weights_;
};

// Rows [y, y + count) of a tile of a strip, which lie between the same two rows of logits.
struct Part {
  int64_t strip, image, y, left;
  int count, used;
};

// Rows [first, last) of an image: of_rows(job, state, down, part) adds to the gradient at two rows of logits, part by part.
template <typename Job, typename OfRows>
Status gradient_of_strip(const Job& job, BackwardState& state, const Axis& down, const Fold& fold, int64_t strip, int64_t image,
                         int64_t first, int64_t last, OfRows of_rows) {
  const Geometry& geometry = job.geometry;
  const int64_t classes = geometry.classes;
  for (int64_t left = 0; left < geometry.width; left += state.columns) {
    const int used = (int)std::min<int64_t>(state.columns, (geometry.width - left + kLanes - 1) / kLanes * kLanes);
    int64_t upper = down.low[first], lower = down.high[first];
    const auto flush = [&](float* from, int64_t row) {
      float* to = job.gradient + (image * classes * geometry.height_in + row) * geometry.width_in;
      if (state.touched) fold(from, to, left, used, state.columns);
    };
    state.rows.start(job.logits + image * classes * geometry.height_in * geometry.width_in, left, used);
    int count;
    for (int64_t y = first; y < last; y += count) {
      if (down.low[y] != upper) {
        flush(state.upper, upper);
        if (down.low[y] == lower) {
          std::swap(state.upper, state.lower);
        } else {
          flush(state.lower, lower);
        }
        upper = down.low[y], lower = down.high[y];
      }
      state.rows.move_to(upper, lower);
      for (count = 0; count < kMostRows && y + count < last && down.low[y + count] == upper; count++) {
        const int64_t row = (image * geometry.height + y + count) * geometry.width;
        if (!read_labels(state.labels[count], job.target + row, left, used, geometry)) return kNoClass;
      }
      of_rows(job, state, down, Part{strip, image, y, left, count, used});
    }
    flush(state.upper, upper);
    flush(state.lower, lower);
    state.touched = false;
  }
  return kFine;
}

// The fewest rows with which every second strip touches rows of the logits of its own.
inline int64_t separate_strip_rows(const Geometry& geometry, const Axis& down) {
  for (int64_t rows = kStripRows; rows < geometry.height; rows *= 2) {
    bool separate = true;
    for (int64_t first = 0; first + 2 * rows < geometry.height; first += rows) {
      separate = separate && down.high[first + rows - 1] < down.low[first + 2 * rows];
    }
    if (separate) return rows;
  }
  return geometry.height;
}

inline int64_t most_strips(const Geometry& geometry) {
  return geometry.images * ((geometry.height + kStripRows - 1) / kStripRows);
}

// Sets the gradient to 0 and goes over all rows of all images with of_rows, as above. Strips are numbered below `most_strips`.
template <typename Job, typename OfRows>
Status over_gradient(const Job& job, OfRows of_rows) {
  const Geometry& geometry = job.geometry;
  const int columns = columns_of_tile(geometry.classes);
  const Axis down(geometry.height_in, geometry.height, geometry.align_corners, 0);
  const Axis across(geometry.width_in, geometry.width, geometry.align_corners, kMostColumns);
  const Fold fold(geometry, across);
  const int64_t rows = separate_strip_rows(geometry, down), strips = (geometry.height + rows - 1) / rows;
  std::fill(job.gradient, job.gradient + geometry.images * geometry.classes * geometry.height_in * geometry.width_in, 0.0f);
  Status status = kFine;
  for (int64_t parity = 0; parity < 2 && status == kFine; parity++) {  // even strips, then odd ones: no two write one row
    const int64_t each = (strips - parity + 1) / 2;
    status = on_threads(
        geometry.images * each, geometry.threads,
        [&] { return std::make_unique<BackwardState>(geometry, across, columns); },
        [&](auto& state, int64_t task) {
          const int64_t image = task / each, strip = 2 * (task % each) + parity, first = strip * rows;
          const int64_t last = std::min(geometry.height, first + rows);
          return gradient_of_strip(job, *state, down, fold, image * strips + strip, image, first, last, of_rows);
        });
  }
  return status;
}

}  // namespace rayseg
