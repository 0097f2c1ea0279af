#include "emulator/cli/arguments.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <memory>

#include <fmt/format.h>

namespace wavetile::emu {
namespace {

constexpr std::array kTypes{ElementType{"i8", 1},   ElementType{"u8", 1},  ElementType{"i16", 2},
                            ElementType{"u16", 2},  ElementType{"i32", 4}, ElementType{"u32", 4},
                            ElementType{"i64", 8},  ElementType{"u64", 8}, ElementType{"f16", 2},
                            ElementType{"bf16", 2}, ElementType{"f32", 4}, ElementType{"f64", 8}};
constexpr const char* kForms =
    "forms: i32:7, in:f32:FILE, in:f32:COUNT, in:i32:=1,2,3, out:f32:COUNT[:FILE], "
    "inout:f32:FILE[:FILE]; types: i8 u8 i16 u16 i32 u32 i64 u64 f16 bf16 f32 f64";

[[noreturn]] void wrong(const std::string& text, const std::string& why) {
  throw ArgumentError(fmt::format("--arg {}: {}", text, why));
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == at) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

template <class T>
bool parse(const std::string& text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// To nearest, ties to even. Overflow gives an infinity, NaN stays NaN.
std::uint16_t to_half(double v) {
  const auto sign = static_cast<std::uint16_t>(std::signbit(v) ? 0x8000 : 0);
  if (std::isnan(v)) return static_cast<std::uint16_t>(sign | 0x7e00);
  const double a = std::abs(v);
  if (a >= 65520) return static_cast<std::uint16_t>(sign | 0x7c00);
  const int exponent = a == 0 ? -14 : std::max(-14, std::ilogb(a));
  const auto mantissa = static_cast<unsigned>(std::nearbyint(std::ldexp(a, 10 - exponent)));
  // A mantissa of 2048 carries into the exponent by itself.
  return static_cast<std::uint16_t>(sign + ((exponent + 14) << 10) + mantissa);
}

double from_half(std::uint16_t h) {
  const int exponent = (h >> 10) & 31, mantissa = h & 1023;
  double v = exponent == 31  ? (mantissa ? std::nan("") : HUGE_VAL)
             : exponent == 0 ? std::ldexp(mantissa, -24)
                             : std::ldexp(mantissa + 1024, exponent - 25);
  return h & 0x8000 ? -v : v;
}

std::uint16_t to_bfloat(double v) {
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(v));
  if (std::isnan(v)) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

bool is_float(const ElementType& t) { return t.name.find('f') != t.name.npos; }

template <class T>
void store(std::byte* to, T v) {
  std::memcpy(to, &v, sizeof v);
}

template <class T>
T load(const std::byte* from) {
  T v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

void store_element(std::byte* to, const ElementType& t, double real, std::int64_t integer) {
  if (t.name == "f64") return store(to, real);
  if (t.name == "f32") return store(to, static_cast<float>(real));
  if (t.name == "f16") return store(to, to_half(real));
  if (t.name == "bf16") return store(to, to_bfloat(real));
  std::memcpy(to, &integer, t.bytes);  // little-endian: the low bytes
}

bool store_text(std::byte* to, const ElementType& t, const std::string& text) {
  double real = 0;
  std::int64_t integer = 0;
  if (is_float(t)) {
    if (!parse(text, real)) return false;
  } else if (t.name == "u64") {
    std::uint64_t v = 0;
    if (!parse(text, v)) return false;
    integer = static_cast<std::int64_t>(v);
  } else {
    if (!parse(text, integer)) return false;
    const int bits = static_cast<int>(t.bytes) * 8;
    const bool is_signed = t.name[0] == 'i';
    const std::int64_t low = is_signed ? (bits == 64 ? INT64_MIN : -(std::int64_t{1} << (bits - 1))) : 0;
    const std::int64_t high = bits == 64 ? INT64_MAX : (std::int64_t{1} << (bits - (is_signed ? 1 : 0))) - 1;
    if (integer < low || integer > high) return false;
  }
  store_element(to, t, real, integer);
  return true;
}

std::string element_text(const std::byte* from, const ElementType& t) {
  if (t.name == "f64") return fmt::format("{}", load<double>(from));
  if (t.name == "f32") return fmt::format("{}", load<float>(from));
  if (t.name == "f16") return fmt::format("{}", from_half(load<std::uint16_t>(from)));
  if (t.name == "bf16") {
    return fmt::format("{}", std::bit_cast<float>(std::uint32_t{load<std::uint16_t>(from)} << 16));
  }
  if (t.name == "i8") return fmt::format("{}", load<std::int8_t>(from));
  if (t.name == "u8") return fmt::format("{}", load<std::uint8_t>(from));
  if (t.name == "i16") return fmt::format("{}", load<std::int16_t>(from));
  if (t.name == "u16") return fmt::format("{}", load<std::uint16_t>(from));
  if (t.name == "i32") return fmt::format("{}", load<std::int32_t>(from));
  if (t.name == "u32") return fmt::format("{}", load<std::uint32_t>(from));
  if (t.name == "i64") return fmt::format("{}", load<std::int64_t>(from));
  return fmt::format("{}", load<std::uint64_t>(from));
}

ElementType type_of(const std::string& text, const std::string& name) {
  const auto* t = std::ranges::find(kTypes, name, &ElementType::name);
  if (t == kTypes.end()) wrong(text, fmt::format("'{}' is no type; {}", name, kForms));
  return *t;
}

std::vector<std::byte> read_file(const std::string& text, const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) wrong(text, fmt::format("cannot read the file '{}'; {}", path, kForms));
  std::vector<char> chars((std::istreambuf_iterator<char>(in)), {});
  const auto* bytes = reinterpret_cast<const std::byte*>(chars.data());
  return {bytes, bytes + chars.size()};
}

constexpr std::size_t kMostBytes = std::size_t{1} << 36;

}  // namespace

Argument::Argument(const std::string& text, Memory& memory, std::mt19937& random) : text_(text), memory_(memory) {
  const auto parts = split(text, ':');
  if (parts.size() == 2) {
    type_ = type_of(text, parts[0]);
    value_.resize(type_.bytes);
    if (!store_text(value_.data(), type_, parts[1])) wrong(text, fmt::format("'{}' is no {}", parts[1], parts[0]));
    return;
  }
  if (parts.size() < 3 || parts.size() > 4 || (parts[0] != "in" && parts[0] != "out" && parts[0] != "inout")) {
    wrong(text, kForms);
  }
  buffer_ = true;
  input_ = parts[0] != "out";
  output_ = parts[0] != "in";
  type_ = type_of(text, parts[1]);
  if (parts.size() == 4) {
    if (!output_) wrong(text, "an input has no file to be written to");
    file_ = parts[3];
  }
  fill(parts[2], random);
  const std::string what = fmt::format("argument {}", text);
  memory_.add(data_, bytes_, what, /*writable=*/output_, /*initialised=*/input_);
  value_.resize(8);
  std::memcpy(value_.data(), &data_, 8);
}

void Argument::fill(const std::string& from, std::mt19937& random) {
  std::size_t count = 0;
  std::vector<std::byte> contents;
  const bool counted = parse(from, count);
  if (counted && (count == 0 || count > kMostBytes / type_.bytes))
    wrong(text_, "a buffer of 1 element to 64 GiB is possible");
  if (!input_ && !counted) wrong(text_, fmt::format("'{}' is no number of elements", from));
  if (input_ && from.starts_with('=')) {
    for (const std::string& v : split(from.substr(1), ',')) {
      contents.resize(contents.size() + type_.bytes);
      if (!store_text(contents.data() + contents.size() - type_.bytes, type_, v)) {
        wrong(text_, fmt::format("'{}' is no {}", v, type_.name));
      }
    }
  } else if (input_ && !counted) {
    contents = read_file(text_, from);
    if (contents.empty() || contents.size() % type_.bytes != 0) {
      wrong(text_,
            fmt::format("the file has {} bytes, which is no positive multiple of {}", contents.size(), type_.bytes));
    }
  }
  bytes_ = contents.empty() ? count * type_.bytes : contents.size();
  data_ = static_cast<std::byte*>(std::aligned_alloc(256, (bytes_ + 255) / 256 * 256));
  if (!data_) wrong(text_, "not enough memory");
  if (!contents.empty()) {
    std::copy(contents.begin(), contents.end(), data_);
  } else if (input_) {
    for (std::size_t i = 0; i < count; ++i) {
      store_element(data_ + i * type_.bytes, type_, random() * 0x1p-31 - 1, static_cast<std::int64_t>(random() % 100));
    }
  } else {
    std::fill_n(data_, bytes_, std::byte{0xff});  // NaN in every float type
  }
}

Argument::~Argument() {
  if (!buffer_) return;
  memory_.remove(data_);
  std::free(data_);
}

std::string Argument::result(std::size_t limit) const {
  if (!file_.empty()) {
    std::ofstream out(file_, std::ios::binary);
    out.write(reinterpret_cast<const char*>(data_), static_cast<std::streamsize>(bytes_));
    out.close();
    if (!out) throw ArgumentError(fmt::format("--arg {}: cannot write '{}'", text_, file_));
    return fmt::format("{}: {} bytes written to {}\n", text_, bytes_, file_);
  }
  const std::size_t count = bytes_ / type_.bytes;
  std::string line = text_ + ":";
  for (std::size_t i = 0; i < std::min(count, limit); ++i) line += " " + element_text(data_ + i * type_.bytes, type_);
  if (count > limit) line += fmt::format(" … ({} elements)", count);
  return line + "\n";
}

std::vector<std::byte> kernarg_segment(const KernelInfo& kernel,
                                       const std::vector<std::unique_ptr<Argument>>& arguments, const Dispatch& d) {
  std::vector<std::byte> segment(kernel.kernarg_bytes);
  std::size_t next = 0;
  std::string list;
  for (const KernelArgument& a : kernel.arguments) {
    if (!a.kind.starts_with("hidden_"))
      list += fmt::format(" {}:{}({} bytes)", a.name.empty() ? "?" : a.name, a.kind, a.bytes);
  }
  auto put = [&](const KernelArgument& a, const void* from, std::size_t bytes) {
    if (std::size_t{a.offset} + bytes > segment.size())
      throw ArgumentError("the kernel's metadata puts an argument outside its segment");
    std::memcpy(segment.data() + a.offset, from, bytes);
  };
  for (const KernelArgument& a : kernel.arguments) {
    if (!a.kind.starts_with("hidden_")) {
      if (next == arguments.size()) {
        throw ArgumentError(fmt::format("{} arguments given, but the kernel takes:{}", arguments.size(), list));
      }
      const Argument& given = *arguments[next++];
      if (given.value().size() != a.bytes) {
        throw ArgumentError(fmt::format("argument {} has {} bytes, but the kernel takes {} ({}):{}", next,
                                        given.value().size(), a.bytes, a.kind, list));
      }
      put(a, given.value().data(), a.bytes);
      continue;
    }
    const std::string kind = a.kind.substr(7);
    const int axis = kind.ends_with("_y") ? 1 : kind.ends_with("_z") ? 2 : 0;
    std::uint64_t value = 0;
    if (kind.starts_with("block_count_")) {
      value = d.grid[axis] / d.workgroup[axis];
    } else if (kind.starts_with("group_size_")) {
      value = d.workgroup[axis];
    } else if (kind.starts_with("remainder_")) {
      value = d.grid[axis] % d.workgroup[axis];
    } else if (kind == "grid_dims") {
      value = d.grid[2] > 1 ? 3 : d.grid[1] > 1 ? 2 : 1;
    } else if (kind == "dynamic_lds_size") {
      value = d.group_bytes > kernel.group_bytes ? d.group_bytes - kernel.group_bytes : 0;
    }
    put(a, &value, std::min<std::size_t>(a.bytes, 8));
  }
  if (next != arguments.size()) {
    throw ArgumentError(
        fmt::format("{} arguments given, but the kernel takes:{}", arguments.size(), list.empty() ? " none" : list));
  }
  return segment;
}

}  // namespace wavetile::emu
