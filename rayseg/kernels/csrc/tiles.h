// Logits at full size, a tile at a time: where interpolation looks, rows of a tile, labels, tasks on threads.
//
// Letters: C classes, H x W pixels of the labels, h x w pixels of the logits. A tile is some columns of a strip of rows; it is
// as wide as the first cache allows for all classes.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <thread>
#include <vector>
#if defined(__linux__)
#include <unistd.h>
#endif

#include "simd.h"

namespace rayseg {

struct Geometry {
  int64_t images, classes, height_in, width_in, height, width, ignore_index;
  int32_t align_corners, threads;
};

enum Status { kFine = 0, kNoClass = 1, kNoMemory = 2, kNotFinite = 3 };

constexpr int32_t kOutside = -1;  // beyond the end of a row
constexpr int32_t kVoid = -2;
constexpr int kMostColumns = 256;

// Linear interpolation along an axis, as torch's interpolate: value i is that of low[i] and high[i], the latter by share[i].
struct Axis {
  std::vector<int32_t> low, high;
  std::vector<float> share;

  Axis() = default;

  Axis(int64_t size_in, int64_t size_out, bool align_corners, int64_t padding) {
    for (int64_t i = 0; i < size_out + padding; i++) {
      const double at = (double)std::min(i, size_out - 1);
      const double place = align_corners ? (size_out > 1 ? at * (size_in - 1) / (size_out - 1) : 0.0)
                                         : std::max(0.0, (at + 0.5) * size_in / size_out - 0.5);
      const int32_t below = (int32_t)std::min<int64_t>((int64_t)place, size_in - 1);
      low.push_back(below);
      high.push_back((int32_t)std::min<int64_t>(below + 1, size_in - 1));
      share.push_back((float)(place - below));
    }
  }

