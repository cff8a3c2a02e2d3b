// Some rows and columns of a baseline JPEG: the codes outside are passed over, or jumped over where places to go on from are known.
#pragma once

#include <algorithm>
#include <vector>

#include "jpeg_codes.h"
#include "jpeg_pixels.h"
#include "resample.h"

namespace rayseg {

// Places are kept of every so many units of a row of units.
constexpr int64_t kEvery = 8;

inline int64_t places_across(const Header& header) { return (header.units_across() + kEvery - 1) / kEvery; }

// Reads units one after the other.
class Units {
 public:
  explicit Units(const Header& header) : header_(header), bits_(header.scan, header.end) {}

  int64_t next() const { return next_; }

  void seek(int64_t unit, const Place& place) {
    next_ = unit;
    bits_.seek(place);
    std::memcpy(last_, place.dc, sizeof last_);
  }

  void tell(Place& place) const {
    bits_.tell(place);
    std::memcpy(place.dc, last_, sizeof last_);
  }

  // `take(component, block, coefficients, flat)` gets every block; without it the unit is passed over.
  template <class Take>
  bool read(Take take, bool wanted) {
    if (header_.interval && next_ && next_ % header_.interval == 0) {
      if (!bits_.restart()) return false;
      std::memset(last_, 0, sizeof last_);
    }
    next_++;
    for (int i = 0; i < header_.components; i++) {
      const Component& one = header_.component[i];
      for (int number = 0; number < one.across * one.down; number++) {
        const Huffman &dc = header_.dc[one.dc], &ac = header_.ac[one.ac];
        if (!wanted) {
          if (block<false>(bits_, dc, ac, nullptr, last_[i], nullptr) < 0 || bits_.ran_out()) return false;
          continue;
        }
        alignas(32) int32_t coefficients[64] = {};
        const int highest = block<true>(bits_, dc, ac, header_.quants[one.table], last_[i], coefficients);
        if (highest < 0 || bits_.ran_out()) return false;
        take(i, number, coefficients, highest == 0);
      }
    }
    return true;
  }

 private:
  const Header& header_;
  Bits bits_;
  int64_t next_ = 0;
  int16_t last_[3] = {};
};

inline bool find_places(const Header& header, Place* places) {
  Units units(header);
  const int64_t across = header.units_across(), total = across * header.units_down();
  while (units.next() < total) {
    const int64_t row = units.next() / across, column = units.next() % across;
    if (column % kEvery == 0) units.tell(places[row * places_across(header) + column / kEvery]);
    if (!units.read([](int, int, const int32_t*, bool) {}, false)) return false;
  }
  return true;
}

// Samples of one component, from a row and a column of its own on.
struct Plane {
  int64_t top = 0, left = 0, stride = 0;
  std::vector<uint8_t> values;

  const uint8_t* row(int64_t y, int64_t x) const { return values.data() + (y - top) * stride + x - left; }
};

// What of the picture, and of the chroma that belongs to it; ends excluded.
struct Region {
  int64_t top, bottom, left, right;
};

inline Region of_chroma(const Header& header, const Region& region) {
  const int64_t width = (header.width + header.across - 1) / header.across, height = (header.height + header.down - 1) / header.down;
  Region chroma = region;
  if (header.across == 2) {
    chroma.left = std::max<int64_t>(region.left / 2 - 1, 0), chroma.right = std::min((region.right - 1) / 2 + 2, width);
  }
  if (header.down == 2) {
    chroma.top = std::max<int64_t>(region.top / 2 - 1, 0), chroma.bottom = std::min((region.bottom - 1) / 2 + 2, height);
  }
  return chroma;
}

// Units that a region and its chroma lie in.
inline Region units_of(const Header& header, const Region& region, const Region& chroma) {
  const int64_t high = 8 * header.down, wide = 8 * header.across;
  return {std::min(region.top / high, chroma.top / 8), std::max((region.bottom - 1) / high, (chroma.bottom - 1) / 8) + 1,
          std::min(region.left / wide, chroma.left / 8), std::max((region.right - 1) / wide, (chroma.right - 1) / 8) + 1};
}

inline bool read_planes(const Header& header, const Region& units, const Place* places, Plane* planes) {
  for (int i = 0; i < header.components; i++) {
    const Component& one = header.component[i];
    planes[i].top = units.top * 8 * one.down, planes[i].left = units.left * 8 * one.across;
    planes[i].stride = (units.right - units.left) * 8 * one.across;
    const size_t bytes = planes[i].stride * (units.bottom - units.top) * 8 * one.down;
    if (planes[i].values.size() < bytes) planes[i].values.resize(bytes);
  }
  Units reader(header);
  const int64_t across = header.units_across();
  for (int64_t y = units.top; y < units.bottom; y++) {
    if (places) {
      const int64_t from = units.left / kEvery;
      reader.seek(y * across + from * kEvery, places[y * places_across(header) + from]);
    }
    while (reader.next() < y * across + units.right) {
      const int64_t x = reader.next() % across;
      const bool wanted = reader.next() >= y * across && x >= units.left;
      const auto take = [&](int component, int number, const int32_t* coefficients, bool flat) {
        const Component& one = header.component[component];
        Plane& plane = planes[component];
        const int64_t row = ((y - units.top) * one.down + number / one.across) * 8;
        const int64_t column = ((x - units.left) * one.across + number % one.across) * 8;
        samples(coefficients, flat, plane.values.data() + row * plane.stride + column, plane.stride);
      };
      if (!reader.read(take, wanted)) return false;
    }
  }
  return true;
}

// A row of one chroma component, as wide as luma.
class Chroma {
 public:
  Chroma(const Header& header, const Plane& plane, const Region& chroma)
      : header_(header), plane_(plane), chroma_(chroma), sums_(chroma.right - chroma.left), wide_(2 * sums_.size()) {}

