// vocab.bpe, and after a NUL encoder.json: they are read or refused; what is read can be written again, gives the same
// vocabulary and encodes without loss.
#include "fuzz/memory_file.h"
#include "models/gpt2/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wavetile;
  static MemoryDirectory directory;
  const std::string_view input = text_of(data, size), merges = input.substr(0, input.find('\0'));
  directory.set("vocab.bpe", merges);
  if (merges.size() < input.size())
    directory.set("encoder.json", input.substr(merges.size() + 1));
  else
    directory.remove("encoder.json");
  try {
    const Vocabulary v = read_vocabulary(directory.path(), "");
    const Tokenizer tokenizer(v);
    const std::string text = "The old sailor's 12 boats\n\n \xc3\xa9<|endoftext|>aaaaaaa";
    FUZZ_CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
    directory.set("vocab.bpe", to_merges_txt(v));
    directory.set("encoder.json", to_vocab_json(v));
    const Vocabulary again = read_vocabulary(directory.path(), "");
    FUZZ_CHECK(again.tokens == v.tokens && again.merges.size() == v.merges.size());
    FUZZ_CHECK(Tokenizer(again).encode(text) == tokenizer.encode(text));
  } catch (const Error& e) {
    check_message(e);
  }
  return 0;
}
