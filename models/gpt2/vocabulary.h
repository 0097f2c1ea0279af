// A Vocabulary in hand is whole: ids 0 .. n-1, no two of the same bytes, none empty, all 256 bytes and <|endoftext|>
// among them, and every merge between tokens that it has.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace wavetile {

inline constexpr std::string_view kEndOfText = "<|endoftext|>";

struct Vocabulary {
  struct Merge {
    int32_t left, right, rank, id;  // the two tokens, lowest rank first, the merged token
  };

  std::vector<std::string> tokens;  ///< bytes of each id
  std::vector<Merge> merges;        ///< in order of rank; no pair twice
  int32_t end_of_text = -1;
};

/// A pair of tokens as one number.
constexpr uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
}

/// Reads the vocabulary beside a model (a directory, or a file in one), or that in the directory `fallback` where the
/// model has none:
///  - merges (`vocab.bpe` or `merges.txt`) and ids (`encoder.json` or `vocab.json`); without a file of ids they follow
///    from the merges: the 256 bytes, the merges in order, <|endoftext|>;
///  - else llm.c's `gpt2_tokenizer.bin`, whose merges follow from the ids: a pair of tokens merges when its
///    concatenation is a token, the lowest id first.
/// Throws Error naming path, line or token.
Vocabulary read_vocabulary(const std::filesystem::path& model, const std::filesystem::path& fallback);

/// The contents of vocab.json, merges.txt and gpt2_tokenizer.bin (version 2).
std::string to_vocab_json(const Vocabulary& vocabulary);
/// Where merges of one rank give a token (as they do when merges follow from ids), only that with which encoding the
/// token's bytes ends: GPT-2's own merges come out as published.
std::string to_merges_txt(const Vocabulary& vocabulary);
/// Throws Error if a token is longer than the format's 255 bytes.
std::string to_llmc_tokenizer(const Vocabulary& vocabulary);

}  // namespace wavetile
