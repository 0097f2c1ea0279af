// Kernel arguments from the command line: what `--arg` says, laid out as the kernel's metadata asks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "emulator/code_object.h"
#include "emulator/emulator.h"

namespace wavetile::emu {

/// An error in what the user wrote; what() names the argument and says what is possible.
struct ArgumentError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct ElementType {
  std::string_view name;
  std::size_t bytes;
};

/// One `--arg`. Numbers stand for themselves; buffers are memory of the emulated device while this lives.
///   i32:7  f32:0.5                   a number
///   in:f32:x.bin                     a buffer with the file's contents
///   in:f32:1024                      … with so many random numbers (floats in [-1, 1), integers in [0, 100))
///   in:i32:=1,2,3                    … with these
///   out:f32:1024[:y.bin]             a buffer that nothing wrote, printed or written to the file afterwards
///   inout:f32:x.bin[:y.bin]          both
class Argument {
 public:
  Argument(const std::string& text, Memory& memory, std::mt19937& random);
  ~Argument();
  Argument(Argument&&) = delete;

  const std::vector<std::byte>& value() const { return value_; }  // of a number: its bytes; of a buffer: its address
  /// The contents of an output as lines of text, at most `limit` elements; writes the file when one was named.
  std::string result(std::size_t limit) const;
  bool is_output() const { return output_; }

 private:
  void fill(const std::string& from, std::mt19937& random);
  std::string text_;
  ElementType type_{};
  bool buffer_ = false, input_ = false, output_ = false;
  std::string file_;  // of the output
  std::vector<std::byte> value_;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  Memory& memory_;
};

/// The kernarg segment: explicit arguments by position, hidden ones from the dispatch. Throws ArgumentError where the
/// number or the sizes do not fit the metadata.
std::vector<std::byte> kernarg_segment(const KernelInfo& kernel,
                                       const std::vector<std::unique_ptr<Argument>>& arguments,
                                       const Dispatch& dispatch);

}  // namespace wavetile::emu
