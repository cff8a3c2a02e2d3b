// The coded coefficients of a baseline JPEG (ITU-T T.81, annex F), and places from which reading can go on.
#pragma once

#include "jpeg_header.h"

namespace rayseg {

// A place between two units: the byte with the first unread bit, how many bits of it are read, and the last DC of each component.
struct Place {
  uint32_t byte;
  int16_t dc[3];
  uint16_t bits;
};

// Bits of a scan, stuffing left out. Past a marker come zeros, which are counted.
class Bits {
 public:
  Bits(const uint8_t* begin, const uint8_t* end) : begin_(begin), at_(begin), end_(end) {}

  void fill() {
    if (end_ - at_ >= 8) {
      uint64_t eight;
      std::memcpy(&eight, at_, 8);
      eight = __builtin_bswap64(eight);
      const uint64_t inverse = ~eight;
      if (!((inverse - 0x0101010101010101u) & ~inverse & 0x8080808080808080u)) {  // no byte is ff
        const int bytes = (64 - count_) >> 3;
        if (bytes == 0) return;
        held_ |= (eight >> (64 - 8 * bytes)) << (64 - 8 * bytes - count_);
        at_ += bytes, count_ += 8 * bytes;
        return;
      }
    }
    while (count_ <= 56) held_ |= uint64_t(next()) << (56 - count_), count_ += 8;
  }

  uint32_t peek(int bits) const { return uint32_t(held_ >> (64 - bits)); }
  void drop(int bits) { held_ <<= bits, count_ -= bits; }
  int count() const { return count_; }
  bool ran_out() const { return 8 * zeros_ > count_; }

  // Skips a restart marker; the bits before it are padding.
  bool restart() {
    held_ = 0, count_ = 0, zeros_ = 0;
    if (end_ - at_ < 2 || at_[0] != 0xff || (at_[1] & 0xf8) != 0xd0) return false;
    at_ += 2;
    return true;
  }

  void seek(const Place& place) {
    at_ = begin_ + (place.byte < end_ - begin_ ? place.byte : end_ - begin_), held_ = 0, count_ = 0, zeros_ = 0;
    fill();
    drop(place.bits);
  }

  void tell(Place& place) const {
    const int unread = count_ > 8 * zeros_ ? count_ - 8 * zeros_ : 0, bytes = (unread + 7) / 8;
    const uint8_t* at = at_;
    for (int i = 0; i < bytes; i++) at -= at - begin_ >= 2 && at[-1] == 0 && at[-2] == 0xff ? 2 : 1;
    place.byte = uint32_t(at - begin_), place.bits = uint16_t(8 * bytes - unread);
  }

 private:
  uint8_t next() {
    if (at_ >= end_) return zeros_++, 0;
    if (*at_ != 0xff) return *at_++;
    if (end_ - at_ >= 2 && at_[1] == 0) return at_ += 2, 0xff;
    return zeros_++, 0;
  }

  const uint8_t *begin_, *at_, *end_;
  uint64_t held_ = 0;
  int count_ = 0, zeros_ = 0;
};

inline int symbol(Bits& bits, const Huffman& codes) {
  const uint16_t found = codes.ahead[bits.peek(Huffman::kAhead)];
  if (found) return bits.drop(found >> 8), found & 255;
  const int32_t code = int32_t(bits.peek(16));
  int length = Huffman::kAhead + 1;
  while (length <= 16 && code >= codes.last[length]) length++;
  if (length > 16) return -1;
  bits.drop(length);
  return codes.symbols[((code >> (16 - length)) + codes.shift[length]) & 255];
}

inline int number(Bits& bits, int size) {
  if (size == 0) return 0;
  const int value = int(bits.peek(size));
  bits.drop(size);
  return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
}

// One block. `out` takes its coefficients times their quants, in rows, and must be zero; nullptr: they are passed over.
// Returns the highest place that is not zero, in zigzag order, or -1 for a code that there is not.
inline int block(Bits& bits, const Huffman& dc, const Huffman& ac, const uint16_t* quants, int16_t& last, int32_t* out) {
  bits.fill();
  const int size = symbol(bits, dc);
  if (size < 0 || size > 15) return -1;
  last = int16_t(last + number(bits, size));
  if (out) out[0] = last * quants[0];
  int highest = 0;
  for (int place = 1; place < 64; place++) {
    if (bits.count() < 32) bits.fill();
    const int found = symbol(bits, ac);
    if (found < 0) return -1;
    const int length = found & 15;
    place += found >> 4;
    if (length == 0) {
      if (found != 0xf0) break;
      continue;
    }
    if (place > 63) return -1;
    if (out) {
      const int at = kZigzag[place];
      out[at] = number(bits, length) * quants[at], highest = place;
    } else {
      bits.drop(length);
    }
  }
  return highest;
}

}  // namespace rayseg
