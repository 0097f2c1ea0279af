#include "models/gpt2/llmc.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <fstream>

#include "dsl/error.h"

namespace wavetile {

using namespace llmc;

bool LlmcFile::is_one(const std::filesystem::path& path) {
  std::error_code ignored;  // what cannot be examined is none
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  int32_t magic = 0;
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(&magic), sizeof magic);
  return magic == kMagic;
}

LlmcFile::LlmcFile(const std::filesystem::path& path) : file_(path) {
  const int64_t padding = read_header() - config_.vocab_size;
  const int64_t size = size_of(dtype_);
  const int64_t expected = int64_t{kHeaderBytes} + (config_.total_params() + padding * config_.channels) * size;
  if (const auto have = static_cast<int64_t>(file_.bytes().size()); have != expected)
    throw Error(fmt::format("{}: file length: {} bytes, but its header asks for {}; it is {}", path.string(), have,
                            expected, have < expected ? "truncated, or its header is damaged" : "damaged"));

  const std::byte* data = file_.bytes().data() + kHeaderBytes;
  for (NamedShape& spec : tensors_of(config_)) {
    StoredTensor t{spec.name, dtype_, std::move(spec.shape), data, path.string(), spec.linear};
    data += t.num_bytes();
    if (spec.name == "wte.weight") data += padding * config_.channels * size;
    tensors_.emplace(std::move(spec.name), std::move(t));
  }
}

// Fills in the configuration and the type; returns the padded size of the vocabulary.
int64_t LlmcFile::read_header() {
  std::array<int32_t, kHeaderInts> header{};
  auto fail = [&](const char* field, const std::string& what) {
    throw Error(fmt::format("{}: {}: {}", path().string(), field, what));
  };
  const std::span<const std::byte> bytes = file_.bytes();
  if (bytes.size() >= sizeof(int32_t)) std::memcpy(header.data(), bytes.data(), std::min(bytes.size(), kHeaderBytes));
  if (!bytes.empty() && header[kMagicField] != kMagic)
    fail("magic", fmt::format("{}, but an llm.c checkpoint begins with {}; for a Hugging Face model give the directory "
                              "that holds config.json and model.safetensors",
                              header[kMagicField], kMagic));
  if (bytes.size() < kHeaderBytes)
    fail("file length", fmt::format("{} bytes are too few for an llm.c checkpoint, whose header alone has {}; is it "
                                    "truncated?",
                                    bytes.size(), kHeaderBytes));
  if (header[kVersion] != kVersionF32 && header[kVersion] != kVersionBf16)
    fail("version", fmt::format("{}, but only {} (f32) and {} (bf16) can be read; write the checkpoint again with a "
                                "newer llm.c",
                                header[kVersion], kVersionF32, kVersionBf16));
  dtype_ = header[kVersion] == kVersionF32 ? DType::f32 : DType::bf16;

  auto positive = [&](Field field, const char* name, int limit) {
    const int32_t value = header[field];
    if (value < 1 || value > limit) fail(name, fmt::format("must lie between 1 and {}, is {}", limit, value));
    return value;
  };
  config_.max_seq_len = positive(kMaxSeqLen, "max_seq_len", limits::kPositions);
  config_.vocab_size = positive(kVocabSize, "vocab_size", limits::kVocab);
  config_.num_layers = positive(kNumLayers, "num_layers", limits::kLayers);
  config_.num_heads = positive(kNumHeads, "num_heads", limits::kHeads);
  config_.channels = positive(kChannels, "channels", limits::kChannels);
  config_.layernorm_eps = 1e-5f;
  if (config_.channels % config_.num_heads != 0)
    fail("channels", fmt::format("must be a multiple of num_heads: {} heads do not divide {} channels",
                                 config_.num_heads, config_.channels));
  const int padded = positive(kPaddedVocabSize, "padded_vocab_size", limits::kVocab);
  if (padded < config_.vocab_size)
    fail("padded_vocab_size", fmt::format("{} is less than vocab_size, {}", padded, config_.vocab_size));
  return padded;
}

}  // namespace wavetile
