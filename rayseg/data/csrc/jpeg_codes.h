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

  // At least 57 bits.
  void fill() {
    if (count_ > 56) return;
    if (end_ - at_ >= 8) {
      uint64_t eight;
      std::memcpy(&eight, at_, 8);
      eight = __builtin_bswap64(eight);
      const uint64_t inverse = ~eight;
      if (!((inverse - 0x0101010101010101u) & ~inverse & 0x8080808080808080u)) {  // no byte is ff
        held_ |= eight >> count_;  // bits past the last whole byte are taken again, as they are
        const int64_t bytes = (63 - count_) >> 3;
        at_ += bytes, count_ += 8 * bytes;
        return;
      }
    }
    *this = filled(*this);
  }

  uint32_t peek(int bits) const { return uint32_t(held_ >> (64 - bits)); }
  bool first() const { return held_ >> 63; }
  void drop(int bits) { held_ <<= bits, count_ -= bits; }
  int64_t count() const { return count_; }
  bool ran_out() const { return 8 * zeros_ > count_; }

  // Skips a restart marker; the bits before it, fewer than eight, are padding.
  bool restart() {
    if (count_ - 8 * zeros_ > 7) return false;
    held_ = 0, count_ = 0, zeros_ = 0;
    if (end_ - at_ < 2 || at_[0] != 0xff || (at_[1] & 0xf8) != 0xd0) return false;
    at_ += 2;
    return true;
  }

  void seek(const Place& place) {
    at_ = begin_ + (place.byte < end_ - begin_ ? place.byte : end_ - begin_), held_ = 0, count_ = 0, zeros_ = 0;
    fill();
    drop(place.bits & 7);  // a place that is damaged may say anything
  }

  void tell(Place& place) const {
    const int unread = int(count_ > 8 * zeros_ ? count_ - 8 * zeros_ : 0), bytes = (unread + 7) / 8;
    const uint8_t* at = at_;
    for (int i = 0; i < bytes; i++) at -= at - begin_ >= 2 && at[-1] == 0 && at[-2] == 0xff ? 2 : 1;
    place.byte = uint32_t(at - begin_), place.bits = uint16_t(8 * bytes - unread);
  }

 private:
  // By value: one whose address is taken would not stay in registers.
  __attribute__((noinline)) static Bits filled(Bits bits) {
    while (bits.count_ <= 56) bits.held_ |= uint64_t(bits.next()) << (56 - bits.count_), bits.count_ += 8;
    return bits;
  }

  uint8_t next() {
    if (at_ >= end_) return zeros_++, 0;
    if (*at_ != 0xff) return *at_++;
    if (end_ - at_ >= 2 && at_[1] == 0) return at_ += 2, 0xff;
    return zeros_++, 0;
  }

  const uint8_t *begin_, *at_, *end_;
  uint64_t held_ = 0;
  int64_t count_ = 0, zeros_ = 0;  // no int32_t, of which coefficients are: writing those must not seem to change these
};

// A code, and how long it is.
struct Long {
  Code code;
  int length;
};

// Of more bits than are looked up, at the begin of sixteen.
__attribute__((noinline)) inline Long longer(int32_t sixteen, const Huffman& codes) {
  int length = Huffman::kAhead + 1;
  while (length <= 16 && sixteen >= codes.last[length]) length++;
  if (length > 16) return {Code::of(0, 0, 0, 0), 0};
  return {codes.meant_by(codes.symbols[((sixteen >> (16 - length)) + codes.shift[length]) & 255], 0), length};
}

inline Code next(Bits& bits, const Huffman& codes) {
  const Code code = codes.ahead[bits.peek(Huffman::kAhead)];
  if (__builtin_expect(code.bits() == 0, false)) {
    const Long found = longer(int32_t(bits.peek(16)), codes);
    bits.drop(found.length);
    return found.code;
  }
  bits.drop(code.bits());
  return code;
}

// Of 1 to 15 bits.
inline int32_t number(Bits& bits, int size) {
  const int32_t value = int32_t(bits.peek(size)) + (bits.first() ? 0 : 1 - (1 << size));
  bits.drop(size);
  return value;
}

// So many codes that are looked up are read one after the other without asking how many bits are left.
constexpr int kTogether = 5;
static_assert(kTogether * Huffman::kAhead <= 57, "as many bits as there are at least");

// One block. `out` takes its coefficients times their quants, in rows, and must be zero; not wanted, they are passed over.
// Returns the highest place that is looked at, in zigzag order: 0 for one that is flat; or -1 for a code that there is not.
template <bool kWanted>
inline int block(Bits& from, const Huffman& dc, const Huffman& ac, const uint16_t* quants, int16_t& last, int32_t* out) {
  Bits bits = from;  // in registers
  bits.fill();
  const Code first = next(bits, dc);
  if (first.step() == 0) return -1;
  last = int16_t(last + (first.left() ? number(bits, first.left()) : first.value()));
  if (kWanted) out[0] = last * quants[0];
  int place = 0, highest = 0;
  while (place < 63) {
    bits.fill();
    for (int read = 0; read < kTogether && place < 63; read++) {
      Code code = ac.ahead[bits.peek(Huffman::kAhead)];
      if (__builtin_expect(code.bits() && !code.left(), true)) bits.drop(code.bits());
      else bits.fill(), code = next(bits, ac), read = kTogether;
      place += code.step();
      if (code.step() == 0 || (place > 63 && code.step() != Code::kEnd)) return -1;
      if (place > 63) break;
      if (!kWanted) {
        bits.drop(code.left());
        continue;
      }
      const int at = kZigzag[highest = place];
      out[at] = (code.left() ? number(bits, code.left()) : code.value()) * quants[at];
    }
  }
  from = bits;
  return highest;
}

}  // namespace rayseg
