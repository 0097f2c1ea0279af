// GPT-2's byte-level BPE. encode and decode are exact inverses on valid UTF-8: decode(encode(x)) == x.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "models/gpt2/vocabulary.h"

struct pcre2_real_code_8;  // PCRE2's compiled pattern, kept out of this header

namespace wavetile {

/// Immutable after load; any number of threads may use one.
class Tokenizer {
 public:
  static constexpr std::string_view kEndOfText = wavetile::kEndOfText;

  /// Uses the vocabulary files beside a model, or those in `fallback`; see read_vocabulary.
  static Tokenizer load(const std::filesystem::path& model, const std::filesystem::path& fallback);
  explicit Tokenizer(Vocabulary vocabulary);

  /// Every occurrence of <|endoftext|> in the text is the special token. Throws Error naming the byte offset if the
  /// text is not valid UTF-8. Takes O(n log n) time whatever the text.
  std::vector<int32_t> encode(std::string_view text) const;

  /// The bytes of the tokens; not necessarily UTF-8, since a token may end inside a character (see Utf8Stream).
  /// Throws Error on an id outside [0, vocab_size()).
  std::string decode(std::span<const int32_t> ids) const;
  std::string_view decode(int32_t id) const;

  int vocab_size() const { return static_cast<int>(tokens_.size()); }
  int32_t end_of_text() const { return end_of_text_; }

 private:
  struct Merge {
    int32_t rank, id;  // lowest rank first; the merged token
  };
  void compile_pattern();
  void encode_ordinary(std::string_view text, std::vector<int32_t>& out) const;
  void encode_word(std::string_view word, std::vector<int32_t>& out) const;
  const Merge* merge_of(int32_t left, int32_t right) const;

  std::vector<std::string> tokens_;             // bytes of each id
  std::array<int32_t, 256> byte_ids_{};         // id of each single byte
  std::unordered_map<uint64_t, Merge> merges_;  // by pair_key(left, right)
  int32_t end_of_text_ = -1;
  std::shared_ptr<const pcre2_real_code_8> pattern_;
};

/// Cuts a stream of bytes at character boundaries, so that what is printed is always valid UTF-8. Bytes that no
/// continuation can make valid become U+FFFD, one for each maximal prefix of a character (as the Unicode standard
/// recommends in 3.9, and Python's errors='replace' does).
class Utf8Stream {
 public:
  /// Adds bytes and returns all whole characters that have not been returned yet.
  std::string push(std::string_view bytes);
  /// Ends the stream: an unfinished character becomes U+FFFD.
  std::string flush();

 private:
  std::string pending_;  // a proper prefix of a character: at most 3 bytes
};

}  // namespace wavetile
