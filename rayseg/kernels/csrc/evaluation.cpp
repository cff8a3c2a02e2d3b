// Confusion matrices (see ../scoring.py) on a CPU: of logits that are upsampled a tile at a time, and of labels.
//
// Every thread counts for itself; the counts are whole numbers, so neither the order of tasks nor the number of threads matters.
#include "pairs.h"

namespace rayseg {
namespace {

constexpr int64_t kStripRows = 32, kBlock = 1 << 16, kPiece = 1 << 9, kMostClasses = 256;
constexpr int kTables = 4, kAtOnce = 4;
constexpr int64_t kMostPending = int64_t{1} << 31;

// The matrix of one thread: rows are the truth, with one more for what is not labelled, columns the prediction.
class Counts {
 public:
  Counts(int64_t classes, int64_t* totals, std::mutex& guard)
      : size_((classes + 1) * classes), counted_(size_ - classes), table_(kTables * size_, 0), totals_(totals), guard_(guard) {}
  ~Counts() { drain(); }
  Counts(const Counts&) = delete;
  Counts& operator=(const Counts&) = delete;

  // Cells of pixels; `count` is a multiple of kLanes. Neighbours are mostly in one cell.
  void add(const int32_t* cells, int count) {
    if ((pending_ += count) > kMostPending) drain(), pending_ = count;
    for (int x = 0; x < count; x += kLanes) {
      if (is_uniform(cells + x)) {
        table_[cells[x]] += kLanes;
      } else {
        for (int lane = 0; lane < kLanes; lane++) table_[(lane % kTables) * size_ + cells[x + lane]]++;
      }
    }
  }

 private:
  void drain() {
    const std::lock_guard<std::mutex> alone(guard_);
    for (int64_t i = 0; i < counted_; i++) {
      for (int table = 0; table < kTables; table++) totals_[i] += table_[table * size_ + i];
    }
    std::fill(table_.begin(), table_.end(), 0);
  }

  const int64_t size_, counted_;
  std::vector<uint32_t> table_;
  int64_t* totals_;
  std::mutex& guard_;
  int64_t pending_ = 0;
};

struct Job {
  const Geometry& geometry;
  const float* logits;
  const int64_t* target;
  int64_t* prediction;
};

struct State {
  Rows<TorchLerp> rows;
  Counts counts;
  const int columns;
  alignas(64) int32_t labels[kMostColumns], classes[kMostColumns];

