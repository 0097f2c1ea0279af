// Text -> words (one regular expression) -> bytes -> merges, lowest rank first. The vocabulary files spell bytes as
// printable characters (GPT-2's bytes_to_unicode); past the loaders everything is raw bytes and ids.
#include "models/gpt2/tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <pcre2.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <queue>

#include "dsl/error.h"
#include "models/gpt2/safetensors.h"

namespace wavetile {
namespace {

namespace fs = std::filesystem;

// GPT-2's pattern ('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+) with \s written out as
// Unicode's White_Space: PCRE2's own \s also has U+180E, which left that property in Unicode 6.3.
#define SPACES R"(\x09-\x0d\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})"
constexpr char kPattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" SPACES "\\p{L}\\p{N}]+|[" SPACES
                            "]+(?![^" SPACES "])|[" SPACES "]+";
#undef SPACES

enum class Utf8 { whole, unfinished, invalid };
struct Utf8Step {
  Utf8 kind;
  size_t length;  // of the character, or of its longest valid prefix (at least 1)
};

// The first character of a non-empty text, by table 3-7 of the Unicode standard (no overlong forms, no surrogates,
// nothing past U+10FFFF).
Utf8Step utf8_step(std::string_view text) {
  auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return {Utf8::whole, 1};
  const size_t length = lead >= 0xc2 && lead <= 0xdf   ? 2
                        : lead >= 0xe0 && lead <= 0xef ? 3
                        : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                       : 0;
  if (length == 0) return {Utf8::invalid, 1};
  unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  for (size_t i = 1; i < length; ++i, low = 0x80, high = 0xbf) {
    if (i == text.size()) return {Utf8::unfinished, i};
    if (at(i) < low || at(i) > high) return {Utf8::invalid, i};
  }
  return {Utf8::whole, length};
}

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
    throw Error(fmt::format("{}: not valid JSON: {}", path_, e.what()));
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
  tokens.emplace_back(Tokenizer::kEndOfText);
  return tokens;
}

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
}

// The first of the names that exists in the directory, or an empty path.
fs::path first_of(const fs::path& directory, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    std::error_code ignored;  // what cannot be examined does not exist
    if (fs::exists(directory / name, ignored)) return directory / name;
  }
  return {};
}

}  // namespace

// Bytes -> id while loading: open addressing over the ids, a third of what std::unordered_map takes.
class Tokenizer::Ids {
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

Tokenizer Tokenizer::load(const fs::path& directory, const fs::path& fallback) {
  fs::path merges, ids_path, from;
  for (const fs::path& candidate : {directory, fallback}) {
    merges = first_of(candidate, {"vocab.bpe", "merges.txt"});
    ids_path = first_of(candidate, {"encoder.json", "vocab.json"});
    if (!merges.empty() || !ids_path.empty()) break;
  }
  if (merges.empty() && ids_path.empty())
    throw Error(fmt::format("{}: no vocab.bpe or merges.txt there, nor in {}; put GPT-2's vocabulary files in either",
                            directory.string(), fallback.string()));
  if (merges.empty())
    throw Error(fmt::format("{}: has no merges beside it; put the vocab.bpe or merges.txt it belongs to there",
                            ids_path.string()));

  Tokenizer result;
  const MappedFile file(merges);
  if (!ids_path.empty())
    result.tokens_ = read_tokens(ids_path);
  else
    result.tokens_ = derive_tokens(file.text(), merges.string());
  const std::string path = (ids_path.empty() ? merges : ids_path).string();
  Ids ids(result.tokens_);
  for (size_t id = 0; id < result.tokens_.size(); ++id)
    if (!ids.insert(id))
      throw Error(fmt::format("{}: the tokens {} and {} are the same bytes", path, ids.find(result.tokens_[id]), id));
  for (size_t byte = 0; byte < 256; ++byte) {
    const char one = static_cast<char>(byte);
    if ((result.byte_ids_[byte] = ids.find({&one, 1})) < 0)
      throw Error(fmt::format("{}: byte 0x{:02x}: missing; a byte-level vocabulary has all 256", path, byte));
  }
  if ((result.end_of_text_ = ids.find(kEndOfText)) < 0)
    throw Error(fmt::format("{}: {}: missing; GPT-2's vocabulary has it", path, kEndOfText));
  result.read_merges(file.text(), merges.string(), ids);
  result.compile_pattern();
  return result;
}

void Tokenizer::read_merges(std::string_view text, const std::string& path, const Ids& ids) {
  merges_.reserve(tokens_.size());
  int32_t rank = 0;
  for_each_merge(text, path, [&](std::string_view merged, size_t split, auto&& fail) {
    const int32_t left = ids.find(merged.substr(0, split)), right = ids.find(merged.substr(split));
    const int32_t id = ids.find(merged);
    if (left < 0 || right < 0 || id < 0)
      fail(fmt::format("the {} token is not in the vocabulary", left < 0 ? "left" : right < 0 ? "right" : "merged"));
    if (!merges_.emplace(pair_key(left, right), Merge{rank++, id}).second) fail("this merge stands in an earlier line");
  });
}

void Tokenizer::compile_pattern() {
  int code = 0;
  size_t offset = 0;
  pcre2_code* compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kPattern), PCRE2_ZERO_TERMINATED,
                                       PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &code, &offset, nullptr);
  if (!compiled) {
    unsigned char message[256];
    pcre2_get_error_message(code, message, sizeof message);
    throw Error(fmt::format("PCRE2 cannot compile GPT-2's pattern: {}; it needs a PCRE2 with Unicode support",
                            reinterpret_cast<const char*>(message)));
  }
  pattern_ = std::shared_ptr<const pcre2_code>(compiled, pcre2_code_free);
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);  // where there is no JIT, the interpreter gives the same matches
}

