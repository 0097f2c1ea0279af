// The generator's loads, stores and atomics, and what the buffers hold.
#include <algorithm>
#include <cstring>

#include "emulator/fuzz/generator.h"

namespace wavetile::fuzz {
namespace {

constexpr Type i1{Kind::i1, 1}, i32{Kind::i32, 1}, i64{Kind::i64, 1};

int natural(Type type) {
  int align = 1;
  while (align < type.bytes() && align < 16) align *= 2;
  return align;
}

void put(std::vector<std::uint8_t>& to, std::size_t at, Type type, Random& random) {
  for (int i = 0; i < type.lanes; ++i) {
    const std::uint64_t bits = interesting(type.kind, random);
    std::memcpy(to.data() + at, &bits, static_cast<std::size_t>((type.bits() + 7) / 8));
    at += static_cast<std::size_t>((type.bits() + 7) / 8);
  }
}

}  // namespace

Space Generator::memory_space() {
  std::vector<Space> spaces{Space::own, Space::lds, Space::either};
  if (program_.private_arrays > 0) spaces.insert(spaces.end(), 3, Space::array);
  return random_.pick(spaces);
}

// Immediates of a load or a store: space, offset, alignment, array, places at `alignment` from each other of which a
// value chooses one (0: it is `offset` itself), volatile.
std::vector<std::int64_t> Generator::place(Type type, Space space, std::vector<int>& arguments, bool uniform) {
  int align = natural(type);
  if (random_.percent(25)) align = std::min(align, 1 << random_.below(4));
  const int region = space == Space::uniform ? kUniformTable : kOwnBytes;
  const int slots = (region - type.bytes()) / align + 1;
  const bool computed = space == Space::uniform || random_.percent(space == Space::array ? 70 : 40);
  const int offset = computed ? 0 : random_.below(slots) * align;
  if (computed) arguments.push_back(need(i32, uniform || random_.percent(space == Space::uniform ? 50 : 30)));
  if (space == Space::either) arguments.push_back(need(i1, random_.percent(30)));
  const int array = program_.private_arrays > 0 ? random_.below(program_.private_arrays) : 0;
  return {static_cast<std::int64_t>(space), offset, align, array, computed ? slots : 0, random_.percent(8)};
}

int Generator::load(Type type, Space space, bool uniform) {
  const Operation& o = operation("load");
  if (space == Space::uniform && type.lanes == 1 && type.bits() == 16) {  // LLVM may lose loads of half a word there
    const int word = load(i32, space, uniform);
    if (constants_.contains(word)) return constant(type);
    const int half = add(operation("trunc"), {Kind::i16, 1}, {word}, {});
    return type.is_float() ? add(operation("bitcast"), type, {half}, {}) : half;
  }
  if (space == Space::input || (space == Space::uniform && random_.percent(75))) {
    const bool input = space == Space::input;
    int& at = input ? input_at_ : uniform_at_;
    int align = natural(type);
    if (random_.percent(15)) align = std::min(align, 1 << random_.below(3));
    const int offset = (at + align - 1) / align * align;
    if (offset + type.bytes() > (input ? kInputBytes : kUniformBytes - kUniformTable)) return constant(type);
    at = offset + type.bytes();
    (input ? program_.input : program_.uniform_data).push_back({type, offset});
    const int v = add(o, type, {}, {static_cast<std::int64_t>(space), offset, align, 0, 0, 0});
    program_.uniform[static_cast<std::size_t>(v)] = !input;
    return v;
  }
  std::vector<int> arguments;
  auto immediates = place(type, space, arguments, uniform);
  const int v = add(o, type, arguments, immediates);
  if (space != Space::uniform) program_.uniform[static_cast<std::size_t>(v)] = false;
  return v;
}

void Generator::store(Type type, Space space) {
  std::vector<int> arguments{argument(type, false)};
  auto immediates = place(type, space, arguments, false);
  for (int a : arguments) used_[static_cast<std::size_t>(a)] = true;
  block_->body.push_back({&operation("store"), new_value({Kind::i32, 0}, false), type, arguments, immediates, {}});
}

void Generator::memory() {
  const Type type = any_type(kInts | kFloats, 256, true);
  if (type.lanes == 0) return;
  used_memory_ = true;
  const int what = random_.below(10);
  if (what < 1) {
    load(type, Space::uniform, false);
  } else if (what < 6) {
    store(type, memory_space());
  } else {
    load(type, memory_space(), false);
  }
}

// Immediates: space, offset of the cell, operation, ordering, scope, places (see above), returns.
void Generator::atomic() {
  const bool wide = random_.percent(30);
  const Type type = wide ? i64 : i32;
  const Space space = random_.pick(std::vector<Space>{Space::own, Space::own, Space::lds, Space::either});
  const int what = random_.below(10);
  const int ordering = random_.below(4), scope = random_.below(3);
  if (what < 2 && program_.shared_bytes + 32 <= kSharedBytes) {
    // Commutative ones, on four cells that all work-items share; nobody reads the old value.
    std::vector<int> arguments{need(type, random_.percent(30)), need(i32, random_.percent(20))};
    for (int a : arguments) used_[static_cast<std::size_t>(a)] = true;
    block_->body.push_back({&operation("shared_atomic"),
                            new_value({Kind::i32, 0}, false),
                            type,
                            arguments,
                            {program_.shared_bytes, random_.below(9), ordering, scope},
                            {}});
    program_.shared_bytes += 32;
    return;
  }
  const int slots = kOwnBytes / type.bytes();
  const bool computed = random_.percent(40);
  std::vector<std::int64_t> place{static_cast<std::int64_t>(space),
                                  computed ? 0 : random_.below(slots) * type.bytes(),
                                  0,
                                  ordering,
                                  scope,
                                  computed ? slots : 0,
                                  random_.percent(60)};
  std::vector<int> arguments;
  const bool exchange = what == 2;
  const bool floats = what == 3;
  Type result = type;
  if (floats) {
    result = {random_.pick(std::vector<Kind>{Kind::f32, Kind::f32, Kind::f64}), 1};
    place = {static_cast<std::int64_t>(space),
             random_.below(kOwnBytes / 8) * 8,
             random_.below(4),
             ordering,
             scope,
             0,
             random_.below(2)};
    arguments = {need(i32, false), need(i32, random_.percent(20))};
  } else {
    place[2] = exchange ? random_.below(2) : random_.below(13);
    arguments.push_back(need(type, random_.percent(30)));
    if (exchange) arguments.push_back(need(type, random_.percent(30)));
    if (computed) arguments.push_back(need(i32, random_.percent(30)));
  }
  if (space == Space::either) arguments.push_back(need(i1, random_.percent(30)));
  const int v = add(operation(floats     ? "float_atomic"
                              : exchange ? "compare_exchange"
                                         : "atomic"),
                    result, arguments, place);
  program_.uniform[static_cast<std::size_t>(v)] = false;
  if (!place.back()) visible_.pop_back();  // nobody may use the old value
}

// Between barriers: each work-item publishes a value and reads another's, or they count together.
void Generator::across_workgroup() {
  if (random_.percent(60)) {
    const Type type = any_type(kInts | kFloats, 128, true);
    if (type.lanes == 0) return;
    const int v = add(operation("exchange_lds"), type, {need(type, false), need(i32, false)}, {});
    program_.uniform[static_cast<std::size_t>(v)] = false;
  } else {
    const int v =
        add(operation("cells"), i32, {need(i32, false), need(i32, false), need(i32, false)}, {random_.below(9)});
    program_.uniform[static_cast<std::size_t>(v)] = false;
  }
}

Data make_data(const Program& p) {
  Random random(p.seed ^ 0x5eed, p.number);
  Data d;
  d.input.resize(std::size_t{kItems} * kInputBytes);
  d.uniform.resize(kUniformBytes);
  d.own.resize(std::size_t{kItems} * kOwnBytes);
  d.shared.resize(kSharedBytes);
  for (int item = 0; item < kItems; ++item)
    for (const Datum& at : p.input)
      put(d.input, static_cast<std::size_t>(item * kInputBytes + at.offset), at.type, random);
  for (std::vector<std::uint8_t>* words : {&d.uniform, &d.own, &d.shared})
    for (std::size_t at = 0; at < words->size(); at += 4) put(*words, at, i32, random);
  for (const Datum& at : p.uniform_data) put(d.uniform, static_cast<std::size_t>(at.offset), at.type, random);
  return d;
}

}  // namespace wavetile::fuzz
