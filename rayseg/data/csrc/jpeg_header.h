// What stands before the coded pixels of a baseline JPEG (ITU-T T.81, annex B): tables, sizes, the one scan.
#pragma once

#include <cstdint>
#include <cstring>

namespace rayseg {

// What a code says: how many places to go on (kEnd: the block ends; 0: there is no such code), a value, how many bits of the value
// are still to be read, and how many bits to drop before that; 0 of those: the code is longer than what is looked up at once.
struct Code {
  uint32_t packed;

  static constexpr int kEnd = 128;
  static Code of(int value, int step, int left, int bits) { return {uint32_t(value) << 16 | step << 8 | left << 4 | bits}; }
  int32_t value() const { return int32_t(packed) >> 16; }
  int step() const { return packed >> 8 & 255; }
  int left() const { return packed >> 4 & 15; }
  int bits() const { return packed & 15; }
};

// Canonical codes; those of up to kAhead bits are looked up at once, with the value behind them where that lies in those bits too.
struct Huffman {
  static constexpr int kAhead = 10;
  bool known = false, steps = false;
  uint8_t symbols[256];
  Code ahead[1 << kAhead];
  int32_t last[18], shift[17];  // of each length: one past its last code, left-aligned to 16 bits; symbol = code + shift

  // `goes_on`: symbols hold how many zeros come before the value, as those of all but the first place do. False for what libjpeg
  // refuses: more codes than there is room for, a code of ones alone, a first place of more than 15 bits.
  bool build(const uint8_t* counts, const uint8_t* values, int total, bool goes_on) {
    std::memcpy(symbols, values, total);
    std::memset(ahead, 0, sizeof ahead);
    steps = goes_on;
    int32_t code = 0;
    int number = 0;
    for (int length = 1; length <= 16; length++) {
      shift[length] = number - code;
      for (int i = 0; i < counts[length - 1]; i++, code++, number++) {
        if (code + 1 >= 1 << length || (!goes_on && symbols[number] > 15)) return false;
        if (length > kAhead) continue;
        const int place = code << (kAhead - length);
        for (int j = 0; j < 1 << (kAhead - length); j++) ahead[place + j] = with_value(symbols[number], length, j);
      }
      last[length] = code << (16 - length);
      code <<= 1;
    }
    last[17] = INT32_MAX;
    return known = true;
  }

  Code meant_by(int symbol, int bits) const {
    const int size = symbol & 15;
    if (!steps) return Code::of(0, 1, size, bits);
    if (size == 0) return Code::of(0, symbol == 0xf0 ? 16 : Code::kEnd, 0, bits);
    return Code::of(0, (symbol >> 4) + 1, size, bits);
  }

 private:
  // `behind` are the bits that were looked up behind the code.
  Code with_value(int symbol, int length, int behind) const {
    const Code code = meant_by(symbol, length);
    const int size = code.left(), rest = kAhead - length - size;
    if (size == 0 || rest < 0) return code;
    const int value = behind >> rest;
    return Code::of(value >> (size - 1) ? value : value - (1 << size) + 1, code.step(), 0, length + size);
  }
};

struct Component {
  int id, across, down, table, dc, ac;
};

struct Header {
  int64_t height = 0, width = 0, interval = 0;
  int components = 0, across = 1, down = 1;  // blocks of the first component in a unit
  Component component[3];
  uint16_t quants[4][64];
  bool has_quants[4] = {};
  Huffman dc[4], ac[4];
  const uint8_t *scan = nullptr, *end = nullptr;
  bool jfif = false;
  int adobe = -1;

