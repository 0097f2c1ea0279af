// A gpt2_tokenizer.bin is read or refused; one that is read can be written again and encodes without loss.
#include "fuzz/memory_file.h"
#include "models/gpt2/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wavetile;
  static MemoryDirectory directory;
  directory.set("gpt2_tokenizer.bin", text_of(data, size));
  try {
    const Vocabulary v = read_vocabulary(directory.path(), "");
    const Tokenizer tokenizer(v);
    const std::string text = "The old sailor's 12 boats\n\n \xc3\xa9<|endoftext|>aaaaaaa";
    FUZZ_CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
    directory.set("gpt2_tokenizer.bin", to_llmc_tokenizer(v));
    const Vocabulary again = read_vocabulary(directory.path(), "");
    FUZZ_CHECK(again.tokens == v.tokens && again.merges.size() == v.merges.size());
    to_merges_txt(v);
  } catch (const Error& e) {
    check_message(e);
  }
  return 0;
}
