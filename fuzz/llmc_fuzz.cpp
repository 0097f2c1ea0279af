// An llm.c checkpoint is read or refused; of one that is read, every tensor lies inside the file.
#include "fuzz/memory_file.h"
#include "models/gpt2/checkpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wavetile;
  static MemoryFile file;
  file.set(text_of(data, size));
  try {
    const Checkpoint checkpoint(file.path());
    FUZZ_CHECK(checkpoint.format() == CheckpointFormat::llmc);
    size_t bytes = llmc::kHeaderBytes;
    for (const NamedShape& spec : tensors_of(checkpoint.config())) {
      const StoredTensor t = checkpoint.tensor(spec);
      FUZZ_CHECK(t.shape == spec.shape);
      bytes += t.num_bytes();
      to_f32(t);
    }
    FUZZ_CHECK(bytes <= size);
  } catch (const Error& e) {
    check_message(e);
  }
  return 0;
}