  int64_t units_across() const { return (width + 8 * across - 1) / (8 * across); }
  int64_t units_down() const { return (height + 8 * down - 1) / (8 * down); }
};

constexpr uint8_t kZigzag[64] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
                                 41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
                                 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

inline int two(const uint8_t* at) { return at[0] << 8 | at[1]; }

inline bool read_quants(Header& header, const uint8_t* at, const uint8_t* end) {
  while (at < end) {
    const int wide = *at >> 4, number = *at & 15;
    if (wide > 1 || number > 3 || end - at < 1 + 64 * (wide + 1)) return false;
    at++;
    for (int i = 0; i < 64; i++, at += wide + 1) header.quants[number][kZigzag[i]] = uint16_t(wide ? two(at) : *at);
    header.has_quants[number] = true;
  }
  return true;
}

inline bool read_codes(Header& header, const uint8_t* at, const uint8_t* end) {
  while (at < end) {
    const int kind = *at >> 4, number = *at & 15;
    if (kind > 1 || number > 3 || end - at < 17) return false;
    int total = 0;
    for (int i = 1; i <= 16; i++) total += at[i];
    if (total > 256 || end - at < 17 + total) return false;
    if (!(kind ? header.ac : header.dc)[number].build(at + 1, at + 17, total, kind)) return false;
    at += 17 + total;
  }
  return true;
}

inline bool read_frame(Header& header, const uint8_t* at, const uint8_t* end) {
  if (header.components || end - at < 6 || at[0] != 8) return false;
  header.height = two(at + 1), header.width = two(at + 3), header.components = at[5];
  if ((header.components != 1 && header.components != 3) || end - at < 6 + 3 * header.components) return false;
  for (int i = 0; i < header.components; i++) {
    const uint8_t* one = at + 6 + 3 * i;
    if (one[2] > 3 || one[1] >> 4 == 0 || one[1] >> 4 > 4 || (one[1] & 15) == 0 || (one[1] & 15) > 4) return false;
    header.component[i] = {one[0], one[1] >> 4, one[1] & 15, one[2], 0, 0};
  }
  Component& first = header.component[0];
  if (header.components == 1) first.across = first.down = 1;
  header.across = first.across, header.down = first.down;
  bool fits = header.height > 0 && header.width > 0 && (first.across == 1 || first.across == 2) && (first.down == 1 || first.down == 2);
  for (int i = 1; i < header.components; i++) fits &= header.component[i].across == 1 && header.component[i].down == 1;
  return fits && (header.components == 1 || header.across == 1 || header.width > 4);
}

inline bool read_scan(Header& header, const uint8_t* at, const uint8_t* end) {
  if (header.components == 0 || end - at != 4 + 2 * header.components || at[0] != header.components) return false;
  for (int i = 0; i < header.components; i++) {
    Component& one = header.component[i];
    one.dc = at[2 + 2 * i] >> 4, one.ac = at[2 + 2 * i] & 15;
    if (at[1 + 2 * i] != one.id || one.dc > 3 || one.ac > 3) return false;
    if (!header.dc[one.dc].known || !header.ac[one.ac].known || !header.has_quants[one.table]) return false;
  }
  return true;
}

// Whether colours are luma and two differences, as decoders agree to tell.
inline bool is_luma(const Header& header) {
  if (header.components == 1 || header.jfif) return true;
  if (header.adobe >= 0) return header.adobe == 1;
  return !(header.component[0].id == 'R' && header.component[1].id == 'G' && header.component[2].id == 'B');
}

// Whether the pixels can be all there: a block has two codes at least, of one bit at least. A damaged size would cost any memory.
inline bool can_be_whole(const Header& header) {
  int64_t bits = 0;
  for (int i = 0; i < header.components; i++) bits += 2 * header.component[i].across * header.component[i].down;
  return header.units_across() * header.units_down() * bits <= 8 * (header.end - header.scan);
}

// False for whatever is not the common kind: progressive, arithmetic, 12 bits, CMYK, several scans.
inline bool read_header(const uint8_t* data, int64_t size, Header& header) {
  const uint8_t *at = data + 2, *end = data + size;
  if (size < 4 || two(data) != 0xffd8) return false;
  while (end - at >= 4) {
    if (at[0] != 0xff) return false;
    const int marker = at[1];
    if (marker == 0xff) { at++; continue; }
    const int length = two(at + 2);
    const uint8_t *body = at + 4, *next = at + 2 + length;
    if (length < 2 || next > end) return false;
    bool fine = true;
    if (marker == 0xdb) fine = read_quants(header, body, next);
    else if (marker == 0xc4) fine = read_codes(header, body, next);
    else if (marker == 0xc0 || marker == 0xc1) fine = read_frame(header, body, next);
    else if (marker == 0xdd) fine = length == 4, header.interval = fine ? two(body) : 0;
    else if (marker == 0xe0) header.jfif |= length >= 7 && !std::memcmp(body, "JFIF", 5);
    else if (marker == 0xee && length >= 14 && !std::memcmp(body, "Adobe", 5)) header.adobe = body[11];
    else if (marker == 0xda) {
      header.scan = next, header.end = end;
      return read_scan(header, body, next) && is_luma(header) && can_be_whole(header);
    } else if (marker >> 4 != 0xe && marker != 0xfe) return false;  // neither of an application nor a comment
    if (!fine) return false;
    at = next;
  }
  return false;
}

}  // namespace rayseg
