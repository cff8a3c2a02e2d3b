// The statistics of upsampled logits (see ../statistics.py) on a CPU: logits at full size exist for one tile at a time.
//
// A task is a strip of rows of one image. Strips do not depend on the number of threads, and sums are added up in the order of
// strips, so neither do the results.
#include "cross_entropy.h"
#include "maps.h"

namespace rayseg {
namespace {

constexpr int kSums = 6;  // intersection, prediction, prediction squared, target; the second and third again for void

struct Forward {
  const Geometry& geometry;
  const float* logits;
  const int64_t* target;
  bool sums, void_sums;
  float *nll, *mean_nll;
};

// What a thread needs to go over tiles.
struct ForwardState {
  RowPair rows;
  Buffer values, labelled, ignored, partial;
  const int columns;
  int32_t labels[kMostColumns];

  ForwardState(const Geometry& geometry, const Axis& across, int columns)
      : rows(geometry, across, columns), values(geometry.classes * columns), labelled(columns), ignored(columns),
        partial(geometry.classes * 4 * kLanes), columns(columns) {}
};

// Of a label that stays the same for a while: the sum of its probability, and the number of its pixels.
struct Run {
  double* sums;
  int64_t classes;
  int32_t label = kVoid;
  Floats probability{};
  int64_t pixels = 0;

  void add(int32_t new_label, Floats more) {
    if (new_label != label) finish(), label = new_label;
    probability += more;
    pixels += kLanes;
  }

