// Counting pairs of labels, what was taken for what. Neighbours are mostly alike, so runs of equal pairs are counted.
#pragma once

#include <mutex>

#include "tiles.h"

namespace rayseg {

// Bit i: whether value i of 64 differs from the one before it.
inline uint64_t changes(const uint8_t* values) {
#if defined(__AVX512BW__)
  return _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(values), _mm512_loadu_si512(values - 1));
#elif defined(__SSE2__)
  uint64_t same = 0;
  for (int i = 0; i < 64; i += 16) {
    const __m128i here = _mm_loadu_si128((const __m128i*)(values + i)), before = _mm_loadu_si128((const __m128i*)(values + i - 1));
    same |= (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(here, before)) << i;
  }
  return ~same;
#else
  uint64_t found = 0;
  for (int i = 0; i < 64; i++) found |= (uint64_t)(values[i] != values[i - 1]) << i;
  return found;
#endif
}

// The lowest bytes of labels; false where one has others. The next page is asked for, which the machine itself does too late.
inline bool narrow(const int64_t* from, int64_t count, uint8_t* to) {
  uint64_t bits = 0;
  int64_t i = 0;
#if defined(__AVX512F__)
  __m512i all{};
  for (; i + 8 <= count; i += 8) {
    __builtin_prefetch(from + i + 512);
    const __m512i labels = _mm512_loadu_si512(from + i);
    all |= labels;
    _mm_storel_epi64((__m128i*)(to + i), _mm512_cvtepi64_epi8(labels));
  }
  bits = _mm512_reduce_or_epi64(all);
#endif
  for (; i < count; i++) bits |= (uint64_t)from[i], to[i] = (uint8_t)from[i];
  return bits < 256;
}

// The counts of one thread: rows are the truth, that is the classes, what is not labelled, and what is no class.
class PairCounts {
 public:
  PairCounts(int64_t classes, int64_t ignore_index, int64_t* totals, bool* wrong, std::mutex& guard)
      : classes_(classes), table_((classes + 2) * kColumns, 0), totals_(totals), wrong_(wrong), guard_(guard) {
    for (int64_t label = 0; label < kColumns; label++) row_[label] = (uint32_t)std::min(label, classes + 1) * kColumns;
    if (classes < kColumns) row_[classes] = (uint32_t)(classes + 1) * kColumns;
    if (ignore_index >= 0 && ignore_index < kColumns) row_[ignore_index] = (uint32_t)classes * kColumns;
  }
  ~PairCounts() { drain(); }
  PairCounts(const PairCounts&) = delete;
  PairCounts& operator=(const PairCounts&) = delete;

  void add(const uint8_t* target, const uint8_t* prediction, int64_t count) {
    if ((pending_ += count) > kMostPending) drain(), pending_ = count;
    int64_t begin = 0, x = 1;
    const auto finish = [&](int64_t end) {
      table_[row_[target[begin]] + prediction[begin]] += (uint32_t)(end - begin);
      begin = end;
    };
    for (; x + 64 <= count; x += 64) {
      for (uint64_t at = changes(target + x) | changes(prediction + x); at != 0; at &= at - 1) finish(x + __builtin_ctzll(at));
    }
    for (; x < count; x++) {
      if (target[x] != target[begin] || prediction[x] != prediction[begin]) finish(x);
    }
    if (count > 0) finish(count);
  }

 private:
  static constexpr int64_t kColumns = 256, kMostPending = int64_t{1} << 31;

  void drain() {
    const std::lock_guard<std::mutex> alone(guard_);
    for (int64_t row = 0; row < classes_ + 2; row++) {
      for (int64_t column = 0; column < kColumns; column++) {
        const uint32_t count = table_[row * kColumns + column];
        *wrong_ |= count != 0 && (row > classes_ || column >= classes_);
        if (row < classes_ && column < classes_) totals_[row * classes_ + column] += count;
      }
    }
    std::fill(table_.begin(), table_.end(), 0);
  }

  const int64_t classes_;
  uint32_t row_[kColumns];
  std::vector<uint32_t> table_;
  int64_t* totals_;
  bool* wrong_;
  std::mutex& guard_;
  int64_t pending_ = 0;
};

// Labels as bytes: as they are, or narrowed into `to`; null where one needs more.
inline const uint8_t* as_bytes(const void* labels, int bytes, int64_t first, int64_t count, uint8_t* to) {
  if (bytes == 1) return (const uint8_t*)labels + first;
  return narrow((const int64_t*)labels + first, count, to) ? to : nullptr;
}

}  // namespace rayseg
