// A safetensors file is read or refused; every tensor of one that is read lies inside it.
#include "fuzz/memory_file.h"
#include "models/gpt2/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wavetile;
  static MemoryFile file;
  file.set(text_of(data, size));
  try {
    const SafeTensors tensors(file.path());
    for (const std::string& name : tensors.names()) {
      try {
        const StoredTensor t = tensors.get(name);
        FUZZ_CHECK(t.num_bytes() <= size);
        to_f32(t);
      } catch (const Error& e) {  // of a dtype that is not ours
        check_message(e);
      }
    }
  } catch (const Error& e) {
    check_message(e);
  }
  return 0;
}