  void finish() {
    if (pixels > 0) sums[label] += sum_of_lanes(probability), sums[3 * classes + label] += (double)pixels;
    probability = Floats{}, pixels = 0;
  }
};

// The values of a (C, columns) array at the label of each lane; of class 0 where there is none.
inline Floats at_labels(const float* values, const int32_t* labels, int columns) {
  if (labels[0] >= 0 && is_uniform(labels)) return load(values + labels[0] * columns);
  float found[kLanes];
  for (int lane = 0; lane < kLanes; lane++) found[lane] = values[std::max(labels[lane], 0) * columns + lane];
  return load(found);
}

// Writes exp(z - max) to `values`; returns max, and adds to the sums of exp(z - max) and of z - max over the classes.
template <bool kMean>
Floats exponentials(const RowPair& rows, float share, float* values, int64_t classes, int columns, int x,
                    const int32_t* labels, Floats* at_label, Floats* sum, Floats* sum_of_logits) {
  const float *upper = rows.upper() + x, *lower = rows.lower() + x;
  Floats largest = all(-3e38f);
  for (int64_t c = 0; c < classes; c++) {
    const Floats top = load(upper + c * columns), bottom = load(lower + c * columns);
    const Floats z = top + share * (bottom - top);
    store(values + c * columns, z);
    largest = largest > z ? largest : z;
  }
  *at_label = at_labels(values, labels, columns) - largest;
  for (int64_t c = 0; c < classes; c++) {
    const Floats difference = load(values + c * columns) - largest;
    const Floats power = exponential(difference);
    if (kMean) *sum_of_logits += difference;
    *sum += power;
    store(values + c * columns, power);
  }
  return largest;
}

// nll, mean_nll and what the sums need, for kLanes pixels of a row.
void forward_lanes(const Forward& job, ForwardState& state, Run& run, float share, int x, int64_t at, int64_t count) {
  const int64_t classes = job.geometry.classes;
  const int columns = state.columns;
  const int32_t* labels = state.labels + x;
  const Ints label = load(labels), labelled = label >= 0;
  const bool needed = any(labelled) || (job.void_sums && any(label == kVoid));
  Floats nll{}, mean{}, inverse{};
  if (needed) {
    Floats at_label{}, sum{}, sum_of_logits{};
    float* values = state.values.data() + x;
    if (job.mean_nll == nullptr) {
      exponentials<false>(state.rows, share, values, classes, columns, x, labels, &at_label, &sum, &sum_of_logits);
    } else {
      exponentials<true>(state.rows, share, values, classes, columns, x, labels, &at_label, &sum, &sum_of_logits);
    }
    const Floats log_sum = logarithm(sum);
    nll = log_sum - at_label;
    nll = labelled & ~(nll < 0.0f) ? nll : Floats{};
    mean = labelled ? log_sum - sum_of_logits * (1.0f / classes) : Floats{};
    inverse = 1.0f / sum;
  }
  store_some(job.nll + at, nll, count);
  if (job.mean_nll != nullptr) store_some(job.mean_nll + at, mean, count);
  if (!job.sums) return;
  const Floats weight = labelled ? inverse : Floats{};
  store(state.labelled.data() + x, weight);
  store(state.ignored.data() + x, label == kVoid ? inverse : Floats{});
  if (!any(labelled)) return;
  const Floats probability = at_labels(state.values.data() + x, labels, columns) * weight;
  if (labels[0] >= 0 && is_uniform(labels)) return run.add(labels[0], probability);
  for (int lane = 0; lane < kLanes; lane++) {
    if (labels[lane] < 0) continue;
    run.sums[labels[lane]] += probability[lane];
    run.sums[3 * classes + labels[lane]] += 1;
  }
}

// Adds p and p squared of a row to the sums of lanes, where p is a value times its weight.
void add_row(const float* values, const float* weights, float* partial, int64_t classes, int columns, int used) {
  for (int64_t c = 0; c < classes; c++) {
    Floats sum = load(partial + 2 * c * kLanes), squares = load(partial + (2 * c + 1) * kLanes);
    for (int x = 0; x < used; x += kLanes) {
      const Floats probability = load(values + c * columns + x) * load(weights + x);
      sum += probability;
      squares += probability * probability;
    }
    store(partial + 2 * c * kLanes, sum);
    store(partial + (2 * c + 1) * kLanes, squares);
  }
}

// The sums of lanes of a tile, added to those of the strip, and set to 0.
void drain(float* partial, double* sums, int64_t classes) {
  for (int64_t c = 0; c < classes; c++) {
    sums[c] += sum_of_lanes(load(partial + 2 * c * kLanes));
    sums[classes + c] += sum_of_lanes(load(partial + (2 * c + 1) * kLanes));
  }
  std::fill(partial, partial + 2 * classes * kLanes, 0.0f);
}

Status forward_strip(const Forward& job, ForwardState& state, const Axis& down, int64_t image, int64_t first, double* sums) {
  const Geometry& geometry = job.geometry;
  const int64_t classes = geometry.classes, last = std::min(geometry.height, first + kStripRows);
  float *partial = state.partial.data(), *void_partial = partial + 2 * classes * kLanes;
  Run run{sums, classes};
  for (int64_t left = 0; left < geometry.width; left += state.columns) {
    const int used = (int)std::min<int64_t>(state.columns, (geometry.width - left + kLanes - 1) / kLanes * kLanes);
    state.rows.start(job.logits + image * classes * geometry.height_in * geometry.width_in, left, used);
    for (int64_t y = first; y < last; y++) {
      const int64_t row = (image * geometry.height + y) * geometry.width;
      state.rows.move_to(down.low[y], down.high[y]);
      if (!read_labels(state.labels, job.target + row, left, used, geometry)) return kNoClass;
      for (int x = 0; x < used; x += kLanes) {
        forward_lanes(job, state, run, down.share[y], x, row + left + x, geometry.width - left - x);
      }
      if (job.sums) add_row(state.values.data(), state.labelled.data(), partial, classes, state.columns, used);
      if (job.void_sums) add_row(state.values.data(), state.ignored.data(), void_partial, classes, state.columns, used);
    }
    if (job.sums) drain(partial, sums + classes, classes);
    if (job.void_sums) drain(void_partial, sums + 4 * classes, classes);
  }
  run.finish();
  return kFine;
}

struct Backward {
  const Geometry& geometry;
  const float* logits;
  const int64_t* target;
  bool void_sums;
  const float *nll, *of_nll, *of_mean, *of_sums;
  float* gradient;
};

// log of the sum of exponentials where there is no nll to tell it.
Floats log_sum_of(const RowPair& rows, float share, float* values, int64_t classes, int columns, int x, const int32_t* labels) {
  Floats at_label, sum{}, unused{};
  const Floats largest = exponentials<false>(rows, share, values, classes, columns, x, labels, &at_label, &sum, &unused);
  return logarithm(sum) + largest;
}

// Of kLanes pixels of a row.
struct Slopes {
  Ints label;
  Floats log_sum, through, of_nll, of_mean, of_hit;  // the last times p at the label
  float share;
};

Floats probability_of(const Between& between, const Slopes& slopes) {
  return exponential(between.logit(slopes.share) - slopes.log_sum);
}

// Without sums: p times `through`, less of_nll at the label, less the share of of_mean.
template <int kRows, bool kMean>
void backward_of_pixels(BackwardState& state, const Slopes* slopes, int64_t classes, int x) {
  for (int64_t c = 0; c < classes; c++) {
    Between between(state, c * state.columns + x);
    for (int row = 0; row < kRows; row++) {
      Floats slope = slopes[row].through * probability_of(between, slopes[row]);
      slope = slopes[row].label == (int32_t)c ? slope - slopes[row].of_nll : slope;
      if (kMean) slope -= slopes[row].of_mean * (1.0f / classes);
      between.add(slope, slopes[row].share);
    }
    between.finish(state);
  }
}

// With sums: of_sums is (6, C). Lanes that are void look at the last two rows of it, if `void_sums`.
template <int kRows, bool kVoidLanes>
void backward_of_sums(BackwardState& state, const Slopes* slopes, const float* of_sums, int64_t classes, int x) {
  const auto slope_of_sums = [&](int64_t c, Floats probability, Ints label) {
    const Floats inside = of_sums[classes + c] + (2 * of_sums[2 * classes + c]) * probability;
    if (!kVoidLanes) return inside;
    const Floats outside = of_sums[4 * classes + c] + (2 * of_sums[5 * classes + c]) * probability;
    return label >= 0 ? inside : (label == kVoid ? outside : Floats{});
  };
  float* values = state.values.data();  // (C, kRows, kLanes)
  Floats through[kRows]{}, extra[kRows];
  for (int64_t c = 0; c < classes; c++) {
    const Between between(state, c * state.columns + x);
    for (int row = 0; row < kRows; row++) {
      const Floats probability = probability_of(between, slopes[row]);
      store(values + (c * kRows + row) * kLanes, probability);
      through[row] -= probability * slope_of_sums(c, probability, slopes[row].label);
    }
  }
  for (int row = 0; row < kRows; row++) {
    through[row] += slopes[row].through - slopes[row].of_hit;
    extra[row] = slopes[row].of_hit - slopes[row].of_nll;
  }
  for (int64_t c = 0; c < classes; c++) {
    Between between(state, c * state.columns + x);
    for (int row = 0; row < kRows; row++) {
      const Floats probability = load(values + (c * kRows + row) * kLanes);
      const Floats slope = probability * (slope_of_sums(c, probability, slopes[row].label) + through[row]);
      between.add((slopes[row].label == (int32_t)c ? slope + extra[row] : slope) - slopes[row].of_mean * (1.0f / classes),
                  slopes[row].share);
    }
    between.finish(state);
  }
}

// What is known of kLanes pixels before classes are looked at; false where they add nothing.
bool slopes_of(const Backward& job, BackwardState& state, const int32_t* labels, const float* of_sums, float share, int x, int64_t at,
               int64_t count, Slopes* slopes) {
  __builtin_prefetch(job.nll + at + kMostRows * job.geometry.width);
  if (job.of_nll != nullptr) __builtin_prefetch(job.of_nll + at + kMostRows * job.geometry.width);
  const Ints label = load(labels), labelled = label >= 0;
  const Floats nothing{};
  const Floats of_nll = job.of_nll == nullptr || !any(labelled) ? nothing : labelled ? load_some(job.of_nll + at, count) : nothing;
  const Floats of_mean = job.of_mean == nullptr || !any(labelled) ? nothing : labelled ? load_some(job.of_mean + at, count) : nothing;
  const bool of_void = job.void_sums && any(label == kVoid);
  const bool needed = job.of_sums != nullptr ? any(labelled) || of_void : any((of_nll != 0.0f) | (of_mean != 0.0f));
  if (!needed) return false;
  Floats top{}, bottom{}, of_hit{};
  each_label(labels, [&](int32_t one, Ints here) {
    top = here ? load(state.rows.upper() + one * state.columns + x) : top;
    bottom = here ? load(state.rows.lower() + one * state.columns + x) : bottom;
    if (of_sums != nullptr) of_hit = here ? all(of_sums[one]) : of_hit;
  });
  const Floats at_label = top + share * (bottom - top);
  Floats log_sum = at_label + load_some(job.nll + at, count);
  if (of_void) log_sum = log_sum_of(state.rows, share, state.values.data(), job.geometry.classes, state.columns, x, labels);
  log_sum = labelled | (of_void & (label == kVoid)) ? log_sum : all(3e38f);  // where nothing is wanted, p is 0
  of_hit *= exponential(at_label - log_sum);
  *slopes = Slopes{label, log_sum, of_nll + of_mean, of_nll, of_mean, of_hit, share};
  return true;
}

template <int kRows>
void backward_rows(const Backward& job, BackwardState& state, const Slopes* slopes, const float* of_sums, int x) {
  const int64_t classes = job.geometry.classes;
  if (of_sums == nullptr && job.of_mean == nullptr) return backward_of_pixels<kRows, false>(state, slopes, classes, x);
  if (of_sums == nullptr) return backward_of_pixels<kRows, true>(state, slopes, classes, x);
  Ints outside{};
  for (int row = 0; row < kRows; row++) outside |= slopes[row].label < 0;
  if (any(outside)) return backward_of_sums<kRows, true>(state, slopes, of_sums, classes, x);
  backward_of_sums<kRows, false>(state, slopes, of_sums, classes, x);
}

// The gradient of a part.
void backward_of_rows(const Backward& job, BackwardState& state, const Axis& down, const Part& part) {
  const Geometry& geometry = job.geometry;
  const float* of_sums = job.of_sums == nullptr ? nullptr : job.of_sums + part.image * kSums * geometry.classes;
  for (int x = 0; x < part.used; x += kLanes) {
    Slopes slopes[kMostRows];
    int needed = 0;
    for (int row = 0; row < part.count; row++) {
      const int64_t at = (part.image * geometry.height + part.y + row) * geometry.width + part.left + x;
      const int64_t inside = geometry.width - part.left - x;
      const int32_t* labels = state.labels[row] + x;
      needed += slopes_of(job, state, labels, of_sums, down.share[part.y + row], x, at, inside, slopes + needed);
    }
    state.touched |= needed > 0;
    const Slopes* next = slopes;
    if (needed == 4) backward_rows<4>(job, state, next, of_sums, x), needed = 0;
    if (needed >= 2) backward_rows<2>(job, state, next, of_sums, x), needed -= 2, next += 2;
    if (needed > 0) backward_rows<1>(job, state, next, of_sums, x);
  }
}

constexpr int kDigitBits = 11, kDigits = 1 << kDigitBits, kTables = 4;
constexpr int64_t kMostCounted = int64_t{1} << 30;

// Several tables, so that equal digits in a row need not wait for each other; the last entry is for what is not counted.
template <bool kPrefix>
void count_digits(const int32_t* bits, int64_t count, int shift, int64_t prefix, int64_t* counts) {
  uint32_t tables[kTables][kDigits + 1] = {};
  const auto add = [&](int64_t i, int table) {
    const uint64_t value = (uint32_t)bits[i] & 0x7fffffffu;
    const uint32_t digit = (uint32_t)(value >> shift) & (kDigits - 1);
    tables[table][kPrefix && (int64_t)(value >> (shift + kDigitBits)) != prefix ? kDigits : digit]++;
  };
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    if (kPrefix && !any(((load(bits + i) & 0x7fffffff) >> (shift + kDigitBits)) == (int32_t)prefix)) continue;
    for (int lane = 0; lane < kLanes; lane++) add(i + lane, lane % kTables);
  }
  for (; i < count; i++) add(i, 0);
  for (int digit = 0; digit < kDigits; digit++) {
    for (int table = 0; table < kTables; table++) counts[digit] += tables[table][digit];
  }
}

}  // namespace
}  // namespace rayseg

