// The state of generate(): the program so far, and what the next statement may use.
#pragma once

#include <set>

#include "emulator/fuzz/generate.h"

namespace wavetile::fuzz {

class Generator {
 public:
  Generator(std::uint64_t seed, std::uint64_t number);
  Program run();

 private:
  /// LLVM computes with bf16 as f32, and flushes its denormals where it need not.
  bool is_barred(Type type) const { return program_.flushes && type.kind == Kind::bf16; }
  int new_value(Type type, bool uniform);
  int add(const Operation& o, Type type, std::vector<int> arguments, std::vector<std::int64_t> immediates);
  int add_known(const char* name, Type type, bool uniform);
  /// A type of the program's palette; of no lanes when none fits.
  Type any_type(Kinds kinds, int most_bits, bool vectors);
  /// A value to use: one there is, or a new one.
  int need(Type type, bool uniform);
  int argument(Type type, bool uniform);  // ... or a constant
  int source(Type type, bool uniform);
  int constant(Type type);
  int need_varying(Type type, bool uniform);  // as need(), but no constant
  int compare(Type of, bool uniform);

  void statement();
  void apply(const Operation& o);
  void apply_special(const Operation& o, bool uniform);
  void bitcast(const Operation& o, bool uniform);
  void vector(const Operation& o, bool uniform);
  void outputs();

  // generate_memory.cpp
  Space memory_space();
  int load(Type type, Space space, bool uniform);
  void store(Type type, Space space);
  std::vector<std::int64_t> place(Type type, Space space, std::vector<int>& arguments, bool uniform);
  void memory();
  void atomic();
  void across_workgroup();

  // generate_control.cpp
  void control();
  Block nested(int statements, const std::vector<Type>& parameters, Type result);

  Random random_;
  Program program_;
  Block* block_ = nullptr;
  std::vector<Kind> palette_;
  std::vector<int> widths_;
  std::vector<const Operation*> usable_;  // each as often as it weighs
  std::vector<int> visible_;
  std::vector<bool> used_;
  std::set<int> constants_;
  int budget_ = 0, depth_ = 0, input_at_ = 0, uniform_at_ = 0;
  bool across_ = false, vectors_ = false, used_memory_ = false;
};

}  // namespace wavetile::fuzz
