// Nothing in the header is believed: every number is checked against the file's length before it is used.
#include "models/gpt2/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "dsl/error.h"
#include "models/gpt2/json.h"

namespace wavetile {
namespace {

using nlohmann::json;

// Bytes an element takes, for the dtypes the format has had from the start. Newer ones (some of which pack
// several elements in a byte) are absent: their size goes unchecked, and asking for them is an error.
std::optional<uint64_t> element_size(std::string_view dtype) {
  static constexpr std::pair<std::string_view, uint64_t> sizes[] = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
      {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"F64", 8},     {"I64", 8}, {"U64", 8}};
  for (const auto& [name, size] : sizes)
    if (name == dtype) return size;
  return std::nullopt;
}

const json& field(const json& object, const char* name, const std::string& where) {
  auto it = object.find(name);
  if (it == object.end()) throw Error(fmt::format("{}: {}: missing", where, name));
  return *it;
}

// A non-negative whole number that fits int64.
int64_t natural(const json& value, const std::string& where) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    throw Error(fmt::format("{}: must be a whole number from 0 to 2^63-1, is {}", where, excerpt(value)));
  return value.get<int64_t>();
}

std::vector<int64_t> read_shape(const json& tensor, const std::string& where) {
  const json& shape = field(tensor, "shape", where);
  if (!shape.is_array()) throw Error(fmt::format("{}: shape: must be an array, is {}", where, excerpt(shape)));
  std::vector<int64_t> result;
  for (const json& extent : shape) result.push_back(natural(extent, where + ": shape"));
  return result;
}

std::pair<size_t, size_t> read_offsets(const json& tensor, size_t data_size, const std::string& where) {
  const json& offsets = field(tensor, "data_offsets", where);
  const std::string here = where + ": data_offsets";
  if (!offsets.is_array() || offsets.size() != 2)
    throw Error(fmt::format("{}: must be [begin, end], is {}", here, excerpt(offsets)));
  auto begin = static_cast<size_t>(natural(offsets[0], here)), end = static_cast<size_t>(natural(offsets[1], here));
  if (begin > end) throw Error(fmt::format("{}: out of order: begins at {} and ends at {}", here, begin, end));
  if (end > data_size)
    throw Error(fmt::format("{}: out of range: [{}, {}], but the file holds {} bytes of data; is it truncated?", here,
                            begin, end, data_size));
  return {begin, end};
}

// shape * sizeof(dtype) must equal the bytes the offsets enclose, in arithmetic that cannot wrap.
void check_size(const std::vector<int64_t>& shape, const std::string& dtype, size_t bytes, const std::string& where) {
  std::optional<uint64_t> expected = element_size(dtype);
  if (!expected) return;
  for (int64_t extent : shape)
    if (__builtin_mul_overflow(*expected, static_cast<uint64_t>(extent), &*expected))
      throw Error(fmt::format("{}: shape: {} of {} overflows 64 bits", where, shape_str(shape), dtype));
  if (*expected != bytes)
    throw Error(fmt::format("{}: data_offsets: {} bytes, but shape {} of {} takes {}", where, bytes, shape_str(shape),
                            dtype, *expected));
}

// The format allows neither holes nor overlaps: sorted by offset, each tensor begins where the last one ended.
template <class Entries>
void check_coverage(const Entries& entries, size_t data_size, const std::string& path) {
  std::vector<typename Entries::const_pointer> order;
  for (const auto& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](auto* a, auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  size_t end = 0;
  std::string_view last = "the header";
  for (auto* entry : order) {
    if (entry->second.begin != end)
      throw Error(fmt::format("{}: tensor '{}': data_offsets: begins at {}, {} {}, which ends at {}", path,
                              entry->first, entry->second.begin,
                              entry->second.begin < end ? "overlapping" : "leaving a hole after", last, end));
    end = entry->second.end;
    last = entry->first;
  }
  if (end != data_size)
    throw Error(
        fmt::format("{}: file length: {} bytes of data, of which the header describes {}", path, data_size, end));
}

}  // namespace

SafeTensors::SafeTensors(const std::filesystem::path& path) : file_(path) {
  const std::string name = path.string();
  const std::span<const std::byte> bytes = file_.bytes();
  uint64_t header_size = 0;
  if (bytes.size() < sizeof header_size)
    throw Error(fmt::format("{}: file length: {} bytes are too few for a safetensors file; is it truncated?", name,
                            bytes.size()));
  std::memcpy(&header_size, bytes.data(), sizeof header_size);
  if (header_size > bytes.size() - sizeof header_size)
    throw Error(fmt::format("{}: header length: {} bytes, but the file has {}; it is truncated or no safetensors file",
                            name, header_size, bytes.size()));
  data_ = bytes.data() + sizeof header_size + header_size;
  const size_t data_size = bytes.size() - sizeof header_size - static_cast<size_t>(header_size);

  const json header =
      parse_json(file_.text().substr(sizeof header_size, static_cast<size_t>(header_size)), name + ": header");
  if (!header.is_object()) throw Error(fmt::format("{}: header: must be a JSON object, is {}", name, excerpt(header)));

  for (const auto& [tensor_name, tensor] : header.items()) {
    if (tensor_name == "__metadata__") continue;
    if (std::any_of(tensor_name.begin(), tensor_name.end(), [](unsigned char c) { return c < ' '; }))
      throw Error(fmt::format("{}: tensor {}: its name has control characters", name, excerpt(tensor_name)));
    const std::string where = fmt::format("{}: tensor '{}'", name, tensor_name);
    if (!tensor.is_object()) throw Error(fmt::format("{}: must be an object, is {}", where, excerpt(tensor)));
    const json& dtype = field(tensor, "dtype", where);
    if (!dtype.is_string()) throw Error(fmt::format("{}: dtype: must be a string, is {}", where, excerpt(dtype)));
    Entry entry{dtype.get<std::string>(), read_shape(tensor, where), 0, 0};
    std::tie(entry.begin, entry.end) = read_offsets(tensor, data_size, where);
    check_size(entry.shape, entry.dtype, entry.end - entry.begin, where);
    entries_.emplace(tensor_name, std::move(entry));
  }
  check_coverage(entries_, data_size, name);
}

std::vector<std::string> SafeTensors::names() const {
  std::vector<std::string> result;
  for (const auto& entry : entries_) result.push_back(entry.first);
  return result;
}

StoredTensor SafeTensors::get(std::string_view name) const {
  auto it = entries_.find(name);
  if (it == entries_.end()) throw Error(fmt::format("{}: tensor '{}': missing", path().string(), name));
  const Entry& entry = it->second;
  DType dtype;
  if (entry.dtype == "F32")
    dtype = DType::f32;
  else if (entry.dtype == "F16")
    dtype = DType::f16;
  else if (entry.dtype == "BF16")
    dtype = DType::bf16;
  else
    throw Error(fmt::format("{}: tensor '{}': dtype: {} is not supported; convert it to F32, F16 or BF16",
                            path().string(), name, entry.dtype));
  return {it->first, dtype, entry.shape, data_ + entry.begin, path().string()};
}

}  // namespace wavetile
