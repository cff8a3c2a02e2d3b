// Levels to normalised numbers, by a table of 256 for each channel.
#pragma once

#include <cstdint>

namespace rayseg {

inline float normal(uint8_t level, double mean, double inverse) { return float((double(level) - mean) * inverse); }

// A row. Where arithmetic gives all of the table, to the bit, it is quicker than looking them up.
class Normal {
 public:
  Normal(const float* table, double mean, double std) : table_(table), mean_(mean), inverse_(1.0 / std) {
    for (int level = 0; level < 256; level++) same_ &= normal(uint8_t(level), mean_, inverse_) == table[level];
  }

  void row(const uint8_t* levels, int64_t width, float* out) const {
    if (same_) for (int64_t x = 0; x < width; x++) out[x] = normal(levels[x], mean_, inverse_);
    else for (int64_t x = 0; x < width; x++) out[x] = table_[levels[x]];
  }

 private:
  const float* table_;
  double mean_, inverse_;
  bool same_ = true;
};

}  // namespace rayseg