  // The value at column `left` of the picture.
  const int16_t* row(int64_t y, int64_t left) {
    const int64_t height = (header_.height + header_.down - 1) / header_.down;
    const int64_t near = y / header_.down, far = y % 2 ? std::min(near + 1, height - 1) : std::max<int64_t>(near - 1, 0);
    const int64_t width = int64_t(sums_.size());
    mixed(plane_.row(near, chroma_.left), header_.down == 2 ? plane_.row(far, chroma_.left) : nullptr, width, sums_.data());
    if (header_.across == 1) {
      if (header_.down == 2) for (int16_t& sum : sums_) sum = int16_t((sum + (y % 2 ? 2 : 1)) >> 2);
      return sums_.data() + left - chroma_.left;
    }
    const bool last = chroma_.right == (header_.width + 1) / 2;
    if (header_.down == 2) spread<true>(sums_.data(), width, chroma_.left == 0, last, wide_.data());
    else spread<false>(sums_.data(), width, chroma_.left == 0, last, wide_.data());
    return wide_.data() + left - 2 * chroma_.left;
  }

 private:
  const Header& header_;
  const Plane& plane_;
  const Region chroma_;
  std::vector<int16_t> sums_, wide_;
};

// Planes of the last picture of a thread, kept for the next: new memory costs as much as what is done in it. They end with the
// thread, and those of a huge picture with it.
struct Planes {
  static constexpr size_t kMost = 16 << 20;
  Plane of[3];

  void tidy() {
    for (Plane& plane : of) {
      if (plane.values.capacity() > kMost) std::vector<uint8_t>().swap(plane.values);
    }
  }
};

// Rows of a region of a JPEG, one after the other.
class JpegRows {
 public:
  JpegRows(const Header& header, const Region& region, int64_t readable)
      : header_(header), region_(region), chroma_(of_chroma(header, region)), row_(readable) {}

  ~JpegRows() { planes().tidy(); }

  // False: it is damaged.
  bool read(const Place* places) {
    if (!read_planes(header_, units_of(header_, region_, chroma_), places, planes().of)) return false;
    if (header_.components == 1) return true;
    blue_.emplace_back(header_, planes().of[1], chroma_), red_.emplace_back(header_, planes().of[2], chroma_);
    return true;
  }

  // From the left of the region on.
  const uint32_t* row(int64_t y) {
    const uint8_t* luma = planes().of[0].row(y, region_.left);
    const int64_t width = region_.right - region_.left;
    if (header_.components == 1) {
      for (int64_t x = 0; x < width; x++) row_[x] = luma[x] * 0x10101u;
    } else {
      to_rgb(luma, blue_[0].row(y, region_.left), red_[0].row(y, region_.left), width, row_.data());
    }
    return row_.data();
  }

 private:
  static Planes& planes() {
    static thread_local Planes kept;
    return kept;
  }

  const Header& header_;
  const Region region_, chroma_;
  Packed row_;
  std::vector<Chroma> blue_, red_;
};

}  // namespace rayseg