  State(const Geometry& geometry, const Axis& across, int columns, int64_t* totals, std::mutex& guard)
      : rows(geometry, across, columns), counts(geometry.classes, totals, guard), columns(columns) {}
};

// The first of the largest logits of kMany vectors of pixels, which lie between two rows.
template <int kMany>
void best_classes(const float* upper, const float* lower, Floats share, int64_t classes, int columns, int32_t* best) {
  Floats largest[kMany];
  Ints found[kMany];
  for (int i = 0; i < kMany; i++) {
    largest[i] = TorchLerp::between(load(upper + i * kLanes), load(lower + i * kLanes), share);
    found[i] = Ints{};
  }
  for (int64_t c = 1; c < classes; c++) {
    for (int i = 0; i < kMany; i++) {
      const int64_t at = c * columns + i * kLanes;
      const Floats z = TorchLerp::between(load(upper + at), load(lower + at), share);
      const Ints more = z > largest[i];
      found[i] = more ? Ints{} + (int32_t)c : found[i];
      largest[i] = more ? z : largest[i];
    }
  }
  for (int i = 0; i < kMany; i++) std::memcpy(best + i * kLanes, &found[i], VBYTES);
}

// Counts a row of a tile, and writes down what was predicted.
void count_row(const Job& job, State& state, int64_t row, int64_t left, int used) {
  const int32_t classes = (int32_t)job.geometry.classes;
  if (job.prediction != nullptr) {
    const int inside = (int)std::min<int64_t>(used, job.geometry.width - left);
    for (int x = 0; x < inside; x++) job.prediction[row + left + x] = state.classes[x];
  }
  for (int x = 0; x < used; x++) {
    const int32_t truth = state.labels[x] < 0 ? classes : state.labels[x];
    state.labels[x] = truth * classes + state.classes[x];
  }
  state.counts.add(state.labels, used);
}

Status upsampled_strip(const Job& job, State& state, const Axis& down, int64_t image, int64_t first) {
  const Geometry& geometry = job.geometry;
  const int64_t classes = geometry.classes, last = std::min(geometry.height, first + kStripRows);
  for (int64_t left = 0; left < geometry.width; left += state.columns) {
    const int used = (int)std::min<int64_t>(state.columns, (geometry.width - left + kLanes - 1) / kLanes * kLanes);
    state.rows.start(job.logits + image * classes * geometry.height_in * geometry.width_in, left, used);
    for (int64_t y = first; y < last; y++) {
      const int64_t row = (image * geometry.height + y) * geometry.width;
      state.rows.move_to(down.low[y], down.high[y]);
      if (!read_labels(state.labels, job.target + row, left, used, geometry)) return kNoClass;
      const Floats share = all(down.share[y]);
      int x = 0;
      for (; x + kAtOnce * kLanes <= used; x += kAtOnce * kLanes) {
        best_classes<kAtOnce>(state.rows.upper() + x, state.rows.lower() + x, share, classes, state.columns, state.classes + x);
      }
      for (; x < used; x += kLanes) {
        best_classes<1>(state.rows.upper() + x, state.rows.lower() + x, share, classes, state.columns, state.classes + x);
      }
      count_row(job, state, row, left, used);
    }
  }
  return kFine;
}

// The same where the logits have the size of the labels; NaN is an answer of its own.
Status full_strip(const Job& job, State& state, int64_t image, int64_t first) {
  const Geometry& geometry = job.geometry;
  const int64_t plane = geometry.height * geometry.width, last = std::min(geometry.height, first + kStripRows);
  alignas(64) float largest[kMostColumns];
  for (int64_t y = first; y < last; y++) {
    for (int64_t left = 0; left < geometry.width; left += kMostColumns) {
      const int inside = (int)std::min<int64_t>(kMostColumns, geometry.width - left);
      const int used = (inside + kLanes - 1) / kLanes * kLanes;
      const float* from = job.logits + image * geometry.classes * plane + y * geometry.width + left;
      std::fill(state.classes, state.classes + used, 0);
      std::copy(from, from + inside, largest);
      int32_t unknown = 0;
      for (int x = 0; x < inside; x++) unknown |= !(largest[x] == largest[x]);
      for (int64_t c = 1; c < geometry.classes; c++) {
        const float* z = from + c * plane;
        for (int x = 0; x < inside; x++) {
          const bool more = z[x] > largest[x];
          unknown |= !(z[x] == z[x]);
          state.classes[x] = more ? (int32_t)c : state.classes[x];
          largest[x] = more ? z[x] : largest[x];
        }
      }
      if (unknown) return kNotFinite;
      const int64_t row = (image * geometry.height + y) * geometry.width;
      if (!read_labels(state.labels, job.target + row, left, used, geometry)) return kNoClass;
      count_row(job, state, row, left, used);
    }
  }
  return kFine;
}

bool is_finite(const float* values, int64_t count) {
  int32_t wrong = 0;
  for (int64_t i = 0; i < count; i++) wrong |= !(values[i] - values[i] == 0.0f);
  return wrong == 0;
}

// Cells of pixels, -1 to fill up the last vector; false where one is no class.
template <typename Predicted, typename Label>
bool cells_of(const Predicted* prediction, const Label* target, int count, int64_t classes, int64_t ignore_index, int32_t* cells) {
  int64_t wrong = 0;
  for (int x = 0; x < count; x++) {
    const int64_t label = target[x], predicted = prediction[x];
    const bool ignored = label == ignore_index;
    wrong |= (!ignored & ((uint64_t)label >= (uint64_t)classes)) | ((uint64_t)predicted >= (uint64_t)classes);
    cells[x] = (int32_t)(ignored ? classes : label) * (int32_t)classes + (int32_t)predicted;
  }
  return wrong == 0;
}

// The same of labels that fit into bytes.
Status count_bytes(const void* prediction, int prediction_bytes, const void* target, int target_bytes, int64_t size,
                   int64_t classes, int64_t ignore_index, int threads, int64_t* totals) {
  std::mutex guard;
  bool wrong = false;
  const int64_t piece = prediction_bytes == 1 && target_bytes == 1 ? kBlock : kPiece;
  const Status status = on_threads(
      (size + kBlock - 1) / kBlock, threads,
      [&] { return std::make_unique<PairCounts>(classes, ignore_index, totals, &wrong, guard); },
      [&](auto& counts, int64_t task) {
        alignas(64) uint8_t of_target[kPiece], of_prediction[kPiece];
        for (int64_t at = task * kBlock; at < std::min(size, (task + 1) * kBlock); at += piece) {
          const int64_t count = std::min(piece, size - at);
          const uint8_t* truth = as_bytes(target, target_bytes, at, count, of_target);
          const uint8_t* predicted = as_bytes(prediction, prediction_bytes, at, count, of_prediction);
          if (truth == nullptr || predicted == nullptr) return kNoClass;
          counts->add(truth, predicted, count);
        }
        return kFine;
      });
  return wrong ? kNoClass : status;
}

template <typename Predicted, typename Label>
Status count_labels(const void* prediction, const void* target, int64_t size, int64_t classes, int64_t ignore_index, int threads,
                    int64_t* totals) {
  std::mutex guard;
  return on_threads(
      (size + kBlock - 1) / kBlock, threads, [&] { return std::make_unique<Counts>(classes, totals, guard); },
      [&](auto& counts, int64_t task) {
        alignas(64) int32_t cells[kMostColumns];
        for (int64_t at = task * kBlock; at < std::min(size, (task + 1) * kBlock); at += kMostColumns) {
          const int inside = (int)std::min<int64_t>(kMostColumns, size - at), used = (inside + kLanes - 1) / kLanes * kLanes;
          std::fill(cells + inside, cells + used, (int32_t)(classes * classes));
          if (!cells_of((const Predicted*)prediction + at, (const Label*)target + at, inside, classes, ignore_index, cells)) {
            return kNoClass;
          }
          counts->add(cells, used);
        }
        return kFine;
      });
}

}  // namespace
}  // namespace rayseg