extern "C" {

using namespace rayseg;

// nll and mean_nll are (N, H, W), sums is (N, 6, C); the last two may be null.
int rayseg_forward(const Geometry* geometry, const float* logits, const int64_t* target, int void_sums, float* nll,
                   float* mean_nll, double* sums) try {
  const int columns = columns_of_tile(geometry->classes);
  const Axis down(geometry->height_in, geometry->height, geometry->align_corners, 0);
  const Axis across(geometry->width_in, geometry->width, geometry->align_corners, kMostColumns);
  const Forward job{*geometry, logits, target, sums != nullptr, sums != nullptr && void_sums, nll, mean_nll};
  const int64_t strips = (geometry->height + kStripRows - 1) / kStripRows, size = kSums * geometry->classes;
  std::vector<double> partial(geometry->images * strips * size, 0.0);
  const Status status = on_threads(
      geometry->images * strips, geometry->threads,
      [&] { return std::make_unique<ForwardState>(*geometry, across, columns); },
      [&](auto& state, int64_t task) {
        return forward_strip(job, *state, down, task / strips, task % strips * kStripRows, &partial[task * size]);
      });
  if (sums != nullptr && status == kFine) {
    std::fill(sums, sums + geometry->images * size, 0.0);
    for (int64_t task = 0; task < geometry->images * strips; task++) {
      for (int64_t i = 0; i < size; i++) sums[task / strips * size + i] += partial[task * size + i];
    }
  }
  return status;
} catch (const std::exception&) {
  return kNoMemory;
}

// gradient is (N, C, h, w); of_nll, of_mean (N, H, W) and of_sums (N, 6, C) may be null.
int rayseg_backward(const Geometry* geometry, const float* logits, const int64_t* target, int void_sums, const float* nll,
                    const float* of_nll, const float* of_mean, const float* of_sums, float* gradient) try {
  const Backward job{*geometry, logits, target, of_sums != nullptr && void_sums, nll, of_nll, of_mean, of_sums, gradient};
  return over_gradient(job, backward_of_rows);
} catch (const std::exception&) {
  return kNoMemory;
}

// Cross-entropy of labelled pixels, each times the weight of its label: the sum in sums[0], that of the weights in sums[1]. weights
// is (C,); gradient, that of sums[0], is (N, C, h, w).
int rayseg_cross_entropy(const Geometry* geometry, const float* logits, const int64_t* target, const float* weights, float smoothing,
                         double* sums, float* gradient) try {
  std::vector<double> of_strips(2 * most_strips(*geometry), 0.0);
  const Summing job{*geometry, logits, target, weights, smoothing, gradient, of_strips.data()};
  const Status status = over_gradient(job, sum_of_rows);
  sums[0] = sums[1] = 0;
  for (size_t i = 0; i < of_strips.size(); i++) sums[i % 2] += of_strips[i];
  return status;
} catch (const std::exception&) {
  return kNoMemory;
}

// How often each digit of 11 bits occurs at a place among the values, less their signs, that have the prefix above it; without
// one, among all.
void rayseg_digit_counts(const int32_t* bits, int64_t count, int place, const int64_t* prefix, int64_t* counts) {
  std::fill(counts, counts + kDigits, 0);
  const int shift = place * kDigitBits;
  for (int64_t first = 0; first < count; first += kMostCounted) {
    const int64_t size = std::min(kMostCounted, count - first);
    if (prefix == nullptr) {
      count_digits<false>(bits + first, size, shift, 0, counts);
    } else {
      count_digits<true>(bits + first, size, shift, *prefix, counts);
    }
  }
}

// Sum of values times weights, of 0 or 1; a value that is no number is seen whatever its weight.
double rayseg_sum_of_products(const float* values, const uint8_t* weights, int64_t count) {
  return sum_of_products(values, weights, count);
}

// The weights times a factor.
void rayseg_scaled(const uint8_t* weights, float factor, int64_t count, float* out) {
  for (int64_t i = 0; i < count; i++) out[i] = (float)weights[i] * factor;
}

// 1 where a value is below the bound and its weight is 1, in place of the values; 0 elsewhere.
void rayseg_below(float* values, const uint8_t* weights, float bound, int64_t count) {
  for (int64_t i = 0; i < count; i++) values[i] = (values[i] < bound) & weights[i] ? 1.0f : 0.0f;
}

// 0 in place of the values whose weight is 0.
void rayseg_zero_unless(float* values, const uint8_t* weights, int64_t count) {
  for (int64_t i = 0; i < count; i++) values[i] = weights[i] ? values[i] : 0.0f;
}

// How many weights are 1.
int64_t rayseg_count(const uint8_t* weights, int64_t count) { return count_of_ones(weights, count); }

}  // extern "C"
