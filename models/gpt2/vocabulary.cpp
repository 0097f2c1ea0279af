// The published files spell bytes as printable characters (GPT-2's bytes_to_unicode); past the readers here everything
// is raw bytes and ids.
#include "models/gpt2/vocabulary.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "dsl/error.h"
#include "models/gpt2/json.h"
#include "models/gpt2/mapped_file.h"
#include "models/gpt2/utf8.h"

namespace wavetile {
namespace {

namespace fs = std::filesystem;

// In bytes_to_unicode printable Latin-1 stands for itself; the other bytes follow, in order, from U+0100.
constexpr bool is_printable(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}
constexpr int kNumEscaped = 68;  // bytes that are not printable
constexpr std::array<unsigned char, 256 + kNumEscaped> kByteOfChar = [] {
  std::array<unsigned char, 256 + kNumEscaped> table{};
  int next = 256;
  for (int byte = 0; byte < 256; ++byte)
    table[static_cast<size_t>(is_printable(byte) ? byte : next++)] = static_cast<unsigned char>(byte);
  return table;
}();

// Appends the bytes that `spelled` stands for; false if it has a character that stands for none.
bool append_bytes(std::string_view spelled, std::string& out) {
  for (size_t i = 0; i < spelled.size();) {
    Utf8Step step = utf8_step(spelled.substr(i));
    if (step.kind != Utf8::whole || step.length > 2) return false;
    auto lead = static_cast<unsigned char>(spelled[i]);
    size_t code = step.length == 1 ? lead : (lead & 0x1fu) << 6 | (static_cast<unsigned char>(spelled[i + 1]) & 0x3fu);
    if (code >= kByteOfChar.size() || (code < 256 && !is_printable(static_cast<int>(code)))) return false;
    out += static_cast<char>(kByteOfChar[code]);
    i += step.length;
  }
  return true;
}

// encoder.json is a megabyte: SAX takes a fraction of the time that a tree would.
class IdReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit IdReader(std::string path) : path_(std::move(path)) {}

  std::vector<std::pair<std::string, uint64_t>> take() { return std::move(pairs_); }

  bool key(std::string& name) override {
    pairs_.emplace_back(std::move(name), 0);
    return true;
  }
  bool number_unsigned(uint64_t value) override {
    if (pairs_.empty()) fail("a number");
    pairs_.back().second = value;
    return true;
  }
  bool start_object(size_t) override {
    if (depth_++ > 0) fail("an object");
    return true;
  }
  bool end_object() override { return true; }
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception& e) override {
    throw Error(fmt::format("{}: not valid JSON: {}", path_, reason(e)));
  }
  bool null() override { fail("null"); }
  bool boolean(bool) override { fail("a boolean"); }
  bool number_integer(int64_t) override { fail("a negative number"); }
  bool number_float(double, const std::string&) override { fail("a fraction"); }
  bool string(std::string&) override { fail("a string"); }
  bool binary(nlohmann::json::binary_t&) override { fail("binary"); }
  bool start_array(size_t) override { fail("an array"); }
  bool end_array() override { fail("an array"); }

 private:
  [[noreturn]] void fail(const char* found) const {
    std::string at = pairs_.empty() ? "top level" : excerpt(pairs_.back().first);
    throw Error(fmt::format("{}: {}: must be an object of tokens to whole numbers, is {}", path_, at, found));
  }

  std::string path_;
  std::vector<std::pair<std::string, uint64_t>> pairs_;
  int depth_ = 0;
};

// The bytes of each id in encoder.json or vocab.json, whose ids must be 0 .. n-1, each once.
std::vector<std::string> read_tokens(const fs::path& path) {
  MappedFile file(path);
  IdReader reader(path.string());
  std::string_view text = file.text();
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  const auto pairs = reader.take();
  std::vector<std::string> tokens(pairs.size());
  for (const auto& [spelled, id] : pairs) {
    auto fail = [&, &spelled = spelled](const std::string& what) {
      throw Error(fmt::format("{}: {}: {}", path.string(), excerpt(spelled), what));
    };
    if (id >= pairs.size()) fail(fmt::format("id {} is out of range: {} tokens have ids from 0", id, pairs.size()));
    if (!tokens[id].empty()) fail(fmt::format("id {} is taken by another token", id));
    if (spelled.empty() || !append_bytes(spelled, tokens[id])) fail("is no spelling of bytes in GPT-2's alphabet");
  }
  return tokens;
}