extern "C" {

using namespace rayseg;

// totals is (C, C); prediction is (N, H, W), or null.
int rayseg_confusion_of_logits(const Geometry* geometry, const float* logits, const int64_t* target, int64_t* prediction,
                               int64_t* totals) try {
  const bool full = geometry->height_in == geometry->height && geometry->width_in == geometry->width;
  if (!full && !is_finite(logits, geometry->images * geometry->classes * geometry->height_in * geometry->width_in)) {
    return kNotFinite;
  }
  const int columns = columns_of_tile(geometry->classes);
  const Axis down = axis_of_torch(geometry->height_in, geometry->height, 0);
  const Axis across = axis_of_torch(geometry->width_in, geometry->width, kMostColumns);
  const Job job{*geometry, logits, target, prediction};
  const int64_t strips = (geometry->height + kStripRows - 1) / kStripRows;
  std::mutex guard;
  std::fill(totals, totals + geometry->classes * geometry->classes, 0);
  return on_threads(
      geometry->images * strips, geometry->threads,
      [&] { return std::make_unique<State>(*geometry, across, columns, totals, guard); },
      [&](auto& state, int64_t task) {
        const int64_t image = task / strips, first = task % strips * kStripRows;
        return full ? full_strip(job, *state, image, first) : upsampled_strip(job, *state, down, image, first);
      });
} catch (const std::exception&) {
  return kNoMemory;
}

// Labels and predictions have 1 or 8 bytes each.
int rayseg_confusion(const void* prediction, int prediction_bytes, const void* target, int target_bytes, int64_t size,
                     int64_t classes, int64_t ignore_index, int threads, int64_t* totals) try {
  std::fill(totals, totals + classes * classes, 0);
  if (classes <= kMostClasses && (target_bytes == 1 || (ignore_index >= 0 && ignore_index < kMostClasses))) {
    return count_bytes(prediction, prediction_bytes, target, target_bytes, size, classes, ignore_index, threads, totals);
  }
  const auto count = prediction_bytes == 1 ? (target_bytes == 1 ? count_labels<uint8_t, uint8_t> : count_labels<uint8_t, int64_t>)
                                           : (target_bytes == 1 ? count_labels<int64_t, uint8_t> : count_labels<int64_t, int64_t>);
  return count(prediction, target, size, classes, ignore_index, threads, totals);
} catch (const std::exception&) {
  return kNoMemory;
}

}  // extern "C"
