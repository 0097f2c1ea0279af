// The encoder with GPT-2's vocabulary: decode(encode(x)) == x for every UTF-8 text; merges that follow from llm.c's ids
// give the same tokens; and for ASCII so does an implementation that is as plain as can be.
#include <map>
#include <utility>

#include "fuzz/memory_file.h"
#include "models/gpt2/tokenizer.h"
#include "models/gpt2/utf8.h"

namespace wavetile {
namespace {

struct World {
  Vocabulary vocabulary = read_vocabulary(WAVETILE_SOURCE_DIR "/models/gpt2/vocab", "");
  Tokenizer tokenizer{vocabulary};
  Tokenizer llmc = [this] {
    MemoryDirectory directory;
    directory.set("gpt2_tokenizer.bin", to_llmc_tokenizer(vocabulary));
    return Tokenizer::load(directory.path(), "");
  }();
  std::map<std::pair<int32_t, int32_t>, Vocabulary::Merge> merges;
  std::map<std::string, int32_t> ids;

  World() {
    for (const auto& m : vocabulary.merges) merges[{m.left, m.right}] = m;
    for (size_t id = 0; id < vocabulary.tokens.size(); ++id) ids[vocabulary.tokens[id]] = static_cast<int32_t>(id);
  }
};

enum class Kind { space, letter, number, other };

Kind kind_of(char c) {
  if (c == ' ' || (c >= '\t' && c <= '\r')) return Kind::space;
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return Kind::letter;
  return c >= '0' && c <= '9' ? Kind::number : Kind::other;
}

// The length of the first word of an ASCII text, by GPT-2's pattern read aloud.
size_t first_word(std::string_view text) {
  for (std::string_view suffix : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
    if (text.substr(0, suffix.size()) == suffix) return suffix.size();
  const size_t begin = text[0] == ' ' && text.size() > 1 && kind_of(text[1]) != Kind::space ? 1 : 0;
  size_t end = begin;
  while (end < text.size() && kind_of(text[end]) == kind_of(text[begin])) ++end;
  const bool spaces_before_a_word = kind_of(text[begin]) == Kind::space && end < text.size() && end > 1;
  return spaces_before_a_word ? end - 1 : end;
}

void encode_word(const World& world, std::string_view word, std::vector<int32_t>& out) {
  std::vector<int32_t> parts;
  for (char c : word) parts.push_back(world.ids.at(std::string(1, c)));
  for (;;) {
    const Vocabulary::Merge* best = nullptr;
    size_t at = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      auto it = world.merges.find({parts[i], parts[i + 1]});
      if (it != world.merges.end() && (!best || it->second.rank < best->rank)) best = &it->second, at = i;
    }
    if (!best) break;
    parts[at] = best->id;
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  out.insert(out.end(), parts.begin(), parts.end());
}

std::vector<int32_t> encode_plainly(const World& world, std::string_view text) {
  std::vector<int32_t> out;
  while (!text.empty()) {
    const size_t special = text.find(kEndOfText);
    for (std::string_view part = text.substr(0, special); !part.empty();) {
      const size_t length = first_word(part);
      encode_word(world, part.substr(0, length), out);
      part.remove_prefix(length);
    }
    if (special == std::string_view::npos) break;
    out.push_back(world.vocabulary.end_of_text);
    text.remove_prefix(special + kEndOfText.size());
  }
  return out;
}

}  // namespace
}  // namespace wavetile

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wavetile;
  static const World world;
  const std::string_view text = text_of(data, size);
  bool utf8 = true, ascii = true;
  for (size_t i = 0; i < text.size() && utf8;) {
    const Utf8Step step = utf8_step(text.substr(i));
    utf8 = step.kind == Utf8::whole;
    ascii &= step.length == 1;
    i += step.length;
  }
  try {
    const std::vector<int32_t> ids = world.tokenizer.encode(text);
    FUZZ_CHECK(utf8);
    FUZZ_CHECK(world.tokenizer.decode(ids) == text);
    FUZZ_CHECK(world.llmc.encode(text) == ids);
    if (ascii) FUZZ_CHECK(encode_plainly(world, text) == ids);
  } catch (const Error& e) {
    check_message(e);
    FUZZ_CHECK(!utf8);
  }
  return 0;
}