// Calls visit(merged bytes, length of the left token, fail) for each line of vocab.bpe or merges.txt.
template <class Visit>
void for_each_merge(std::string_view text, const std::string& path, Visit visit) {
  std::string merged;
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.empty() || (number == 1 && line.substr(0, 8) == "#version")) continue;
    auto fail = [&](const std::string& what) { throw Error(fmt::format("{}:{}: {}", path, number, what)); };

    const size_t space = line.find(' ');
    if (space == std::string_view::npos || space == 0 || space + 1 == line.size())
      fail("must be two tokens with a space between them");
    merged.clear();
    bool spelled = append_bytes(line.substr(0, space), merged);
    const size_t split = merged.size();
    spelled = spelled && append_bytes(line.substr(space + 1), merged);
    if (!spelled) fail("a token is no spelling of bytes in GPT-2's alphabet");
    visit(std::string_view(merged), split, fail);
  }
}

// What encoder.json would hold: the bytes in bytes_to_unicode's order, the merges in order, <|endoftext|>.
std::vector<std::string> derive_tokens(std::string_view merges, const std::string& path) {
  std::vector<std::string> tokens;
  for (bool printable : {true, false})
    for (int byte = 0; byte < 256; ++byte)
      if (is_printable(byte) == printable) tokens.emplace_back(1, static_cast<char>(byte));
  for_each_merge(merges, path, [&](std::string_view merged, size_t, auto&&) { tokens.emplace_back(merged); });
  tokens.emplace_back(kEndOfText);
  return tokens;
}

// Bytes -> id while loading: open addressing over the ids, a third of what std::unordered_map takes.
class Ids {
 public:
  explicit Ids(const std::vector<std::string>& tokens)
      : tokens_(tokens), slots_(std::bit_ceil(2 * tokens.size() + 1), -1) {}

  /// The id of these bytes, or -1.
  int32_t find(std::string_view bytes) const { return slots_[slot(bytes)]; }

  /// Enters tokens[id]; false if another id has the same bytes.
  bool insert(size_t id) {
    int32_t& entry = slots_[slot(tokens_[id])];
    if (entry >= 0) return false;
    entry = static_cast<int32_t>(id);
    return true;
  }

 private:
  size_t slot(std::string_view bytes) const {
    size_t i = XXH3_64bits(bytes.data(), bytes.size());
    for (;; ++i) {
      const int32_t id = slots_[i &= slots_.size() - 1];
      if (id < 0 || tokens_[static_cast<size_t>(id)] == bytes) return i;
    }
  }

  const std::vector<std::string>& tokens_;
  std::vector<int32_t> slots_;
};

// The first of the names that exists in the directory, or an empty path.
fs::path first_of(const fs::path& directory, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    std::error_code ignored;  // what cannot be examined does not exist
    if (fs::exists(directory / name, ignored)) return directory / name;
  }
  return {};
}

// The ids of a complete set of tokens; checks what every vocabulary promises about them.
Ids index(const std::vector<std::string>& tokens, const std::string& path) {
  Ids ids(tokens);
  for (size_t id = 0; id < tokens.size(); ++id)
    if (!ids.insert(id))
      throw Error(fmt::format("{}: the tokens {} and {} are the same bytes", path, ids.find(tokens[id]), id));
  for (int byte = 0; byte < 256; ++byte) {
    const char one = static_cast<char>(byte);
    if (ids.find({&one, 1}) < 0)
      throw Error(fmt::format("{}: byte 0x{:02x}: missing; a byte-level vocabulary has all 256", path, byte));
  }
  if (ids.find(kEndOfText) < 0)
    throw Error(fmt::format("{}: {}: missing; GPT-2's vocabulary has it", path, kEndOfText));
  return ids;
}

// vocab.bpe or merges.txt, and the file of ids if there is one.
Vocabulary read_published(const fs::path& merges, const fs::path& ids_path) {
  const MappedFile file(merges);
  Vocabulary v;
  v.tokens = ids_path.empty() ? derive_tokens(file.text(), merges.string()) : read_tokens(ids_path);
  const Ids ids = index(v.tokens, (ids_path.empty() ? merges : ids_path).string());
  v.end_of_text = ids.find(kEndOfText);
  std::unordered_set<uint64_t> pairs;
  for_each_merge(file.text(), merges.string(), [&](std::string_view merged, size_t split, auto&& fail) {
    const int32_t left = ids.find(merged.substr(0, split)), right = ids.find(merged.substr(split));
    const int32_t id = ids.find(merged);
    if (left < 0 || right < 0 || id < 0)
      fail(fmt::format("the {} token is not in the vocabulary", left < 0 ? "left" : right < 0 ? "right" : "merged"));
    if (!pairs.insert(pair_key(left, right)).second) fail("this merge stands in an earlier line");
    v.merges.push_back({left, right, static_cast<int32_t>(v.merges.size()), id});
  });
  return v;
}

