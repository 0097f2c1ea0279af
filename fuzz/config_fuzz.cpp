// A config.json is read or refused; one that is read describes a model whose sizes make sense.
#include "fuzz/memory_file.h"
#include "models/gpt2/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wavetile;
  static MemoryFile file;
  file.set(text_of(data, size));
  try {
    const Config c = read_config(file.path());
    FUZZ_CHECK(c.max_seq_len > 0 && c.vocab_size > 0 && c.num_layers > 0 && c.num_heads > 0);
    FUZZ_CHECK(c.channels == c.head_size() * c.num_heads);
    FUZZ_CHECK(c.layernorm_eps > 0 && c.layernorm_eps < 1);
    FUZZ_CHECK(c.total_params() > 0);
  } catch (const Error& e) {
    check_message(e);
  }
  return 0;
}
