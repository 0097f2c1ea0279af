// Text -> words (one regular expression) -> bytes -> merges, lowest rank first, from left to right.
#include "models/gpt2/tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <queue>

#include "dsl/error.h"
#include "models/gpt2/utf8.h"

namespace wavetile {
namespace {

// GPT-2's pattern ('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+) with \s written out as
// Unicode's White_Space: PCRE2's own \s also has U+180E, which left that property in Unicode 6.3.
#define SPACES R"(\x09-\x0d\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})"
constexpr char kPattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" SPACES "\\p{L}\\p{N}]+|[" SPACES
                            "]+(?![^" SPACES "])|[" SPACES "]+";
#undef SPACES

}  // namespace

Tokenizer Tokenizer::load(const std::filesystem::path& model, const std::filesystem::path& fallback) {
  return Tokenizer(read_vocabulary(model, fallback));
}

Tokenizer::Tokenizer(Vocabulary vocabulary)
    : tokens_(std::move(vocabulary.tokens)), end_of_text_(vocabulary.end_of_text) {
  for (size_t id = 0; id < tokens_.size(); ++id)
    if (tokens_[id].size() == 1) byte_ids_[static_cast<unsigned char>(tokens_[id][0])] = static_cast<int32_t>(id);
  merges_.reserve(vocabulary.merges.size());
  for (const Vocabulary::Merge& m : vocabulary.merges) merges_.emplace(pair_key(m.left, m.right), Merge{m.rank, m.id});
  compile_pattern();
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