// gpt2_tokenizer.bin: a header of 256 int32 (magic, version, number of tokens, from version 2 on the end of text), then
// for each token a byte of length and its bytes.
constexpr int32_t kLlmcMagic = 20240328;
constexpr size_t kLlmcHeaderInts = 256, kLlmcHeaderBytes = kLlmcHeaderInts * sizeof(int32_t);

std::vector<std::string> read_llmc_tokens(const fs::path& path) {
  const MappedFile file(path);
  std::string_view text = file.text();
  auto fail = [&](const std::string& what) { throw Error(fmt::format("{}: {}", path.string(), what)); };
  std::array<int32_t, kLlmcHeaderInts> header{};
  if (text.size() < kLlmcHeaderBytes)
    fail(fmt::format("file length: {} bytes are too few for llm.c's tokenizer; is it truncated?", text.size()));
  std::memcpy(header.data(), text.data(), kLlmcHeaderBytes);
  text.remove_prefix(kLlmcHeaderBytes);
  const auto [magic, version, count, end_of_text] = std::tie(header[0], header[1], header[2], header[3]);
  if (magic != kLlmcMagic) fail(fmt::format("magic: {}, but llm.c's tokenizer begins with {}", magic, kLlmcMagic));
  if (version != 1 && version != 2) fail(fmt::format("version: {}, but only 1 and 2 can be read", version));
  if (count < 1 || static_cast<size_t>(count) > text.size() / 2)  // a token takes two bytes at least
    fail(fmt::format("vocab_size: {} tokens do not fit into a file of {} bytes", count, file.text().size()));
  std::vector<std::string> tokens;
  for (int32_t id = 0; id < count; ++id) {
    const size_t length = text.empty() ? 0 : static_cast<unsigned char>(text[0]);
    if (text.size() < 1 + length || text.empty())
      fail(fmt::format("token {}: the file ends in it; is it truncated?", id));
    if (length == 0) fail(fmt::format("token {}: is empty", id));
    tokens.emplace_back(text.substr(1, length));
    text.remove_prefix(1 + length);
  }
  if (!text.empty()) fail(fmt::format("file length: {} bytes after the last of {} tokens", text.size(), count));
  if (version == 2 &&
      (end_of_text < 0 || end_of_text >= count || tokens[static_cast<size_t>(end_of_text)] != kEndOfText))
    fail(fmt::format("eot_token: {} is not the token {}", end_of_text, kEndOfText));
  return tokens;
}

Vocabulary read_llmc(const fs::path& path) {
  Vocabulary v;
  v.tokens = read_llmc_tokens(path);
  const Ids ids = index(v.tokens, path.string());
  v.end_of_text = ids.find(kEndOfText);
  for (int32_t id = 0; id < static_cast<int32_t>(v.tokens.size()); ++id) {
    if (id == v.end_of_text) continue;
    const std::string_view token = v.tokens[static_cast<size_t>(id)];
    for (size_t split = 1; split < token.size(); ++split) {
      const int32_t left = ids.find(token.substr(0, split)), right = ids.find(token.substr(split));
      if (left >= 0 && right >= 0) v.merges.push_back({left, right, id, id});
    }
  }
  return v;
}

// A token's bytes in bytes_to_unicode's characters: what append_bytes reads.
std::string spell(std::string_view bytes) {
  static const std::array<uint16_t, 256> char_of_byte = [] {
    std::array<uint16_t, 256> table{};
    for (size_t c = 0; c < kByteOfChar.size(); ++c)
      if (c >= 256 || is_printable(static_cast<int>(c))) table[kByteOfChar[c]] = static_cast<uint16_t>(c);
    return table;
  }();
  std::string out;
  for (char byte : bytes) {
    const unsigned c = char_of_byte[static_cast<unsigned char>(byte)];
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else {
      out += static_cast<char>(0xc0 | c >> 6);
      out += static_cast<char>(0x80 | (c & 0x3f));
    }
  }
  return out;
}

