#include "emulator/fuzz/generate.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "emulator/fuzz/generator.h"

namespace wavetile::fuzz {
namespace {

constexpr Type i1{Kind::i1, 1}, i32{Kind::i32, 1}, i64{Kind::i64, 1};

int total_bits(Type t) { return t.bits() * t.lanes; }

}  // namespace

Generator::Generator(std::uint64_t seed, std::uint64_t number) : random_(seed, number) {
  program_.seed = seed, program_.number = number;
  program_.flushes = number % 8 == 5;
  const int where = random_.below(10);
  program_.configurations = where < 7 ? kAllChips : where == 7 ? kRdna3 : where == 8 ? kGfx942 : kRdna3 & kWave64;
  across_ = random_.percent(45);
  vectors_ = random_.percent(60);
  palette_ = {Kind::i1, Kind::i32};
  for (int n = random_.between(1, 4); n > 0; --n) {
    static const std::vector<Kind> kinds{Kind::i8,  Kind::i16, Kind::i16, Kind::i32, Kind::i64,  Kind::i64,
                                         Kind::f16, Kind::f16, Kind::f32, Kind::f32, Kind::bf16, Kind::f64};
    palette_.push_back(random_.pick(kinds));
  }
  if (program_.flushes) {
    std::ranges::replace(palette_, Kind::bf16, Kind::f32);
    palette_.push_back(Kind::f32);
  }
  widths_ = {1};
  if (vectors_)
    for (int n = random_.between(1, 3); n > 0; --n)
      widths_.push_back(random_.pick(std::vector<int>{1, 2, 2, 2, 3, 4, 4, 8}));
  program_.private_arrays = random_.percent(25) ? random_.between(1, 2) : 0;
  for (int i = 0; i < kScalars; ++i) program_.scalars.push_back(interesting(i % 2 ? Kind::i64 : Kind::i32, random_));
  for (const Operation& o : operations()) {
    if (o.weight == 0 || (o.across && !across_) || (program_.configurations & ~o.chips) != 0) continue;
    if (program_.flushes && o.f32_inside) continue;
    for (int i = 0; i < o.weight; ++i) usable_.push_back(&o);
  }
}

Program Generator::run() {
  block_ = &program_.body;
  const int statements = random_.between(8, 45);
  budget_ = statements;
  while (budget_ > 0) statement();
  outputs();
  return std::move(program_);
}

// ---- values

int Generator::add(const Operation& o, Type type, std::vector<int> arguments, std::vector<std::int64_t> immediates) {
  const int value = new_value(type, false);
  bool uniform = o.amd.find("%item") == std::string::npos;
  for (int a : arguments) {
    uniform = uniform && program_.uniform[static_cast<std::size_t>(a)];
    used_[static_cast<std::size_t>(a)] = true;
  }
  program_.uniform[static_cast<std::size_t>(value)] = uniform;
  block_->body.push_back({&o, value, type, std::move(arguments), std::move(immediates), {}});
  visible_.push_back(value);
  return value;
}

int Generator::new_value(Type type, bool uniform) {
  program_.types.push_back(type);
  program_.uniform.push_back(uniform);
  used_.push_back(false);
  return static_cast<int>(program_.types.size()) - 1;
}

Type Generator::any_type(Kinds kinds, int most_bits, bool vectors) {
  for (int i = 0; i < 20; ++i) {
    Type t{random_.pick(palette_), static_cast<std::uint8_t>(random_.pick(widths_))};
    if (!vectors) t.lanes = 1;
    if (t.in(kinds) && total_bits(t) <= most_bits) return t;
  }
  return {Kind::i32, 0};
}

int Generator::need(Type type, bool uniform) {
  std::vector<int> fitting;
  for (int v : visible_)
    if (program_.types[static_cast<std::size_t>(v)] == type &&
        (!uniform || program_.uniform[static_cast<std::size_t>(v)]))
      fitting.push_back(v);
  if (!fitting.empty() && random_.percent(85)) {
    const int last = static_cast<int>(fitting.size()) - 1;
    return fitting[static_cast<std::size_t>(random_.percent(60) ? std::max(0, last - random_.below(4))
                                                                : random_.below(last + 1))];
  }
  return source(type, uniform);
}

int Generator::constant(Type type) {
  std::vector<std::int64_t> elements;
  const auto first = static_cast<std::int64_t>(interesting(type.kind, random_));
  const bool splat = random_.percent(40);
  for (int i = 0; i < type.lanes; ++i)
    elements.push_back(splat ? first : static_cast<std::int64_t>(interesting(type.kind, random_)));
  // LLVM takes -0.0 for 0 where it puts halves together.
  if (vectors_ && type.is_float() && type.bits() == 16) std::ranges::replace(elements, 0x8000, 0);
  const int v = add(operation("constant"), type, {}, elements);
  visible_.pop_back();  // as an operand only: an output of it would show nothing
  used_[static_cast<std::size_t>(v)] = true;
  constants_.insert(v);
  return v;
}

int Generator::need_varying(Type type, bool uniform) {
  const int v = need(type, uniform);
  return constants_.contains(v) ? load(type, uniform ? Space::uniform : Space::input, uniform) : v;
}

int Generator::source(Type type, bool uniform) {
  if (type.kind == Kind::i1) {
    Type of = any_type(kInts | kFloats, 256, false).with_lanes(type.lanes);
    if (of.bits() * of.lanes > 256 || of.bits() == 0) of = {Kind::i32, type.lanes};
    return compare(of, uniform);
  }
  const int how = random_.below(10);
  if (how < 2) return constant(type);
  if (type == i32 && how == 2) return uniform ? add_known("group", i32, true) : add_known("item", i32, false);
  if ((type == i32 || type == i64) && how == 3) {
    const int v = add(operation("scalar"), type, {}, {random_.below(kScalars / 2) * 2 + (type == i64)});
    program_.uniform[static_cast<std::size_t>(v)] = true;
    return v;
  }
  if (!uniform && how == 4 && used_memory_) return load(type, memory_space(), false);
  if (uniform || how == 5) return load(type, Space::uniform, uniform);
  return load(type, Space::input, false);
}

int Generator::add_known(const char* name, Type type, bool uniform) {
  const int v = add(operation(name), type, {}, {});
  program_.uniform[static_cast<std::size_t>(v)] = uniform;
  return v;
}

int Generator::compare(Type of, bool uniform) {
  const Operation& o = operation(of.is_float() ? "fcmp" : "icmp");
  const int a = need(of, uniform), b = random_.percent(30) ? constant(of) : need(of, uniform);
  return add(o, of.with(Kind::i1), {a, b}, {random_.below(of.is_float() ? 14 : 10)});
}

// ---- statements

void Generator::statement() {
  --budget_;
  const int what = random_.below(100);
  if (what < 4 && depth_ < 3) return control();
  if (what < 10) return memory();
  if (what < 13) return atomic();
  if (what < 15 && depth_ == 0) return across_workgroup();
  apply(*random_.pick(usable_));
}

void Generator::apply(const Operation& o) {
  if (o.whole_wave && depth_ > 0) return;
  const bool uniform = o.uniform_arguments || random_.percent(20);
  if (o.form == Form::special) return apply_special(o, uniform);
  std::vector<int> arguments;
  Type type = o.result;
  const bool division = std::string_view(o.name).ends_with("div") || std::string_view(o.name).ends_with("rem");
  if (o.form == Form::same) {
    type = any_type(o.kinds, division ? 64 : 256, o.vectors);
    if (type.lanes == 0) return;
    for (int i = 0; i < o.count; ++i) arguments.push_back(argument(type, uniform));
  } else if (o.form == Form::fixed) {
    for (Type t : o.parameters) arguments.push_back(argument(t, uniform));
    if (o.unknown_argument) {
      const int read = load(o.parameters[0], uniform ? Space::uniform : Space::input, uniform);
      if (constants_.contains(read)) return;  // there is no more to load
      arguments[0] = add(operation("xor"), o.parameters[0], {arguments[0], read}, {});
    }
  } else {
    const Type from = any_type(o.from, 256, o.vectors);
    if (from.lanes == 0) return;
    type = {random_.pick(std::vector<Kind>{Kind::i1, Kind::i8, Kind::i16, Kind::i32, Kind::i64, Kind::f16, Kind::bf16,
                                           Kind::f32, Kind::f64}),
            from.lanes};
    const std::string_view name = o.name;
    const bool grows = name == "zext" || name == "sext" || name == "fpext",
               shrinks = name == "trunc" || name == "fptrunc";
    const bool product = from.kind == Kind::f32 && type.kind == Kind::f16;  // see fptrunc_product
    if (!type.in(o.kinds) || is_barred(type) || (name == "fptrunc" && product) || total_bits(type) > 256 ||
        (grows && type.bits() <= from.bits()) || (shrinks && type.bits() >= from.bits()))
      return;
    arguments.push_back(need(from, uniform));
  }
  std::vector<std::int64_t> immediates;
  if (o.immediates) immediates = o.immediates(random_, program_.configurations);
  const int v = add(o, type, std::move(arguments), std::move(immediates));
  if (o.across) {
    const std::string_view name = o.name;
    program_.uniform[static_cast<std::size_t>(v)] =
        name == "ballot" || name.starts_with("wave_reduce") || name.starts_with("read_");
  } else if (std::string_view(o.name).starts_with("mbcnt")) {
    program_.uniform[static_cast<std::size_t>(v)] = false;
  }
}

int Generator::argument(Type type, bool uniform) {
  return type.kind != Kind::i1 && random_.percent(12) ? constant(type) : need(type, uniform);
}

void Generator::apply_special(const Operation& o, bool uniform) {
  const std::string_view name = o.name;
  if (name == "icmp" || name == "fcmp") {
    const Type of = any_type(name == "icmp" ? kInts : kFloats, 256, true);
    if (of.lanes != 0) compare(of, uniform);
  } else if (name == "bitcast") {
    bitcast(o, uniform);
  } else if (name == "fpclass") {
    const Type of = any_type(kFloats, 256, true);
    if (of.lanes == 0) return;
    std::int64_t mask = random_.below(256) << 2;
    if (random_.percent(50)) mask |= 3;
    add(o, of.with(Kind::i1), {need(of, uniform)}, {mask});
  } else if (name == "ldexp" || name == "ldexp_f16") {
    const Type of = any_type(o.kinds, 256, true);
    if (of.lanes != 0) add(o, of, {need(of, uniform), need(of.with(Kind::i32), uniform)}, {});
  } else if (name == "select" || name == "select_vector") {
    const Type of = any_type(kAllKinds, 256, true);
    if (of.lanes == 0) return;
    const int condition = need(name == "select" ? i1 : of.with(Kind::i1), uniform);
    const int yes = argument(of, uniform), no = argument(of, uniform);
    add(o, of, {condition, yes, no}, {});
  } else {
    vector(o, uniform);
  }
}

void Generator::bitcast(const Operation& o, bool uniform) {
  const Type from = any_type(kInts | kFloats, 256, true);
  if (from.lanes == 0) return;
  std::vector<Type> fitting;
  for (Kind k : {Kind::i8, Kind::i16, Kind::i32, Kind::i64, Kind::f16, Kind::bf16, Kind::f32, Kind::f64})
    for (int lanes : {1, 2, 3, 4, 8})
      if (const Type t{k, static_cast<std::uint8_t>(lanes)};
          t != from && total_bits(t) == total_bits(from) && !is_barred(t))
        fitting.push_back(t);
  if (!fitting.empty()) add(o, random_.pick(fitting), {need(from, uniform)}, {});
}

void Generator::vector(const Operation& o, bool uniform) {
  Type of;
  for (int i = 0; i < 10 && of.lanes < 2; ++i) of = any_type(kAllKinds, 256, true);
  if (of.lanes < 2) return;
  const std::string_view name = o.name;
  const int n = of.lanes;
  const Type element = of.with_lanes(1);
  if (name.starts_with("reduce")) {
    if (of.in(kInts)) add(o, element, {need(of, uniform)}, {});
  } else if (name == "extract") {
    add(o, element, {need(of, uniform)}, {random_.below(n)});
  } else if (name == "extract_at") {
    add(o, element, {need(of, uniform), need(i32, random_.percent(50))}, {n});
  } else if (name == "insert") {
    add(o, of, {need(of, uniform), need(element, uniform)}, {random_.below(n)});
  } else if (name == "insert_at") {
    add(o, of, {need(of, uniform), need(element, uniform), need(i32, random_.percent(50))}, {n});
  } else if (name == "shuffle") {
    int lanes = random_.percent(60) ? n : random_.pick(std::vector<int>{2, 3, 4, 8});
    if (lanes * of.bits() > 256) lanes = 2;
    std::vector<std::int64_t> mask;
    for (int i = 0; i < lanes; ++i) mask.push_back(random_.below(2 * n));
    // LLVM takes a vector of -0.0 for one of zeros.
    const int a = of.is_float() ? need_varying(of, uniform) : need(of, uniform);
    const int b = of.is_float() ? need_varying(of, uniform) : need(of, uniform);
    if (of.is_float() && (constants_.contains(a) || constants_.contains(b))) return;
    add(o, of.with_lanes(lanes), {a, b}, mask);
  } else {
    std::vector<int> elements;
    const bool splat = random_.percent(25);
    for (int i = 0; i < n; ++i) elements.push_back(i > 0 && splat ? elements[0] : argument(element, uniform));
    add(o, of, elements, {});
  }
}

// ---- results

// What nothing else uses is stored, and some of the rest.
void Generator::outputs() {
  int at = 0;
  std::vector<int> values;
  for (int v : visible_)
    if (!used_[static_cast<std::size_t>(v)] || random_.percent(10)) values.push_back(v);
  for (int v : values) {
    const Type type = program_.types[static_cast<std::size_t>(v)];
    int align = 1;
    while (align < type.bytes() && align < 16) align *= 2;
    if (random_.percent(15)) align = std::min(align, 1 << random_.below(3));
    // Not side by side in one word: LLVM may lose a half of it.
    at = (at + std::max(align, 4) - 1) / std::max(align, 4) * std::max(align, 4);
    if (at + type.bytes() > kOutputBytes) break;
    Statement s{&operation("output"), -1, type, {v}, {at, align}, {}};
    block_->body.push_back(s);
    program_.output.push_back({type, at});
    at += type.bytes();
  }
}

Program generate(std::uint64_t seed, std::uint64_t number) { return Generator(seed, number).run(); }

}  // namespace wavetile::fuzz