  // Where a vector of inputs starts that holds all that outputs [i, i + kLanes) are made of; -1 where there is none.
  int32_t window(int64_t i) const {
    const int32_t start = std::min(low[i], high.back() + 1 - kLanes);
    return start >= 0 && high[i + kLanes - 1] - start < kLanes ? start : -1;
  }
};

// The same with the roundings of torch, which computes places in float32.
inline Axis axis_of_torch(int64_t size_in, int64_t size_out, int64_t padding) {
  Axis axis;
  const float scale = (float)size_in / (float)size_out;
  for (int64_t i = 0; i < size_out + padding; i++) {
    const float centre = (float)std::min(i, size_out - 1) + 0.5f;
    volatile float scaled = scale * centre;  // volatile: rounded by itself, not within a fused operation
    const float place = std::max(0.0f, scaled - 0.5f);
    const int32_t below = (int32_t)std::min<int64_t>((int64_t)place, size_in - 1);
    axis.low.push_back(below);
    axis.high.push_back((int32_t)std::min<int64_t>(below + 1, size_in - 1));
    axis.share.push_back(std::min(1.0f, place - (float)below));
  }
  return axis;
}

// What lies between two values: two roundings; and the same with the three of torch.
struct Lerp {
  static Floats between(Floats first, Floats second, Floats share) { return first + share * (second - first); }
  static float between(float first, float second, float share) { return first + share * (second - first); }
};

struct TorchLerp {
  static Floats between(Floats first, Floats second, Floats share) {
    return multiply_add(first, 1.0f - share, second * share);
  }
  static float between(float first, float second, float share) {
    return multiply_add(all(first), all(1.0f - share), all(second * share))[0];
  }
};

// Memory whose start suits vectors.
class Buffer {
 public:
  explicit Buffer(size_t size) : values_(static_cast<float*>(std::aligned_alloc(64, (size * 4 + 64 + 63) / 64 * 64))) {
    if (values_ == nullptr) throw std::bad_alloc();
    std::fill(values_, values_ + size, 0.0f);
  }
  ~Buffer() { std::free(values_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  float* data() { return values_; }

 private:
  float* values_;
};

inline int columns_of_tile(int64_t classes) {
  int columns = kMostColumns;
  while (columns > 2 * kLanes && classes * columns * 4 > 10 * 1024) columns /= 2;
  return columns;
}

// Two rows of the logits at the width of the labels, for the columns of a tile; (C, columns) each.
template <typename Between>
class Rows {
 public:
  Rows(const Geometry& geometry, const Axis& across, int columns)
      : geometry_(geometry), across_(across), columns_(columns), first_(geometry.classes * columns),
        second_(geometry.classes * columns), upper_(first_.data()), lower_(second_.data()) {}

  void start(const float* image, int64_t left, int used) {
    image_ = image, left_ = left, used_ = used, row_ = -1;
  }

  // Rows y and the next; what is there already is kept.
  void move_to(int64_t row, int64_t next) {
    if (row == row_) return;
    if (row_ >= 0 && row == row_ + 1) {
      std::swap(upper_, lower_);
    } else {
      expand(upper_, row);
    }
    expand(lower_, next);
    row_ = row;
  }

  const float* upper() const { return upper_; }
  const float* lower() const { return lower_; }

 private:
  void expand(float* to, int64_t row) const {
    for (int x = 0; x < used_; x += kLanes) expand_lanes(to + x, image_ + row * geometry_.width_in, left_ + x);
  }

  // The columns of kLanes pixels, of every class; what they are made of lies in one vector, if the logits are not the larger.
  void expand_lanes(float* to, const float* from, int64_t x) const {
    const int64_t plane = geometry_.height_in * geometry_.width_in;
    const Floats share = load(&across_.share[x]);
#ifndef __clang__
    const int32_t start = across_.window(x);
    if (start >= 0) {
      const Ints low = load(&across_.low[x]) - start, high = load(&across_.high[x]) - start;
      for (int64_t c = 0; c < geometry_.classes; c++) {
        const float* near = from + c * plane + start;
        __builtin_prefetch(near + geometry_.width_in);
        const Floats left = __builtin_shuffle(load(near), low), right = __builtin_shuffle(load(near), high);
        store(to + c * columns_, Between::between(left, right, share));
      }
      return;
    }
#endif
    for (int64_t c = 0; c < geometry_.classes; c++) {
      for (int lane = 0; lane < kLanes; lane++) {
        const float left = from[c * plane + across_.low[x + lane]], right = from[c * plane + across_.high[x + lane]];
        to[c * columns_ + lane] = Between::between(left, right, share[lane]);
      }
    }
  }

  const Geometry& geometry_;
  const Axis& across_;
  const int columns_;
  Buffer first_, second_;
  float *upper_, *lower_;
  const float* image_ = nullptr;
  int64_t left_ = 0, row_ = -1;
  int used_ = 0;
};

using RowPair = Rows<Lerp>;

inline bool is_uniform(const int32_t* labels) { return !any(load(labels) != labels[0]); }

// Calls use(label, mask) for each label, of 0 or more, that kLanes neighbours have; they are mostly one.
template <typename Use>
inline void each_label(const int32_t* labels, Use use) {
  if (labels[0] >= 0 && is_uniform(labels)) return use(labels[0], ~Ints{});
  const Ints each = load(labels);
  for (uint32_t left = lanes_of(each >= 0); left != 0;) {
    const int32_t label = labels[__builtin_ctz(left)];
    const Ints here = each == label;
    use(label, here);
    left &= ~lanes_of(here);
  }
}

// Labels of the columns of a tile, kVoid where ignored, kOutside beyond the row; false where one is no class. The next row, which
// lies where no prefetching of the machine's own would look, is asked for.
inline bool read_labels(int32_t* labels, const int64_t* from, int64_t left, int used, const Geometry& geometry) {
  const int inside = (int)std::min<int64_t>(used, geometry.width - left);
  for (int x = 0; x < inside; x += 8) __builtin_prefetch(from + left + x + geometry.width);
  int64_t wrong = 0;
  for (int x = 0; x < inside; x++) {
    const int64_t label = from[left + x];
    const bool ignored = label == geometry.ignore_index;
    wrong |= !ignored & ((uint64_t)label >= (uint64_t)geometry.classes);
    labels[x] = ignored ? kVoid : (int32_t)label;
  }
  std::fill(labels + inside, labels + used, kOutside);
  return wrong == 0;
}

// Up to kLanes values of a row that ends after `count` of them.
inline Floats load_some(const float* from, int64_t count) {
  if (count >= kLanes) return load(from);
  Floats values{};
  for (int lane = 0; lane < count; lane++) values[lane] = from[lane];
  return values;
}

inline void store_some(float* to, Floats values, int64_t count) {
  if (count >= kLanes) return store(to, values);
  for (int lane = 0; lane < count; lane++) to[lane] = values[lane];
}

#if defined(__linux__)
// Of the OpenMP that torch computes with, if that is there: calls a function on each of so many threads, and waits for them.
extern "C" void GOMP_parallel(void (*function)(void*), void* data, unsigned threads, unsigned flags) __attribute__((weak));
inline const pid_t kLoadedBy = getpid();
#endif

// Calls run() on so many threads, of torch where it can: these turn for a while after their work, so others have their cores by half.
// A forked process has none of them, and would wait for them for ever.
template <typename Run>
void on_each(int threads, Run run) {
  if (threads <= 1) return run();
#if defined(__linux__)
  if (GOMP_parallel && getpid() == kLoadedBy) {
    return GOMP_parallel([](void* data) { (*static_cast<Run*>(data))(); }, &run, unsigned(threads), 0);
  }
#endif
  std::vector<std::thread> others;
  try {
    for (int i = 1; i < threads; i++) others.emplace_back(run);
  } catch (const std::exception&) {  // no more threads to be had: fewer do the same
  }
  run();
  for (std::thread& other : others) other.join();
}

// Calls work(state, task) for tasks [0, count), each once, from some threads, each with a state of its own.
template <typename MakeState, typename Work>
Status on_threads(int64_t count, int threads, MakeState make_state, Work work) {
  std::atomic<int64_t> next{0};
  std::atomic<int> status{kFine};
  on_each(count > 1 ? threads : 1, [&] {
    if (next >= count) return;
    try {
      auto state = make_state();
      for (int64_t task = next++; task < count && status == kFine; task = next++) {
        if (const Status found = work(state, task); found != kFine) status = found;
      }
    } catch (const std::exception&) {
      status = kNoMemory;
    }
  });
  return (Status)status.load();
}

}  // namespace rayseg