// Of several pairs that give one token, that with which encoding its bytes ends; all of them if it ends with none.
class MergeChooser {
 public:
  explicit MergeChooser(const Vocabulary& v) : vocabulary_(v) {
    for (const Vocabulary::Merge& m : v.merges) by_pair_.emplace(pair_key(m.left, m.right), &m);
    for (size_t id = 0; id < v.tokens.size(); ++id)
      if (v.tokens[id].size() == 1) byte_ids_[static_cast<unsigned char>(v.tokens[id][0])] = static_cast<int32_t>(id);
  }

  /// The last merge before token `id` is whole, or null.
  const Vocabulary::Merge* last_merge(int32_t id) const {
    std::vector<int32_t> parts;
    for (char byte : vocabulary_.tokens[static_cast<size_t>(id)])
      parts.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
    for (;;) {
      const Vocabulary::Merge* best = nullptr;
      size_t at = 0;
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        auto it = by_pair_.find(pair_key(parts[i], parts[i + 1]));
        if (it != by_pair_.end() && (!best || it->second->rank < best->rank)) best = it->second, at = i;
      }
      if (!best || parts.size() == 2) return best && best->id == id ? best : nullptr;
      parts[at] = best->id;
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
  }

 private:
  const Vocabulary& vocabulary_;
  std::unordered_map<uint64_t, const Vocabulary::Merge*> by_pair_;
  std::array<int32_t, 256> byte_ids_{};
};

}  // namespace

Vocabulary read_vocabulary(const fs::path& model, const fs::path& fallback) {
  std::error_code ignored;
  const fs::path beside = fs::is_regular_file(model, ignored) ? model.parent_path() : model;
  for (const fs::path& candidate : {beside, fallback}) {
    const fs::path merges = first_of(candidate, {"vocab.bpe", "merges.txt"});
    const fs::path ids = first_of(candidate, {"encoder.json", "vocab.json"});
    if (!merges.empty()) return read_published(merges, ids);
    if (const fs::path llmc = first_of(candidate, {"gpt2_tokenizer.bin"}); !llmc.empty()) return read_llmc(llmc);
    if (!ids.empty())
      throw Error(fmt::format("{}: has no merges beside it; put the vocab.bpe or merges.txt it belongs to there",
                              ids.string()));
  }
  throw Error(fmt::format(
      "{}: no vocab.bpe, merges.txt or gpt2_tokenizer.bin there, nor in {}; put GPT-2's vocabulary files in "
      "either",
      beside.string(), fallback.string()));
}

std::string to_vocab_json(const Vocabulary& vocabulary) {
  std::string out = "{";
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id)
    out +=
        fmt::format("{}{}: {}", id ? ", " : "", nlohmann::json(spell(vocabulary.tokens[id])).dump(-1, ' ', true), id);
  return out + "}\n";
}

std::string to_merges_txt(const Vocabulary& v) {
  std::string out = "#version: 0.2\n";
  auto line = [&](const Vocabulary::Merge& m) {
    out += spell(v.tokens[static_cast<size_t>(m.left)]) + " " + spell(v.tokens[static_cast<size_t>(m.right)]) + "\n";
  };
  const MergeChooser chooser(v);
  for (size_t begin = 0, end = 0; begin < v.merges.size(); begin = end) {
    while (end < v.merges.size() && v.merges[end].rank == v.merges[begin].rank) ++end;
    const Vocabulary::Merge* one = end == begin + 1 ? &v.merges[begin] : chooser.last_merge(v.merges[begin].id);
    if (one) {
      line(*one);
    } else {
      for (size_t i = begin; i < end; ++i) line(v.merges[i]);
    }
  }
  return out;
}

std::string to_llmc_tokenizer(const Vocabulary& vocabulary) {
  std::array<int32_t, kLlmcHeaderInts> header{};
  header[0] = kLlmcMagic;
  header[1] = 2;
  header[2] = static_cast<int32_t>(vocabulary.tokens.size());
  header[3] = vocabulary.end_of_text;
  std::string out(reinterpret_cast<const char*>(header.data()), kLlmcHeaderBytes);
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    if (token.size() > 255)
      throw Error(
          fmt::format("token {}: {} bytes, but llm.c's gpt2_tokenizer.bin holds at most 255; convert to "
                      "--format hf",
                      id, token.size()));
    out += static_cast<char>(token.size());
    out += token;
  }
  return out;
}

}  // namespace wavetile