const Tokenizer::Merge* Tokenizer::merge_of(int32_t left, int32_t right) const {
  auto it = merges_.find(pair_key(left, right));
  return it == merges_.end() ? nullptr : &it->second;
}

// A linked list of symbols, and a heap of the merges that adjacent ones allow. A merge changes two pairs, whose old
// heap entries go stale: an entry counts only while its left symbol still offers that rank.
void Tokenizer::encode_word(std::string_view word, std::vector<int32_t>& out) const {
  constexpr size_t kNone = SIZE_MAX;
  struct Symbol {
    int32_t id;
    int32_t rank;  // of the merge with the next symbol; -1: no such merge
    size_t previous, next;
  };
  using Candidate = std::pair<int32_t, size_t>;  // rank, left symbol: equal ranks merge from left to right
  std::vector<Symbol> symbols(word.size());
  std::vector<Candidate> storage;
  storage.reserve(word.size());
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates({}, std::move(storage));
  auto offer = [&](size_t i) {
    Symbol& s = symbols[i];
    const Merge* merge = s.next == kNone ? nullptr : merge_of(s.id, symbols[s.next].id);
    s.rank = merge ? merge->rank : -1;
    if (merge) candidates.emplace(s.rank, i);
  };
  for (size_t i = 0; i < word.size(); ++i)
    symbols[i] = {byte_ids_[static_cast<unsigned char>(word[i])], -1, i == 0 ? kNone : i - 1,
                  i + 1 == word.size() ? kNone : i + 1};
  for (size_t i = 0; i + 1 < word.size(); ++i) offer(i);

  while (!candidates.empty()) {
    const auto [rank, i] = candidates.top();
    candidates.pop();
    Symbol& left = symbols[i];
    if (left.rank != rank) continue;
    Symbol& right = symbols[left.next];
    left.id = merge_of(left.id, right.id)->id;
    left.next = right.next;
    right.rank = -1;
    if (left.next != kNone) symbols[left.next].previous = i;
    offer(i);
    if (left.previous != kNone) offer(left.previous);
  }
  for (size_t i = 0; i != kNone; i = symbols[i].next) out.push_back(symbols[i].id);
}

void Tokenizer::encode_ordinary(std::string_view text, std::vector<int32_t>& out) const {
  std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> match(pcre2_match_data_create(1, nullptr),
                                                                       pcre2_match_data_free);
  if (!match) throw std::bad_alloc();
  // A word that came before is a copy of what it gave then: where in `out`, and how many.
  std::unordered_map<std::string_view, std::pair<size_t, size_t>> seen;
  for (size_t at = 0; at < text.size();) {
    int rc = pcre2_match(pattern_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, PCRE2_NO_UTF_CHECK,
                         match.get(), nullptr);
    const size_t end = rc < 0 ? at : pcre2_get_ovector_pointer(match.get())[1];
    if (end == at) throw InternalError(fmt::format("tokenizer: PCRE2 returns {} at byte {}", rc, at));
    const std::string_view word = text.substr(at, end - at);
    at = end;
    auto [it, is_new] = seen.try_emplace(word, out.size(), 0);
    auto& [first, count] = it->second;
    if (is_new) {
      encode_word(word, out);
      count = out.size() - first;
    } else {
      for (size_t i = 0; i < count; ++i) out.push_back(out[first + i]);
    }
  }
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  for (size_t i = 0; i < text.size();) {
    Utf8Step step = utf8_step(text.substr(i));
    if (step.kind != Utf8::whole)
      throw Error(fmt::format("the text is not valid UTF-8: byte 0x{:02x} at offset {}; convert it to UTF-8",
                              static_cast<unsigned char>(text[i]), i));
    i += step.length;
  }
  std::vector<int32_t> out;
  for (;;) {
    const size_t special = text.find(kEndOfText);
    encode_ordinary(text.substr(0, special), out);
    if (special == std::string_view::npos) return out;
    out.push_back(end_of_text_);
    text.remove_prefix(special + kEndOfText.size());
  }
}

std::string_view Tokenizer::decode(int32_t id) const {
  if (id < 0 || id >= vocab_size())
    throw Error(fmt::format("token id {} is out of range: the vocabulary has ids 0 to {}", id, vocab_size() - 1));
  return tokens_[static_cast<size_t>(id)];
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string out;
  for (int32_t id : ids) out += decode(id);
  return out;
}

std::string Utf8Stream::push(std::string_view bytes) {
  pending_ += bytes;
  std::string out;
  size_t i = 0;
  while (i < pending_.size()) {
    Utf8Step step = utf8_step(std::string_view(pending_).substr(i));
    if (step.kind == Utf8::unfinished) break;
    if (step.kind == Utf8::whole)
      out.append(pending_, i, step.length);
    else
      out += "\uFFFD";
    i += step.length;
  }
  pending_.erase(0, i);
  return out;
}

std::string Utf8Stream::flush() {
  std::string out = pending_.empty() ? "" : "\uFFFD";
  pending_.clear();
  return out;
}

}  // namespace wavetile
