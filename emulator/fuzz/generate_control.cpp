// The generator's control flow: blocks inside blocks.
#include "emulator/fuzz/generator.h"

namespace wavetile::fuzz {
namespace {
constexpr Type i1{Kind::i1, 1}, i32{Kind::i32, 1};
}

Block Generator::nested(int statements, const std::vector<Type>& parameters, Type result) {
  Block block;
  Block* const outer = block_;
  const std::size_t before = visible_.size();
  const int left = budget_;
  block_ = &block;
  ++depth_;
  for (Type t : parameters) {
    block.parameters.push_back(new_value(t, false));
    visible_.push_back(block.parameters.back());
  }
  budget_ = statements;
  while (budget_ > 0) statement();
  block.result = need(result, false);
  used_[static_cast<std::size_t>(block.result)] = true;
  --depth_;
  budget_ = left;
  block_ = outer;
  visible_.resize(before);
  return block;
}

void Generator::control() {
  const Type type = any_type(kAllKinds, 256, true);
  if (type.lanes == 0) return;
  const int size = random_.between(1, 6);
  budget_ -= size / 2;
  const int what = random_.below(10);
  const bool uniform = random_.percent(25);
  std::vector<int> arguments;
  std::vector<std::int64_t> immediates;
  std::vector<Block> blocks;
  const char* name = "if";
  if (what < 5) {
    arguments = {need(i1, uniform)};
    for (int i = 0; i < 2; ++i) blocks.push_back(nested(random_.below(size + 1), {}, type));
  } else if (what < 9) {
    name = "loop";
    arguments = {need(i32, uniform), need(type, false)};
    immediates = {random_.between(1, 5)};
    blocks.push_back(nested(size, {i32, type}, type));
  } else {
    name = "switch";
    arguments = {need(i32, uniform)};
    const int n = random_.between(3, 5);
    for (int i = 0; i < n; ++i) blocks.push_back(nested(random_.below(size / 2 + 1), {}, type));
  }
  const int v = add(operation(name), type, arguments, immediates);
  program_.uniform[static_cast<std::size_t>(v)] = false;
  block_->body.back().blocks = std::move(blocks);
}

}  // namespace wavetile::fuzz
