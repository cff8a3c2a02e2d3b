// Cross-entropy where the weight of a pixel is that of its label: its sum and what goes back from it, in one pass.
#pragma once

#include "gradient.h"

namespace rayseg {

struct Summing {
  const Geometry& geometry;
  const float* logits;
  const int64_t* target;
  const float* weights;  // of each class
  float smoothing;
  float* gradient;
  double* of_strips;  // of each: the sum of weight times cross-entropy, that of weights
};

// The same of lanes.
struct Sums {
  Floats loss{}, weight{};
};

// Of kLanes pixels of a row.
struct Weighted {
  const int32_t* labels;
  Floats weight;  // 0 where there is no label
  float share;
};

// What goes back to the logits of the labels.
inline void minus_labels(const Summing& job, BackwardState& state, const Weighted& pixels, int x) {
  each_label(pixels.labels, [&](int32_t label, Ints here) {
    const int64_t at = label * state.columns + x;
    const Floats slope = here ? pixels.weight * (1 - job.smoothing) : Floats{}, below = pixels.share * slope;
    store(state.upper + at, load(state.upper + at) - (slope - below));
    store(state.lower + at, load(state.lower + at) - below);
  });
}

// The cross-entropy of each pixel, given its largest logit, and the sums over classes of exp(z - largest) and of z - largest.
inline Floats smoothed_nll(const Summing& job, const BackwardState& state, const Weighted& pixels, int x, Floats largest, Floats sum,
                           Floats sum_of_logits) {
  Floats top{}, bottom{};
  each_label(pixels.labels, [&](int32_t one, Ints here) {
    top = here ? load(state.rows.upper() + one * state.columns + x) : top;
    bottom = here ? load(state.rows.lower() + one * state.columns + x) : bottom;
  });
  const Floats log_sum = logarithm(sum), nll = log_sum - (top + pixels.share * (bottom - top) - largest);
  const Floats mean = log_sum - sum_of_logits * (1.0f / job.geometry.classes);
  return (1 - job.smoothing) * (nll < 0.0f ? Floats{} : nll) + job.smoothing * mean;
}

// As many rows at once as `pixels` has: their largest logits, their exponentials, and what these send back.
template <int kRows, bool kMean>
void sum_rows(const Summing& job, BackwardState& state, const Weighted* pixels, int x, Sums& sums) {
  const int64_t classes = job.geometry.classes;
  float* values = state.values.data();  // (C, kRows, kLanes)
  Floats largest[kRows], sum[kRows]{}, sum_of_logits[kRows]{}, to_above[kRows], to_below[kRows];
  std::fill(largest, largest + kRows, all(-3e38f));
  for (int64_t c = 0; c < classes; c++) {
    const Between between(state, c * state.columns + x);
    for (int row = 0; row < kRows; row++) {
      const Floats z = between.logit(pixels[row].share);
      largest[row] = largest[row] > z ? largest[row] : z;
    }
  }
  for (int64_t c = 0; c < classes; c++) {
    const Between between(state, c * state.columns + x);
    for (int row = 0; row < kRows; row++) {
      const Floats difference = between.logit(pixels[row].share) - largest[row], power = exponential(difference);
      if (kMean) sum_of_logits[row] += difference;
      sum[row] += power;
      store(values + (c * kRows + row) * kLanes, power);
    }
  }
  Floats to_all_above{}, to_all_below{};
  for (int row = 0; row < kRows; row++) {
    const Floats weight = pixels[row].weight;
    const Floats loss = smoothed_nll(job, state, pixels[row], x, largest[row], sum[row], sum_of_logits[row]);
    sums.weight += weight;
    sums.loss += load(pixels[row].labels) >= 0 ? weight * loss : Floats{};
    minus_labels(job, state, pixels[row], x);
    to_below[row] = pixels[row].share * (weight / sum[row]), to_above[row] = weight / sum[row] - to_below[row];
    const Floats uniform = weight * (job.smoothing / classes);
    to_all_below += pixels[row].share * uniform, to_all_above += (1 - pixels[row].share) * uniform;
  }
  for (int64_t c = 0; c < classes; c++) {
    Floats above = -to_all_above, below = -to_all_below;
    for (int row = 0; row < kRows; row++) {
      const Floats power = load(values + (c * kRows + row) * kLanes);
      above += power * to_above[row];
      below += power * to_below[row];
    }
    const int64_t at = c * state.columns + x;
    store(state.upper + at, load(state.upper + at) + above);
    store(state.lower + at, load(state.lower + at) + below);
  }
}

template <int kRows>
void sum_rows(const Summing& job, BackwardState& state, const Weighted* pixels, int x, Sums& sums) {
  if (job.smoothing != 0) return sum_rows<kRows, true>(job, state, pixels, x, sums);
  sum_rows<kRows, false>(job, state, pixels, x, sums);
}

// A part, added to the sums of its strip.
inline void sum_of_rows(const Summing& job, BackwardState& state, const Axis& down, const Part& part) {
  Sums sums;
  for (int x = 0; x < part.used; x += kLanes) {
    Weighted pixels[kMostRows];
    int needed = 0;
    for (int row = 0; row < part.count; row++) {
      const int32_t* labels = state.labels[row] + x;
      if (!any(load(labels) >= 0)) continue;
      Floats weight{};
      each_label(labels, [&](int32_t one, Ints here) { weight = here ? all(job.weights[one]) : weight; });
      pixels[needed++] = Weighted{labels, weight, down.share[part.y + row]};
    }
    state.touched |= needed > 0;
    const Weighted* next = pixels;
    if (needed == 4) sum_rows<4>(job, state, next, x, sums), needed = 0;
    if (needed >= 2) sum_rows<2>(job, state, next, x, sums), needed -= 2, next += 2;
    if (needed > 0) sum_rows<1>(job, state, next, x, sums);
  }
  double* of_strip = job.of_strips + 2 * part.strip;
  of_strip[0] += sum_of_lanes(sums.loss), of_strip[1] += sum_of_lanes(sums.weight);
}

}  // namespace rayseg
