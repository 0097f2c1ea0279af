#include "emulator/fuzz/text.h"

#include <algorithm>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

#include "emulator/fuzz/definitions.h"
#include "emulator/fuzz/writer.h"

namespace wavetile::fuzz {

std::string function_name(const Program& program) { return fmt::format("p{}", program.number); }

std::vector<std::uint8_t> scalar_arguments(const Program& p) {
  std::vector<std::uint8_t> bytes;
  for (int i = 0; i < kScalars; ++i)  // i32, padding, i64
    for (int b = 0; b < 8; ++b)
      bytes.push_back(static_cast<std::uint8_t>(
          (i % 2 ? p.scalars[static_cast<std::size_t>(i)] : p.scalars[static_cast<std::size_t>(i)] & 0xffffffff) >>
          8 * b));
  return bytes;
}

std::string write(const std::vector<const Program*>& programs, Side side) {
  std::string out;
  if (side == Side::host)
    for (const Definition& d : definitions()) out += fmt::format("declare {}\n", d.declaration);
  for (const Program* p : programs) out += Writer(*p, side).function();
  if (side == Side::host) return out + "attributes #0 = { nounwind }\n";
  const std::string_view kernel =
      "nounwind \"amdgpu-flat-work-group-size\"=\"64,64\" \"uniform-work-group-size\"=\"true\" "
      "\"amdgpu-implicitarg-num-bytes\"=\"0\"";
  return out + fmt::format(
                   "attributes #0 = {{ {0} }}\n"
                   "attributes #1 = {{ {0} \"denormal-fp-math-f32\"=\"preserve-sign,preserve-sign\" }}\n"
                   "!0 = !{{}}\n!llvm.module.flags = !{{!1}}\n"
                   "!1 = !{{i32 1, !\"amdhsa_code_object_version\", i32 500}}\n",
                   kernel);
}

std::string Writer::function() {
  collect_constants(program_.body);
  entry();
  block(program_.body);
  line("ret void");
  return out_ + "}\n";
}

void Writer::entry() {
  const std::string f = function_name(program_);
  const char* scalars = "i32 %s0, i64 %s1, i32 %s2, i64 %s3";
  if (side_ == Side::amd) {
    out_ = fmt::format(
        "@{0}.lds = internal addrspace(3) global [{1} x i8] poison, align 64\n"
        "define protected amdgpu_kernel void @{0}(ptr addrspace(1) noalias readonly %in, ptr addrspace(1) noalias "
        "readonly "
        "%uniform, ptr addrspace(1) %own.all, ptr addrspace(1) %shared, ptr addrspace(1) %out.all, {2}) #{3} {{\n",
        f, kLdsBytes, scalars, int{program_.flushes});
    label("entry");
    line("%item = call i32 @llvm.amdgcn.workitem.id.x()");
    line("%group = call i32 @llvm.amdgcn.workgroup.id.x()");
  } else {
    out_ = fmt::format(
        "define void @{}(ptr %in, ptr %uniform, ptr %own.all, ptr %shared, ptr %out.all, ptr %lds, i32 %item, i32 "
        "%group, "
        "{}) #0 {{\n",
        f, scalars);
    label("entry");
  }
  line(fmt::format("%first = mul i32 %group, {}", kGroupItems));
  line("%all.item = add i32 %first, %item");
  auto own = [&](const char* what, const char* base, int bytes) {
    line(fmt::format("%{}.at = mul i32 %all.item, {}", what, bytes));
    line(fmt::format("%{0} = getelementptr i8, {1} %{2}, i32 %{0}.at", what, pointer(Space::own), base));
  };
  own("my.in", "in", kInputBytes);
  own("own", "own.all", kOwnBytes);
  own("out", "out.all", kOutputBytes);
  line(fmt::format("%lds.at = mul i32 %item, {}", kOwnBytes));
  const std::string lds = side_ == Side::amd ? fmt::format("@{}.lds", f) : "%lds";
  line(fmt::format("%lds.own = getelementptr i8, {} {}, i32 %lds.at", pointer(Space::lds), lds));
  for (int i = 0; i < kOwnBytes; i += 16) {
    line(fmt::format("%lds.zero{0} = getelementptr i8, {1} %lds.own, i32 {0}", i, pointer(Space::lds)));
    line(fmt::format("store <4 x i32> zeroinitializer, {} %lds.zero{}, align 16", pointer(Space::lds), i));
  }
  for (int i = 0; i < program_.private_arrays; ++i) {
    line(fmt::format("%array{} = alloca [{} x i8], align 16{}", i, kPrivateBytes,
                     side_ == Side::amd ? ", addrspace(5)" : ""));
    line(
        fmt::format("store [{} x i8] zeroinitializer, {} %array{}, align 16", kPrivateBytes, pointer(Space::array), i));
  }
}

void Writer::label(const std::string& name) {
  out_ += name + ":\n";
  at_ = name;
}

void Writer::collect_constants(const Block& b) {
  for (const Statement& s : b.body) {
    if (std::string_view(s.operation->name) == "constant") {
      std::vector<std::uint64_t> bits(s.immediates.begin(), s.immediates.end());
      constants_[s.value] = literal(s.type, bits);
      const std::uint64_t sign = std::uint64_t{1} << (s.type.bits() - 1);
      if (std::ranges::any_of(bits, [&](std::uint64_t b) { return (b & (2 * sign - 1) & ~sign) == 0; }))
        risky_.insert(s.value);
    } else if (!s.operation->amd.empty() && !s.arguments.empty() && std::ranges::all_of(s.arguments, [&](int a) {
                 return constants_.contains(a) || computed_.contains(a);
               })) {
      computed_.insert(s.value);
      risky_.insert(s.value);
    }
    for (const Block& inner : s.blocks) collect_constants(inner);
  }
}

std::string Writer::value(int number) const {
  if (const auto f = flushed_.find(number); f != flushed_.end()) return f->second;
  const auto c = constants_.find(number);
  return c != constants_.end() ? c->second : fmt::format("%v{}", number);
}

std::string Writer::name(const Statement& s, const std::string& part) const {
  return fmt::format("%v{}.{}", s.value, part);
}

void Writer::block(const Block& b) {
  for (const Statement& s : b.body) statement(s);
}

void Writer::statement(const Statement& s) {
  made_.clear();
  const std::string_view n = s.operation->name;
  if (!s.operation->amd.empty()) {
    const std::string& t = side_ == Side::host && !s.operation->host.empty() ? s.operation->host : s.operation->amd;
    return program_.flushes && !s.operation->moves ? expand_flushed(t, s) : expand(t, s);
  }
  if (n == "constant") return;
  if (n == "item" || n == "group") return line(fmt::format("%v{} = add i32 %{}, 0", s.value, n));
  if (n == "scalar") return line(fmt::format("%v{} = add {} %s{}, 0", s.value, text(s.type), s.immediates[0]));
  if (n == "build") return build(s);
  if (n == "load" || n == "store") return load_or_store(s);
  if (n == "atomic" || n == "compare_exchange") return atomic(s);
  if (n == "float_atomic") return float_atomic(s);
  if (n == "shared_atomic") return shared_atomic(s);
  if (n == "exchange_lds") return exchange_lds(s);
  if (n == "cells") return cells(s);
  if (n == "output") return output(s);
  if (n == "if" || n == "switch") return choose(s);
  if (n == "loop") return loop(s);
  throw std::logic_error(fmt::format("'{}' has no text", n));
}

void Writer::build(const Statement& s) {
  std::string so_far = "poison";
  // LLVM may lose halves that it loads where they are put together.
  const bool halves = s.type.bits() == 16;
  for (std::size_t i = 0; i < s.arguments.size(); ++i) {
    const std::string next = i + 1 == s.arguments.size() ? fmt::format("%v{}", s.value) : name(s, std::to_string(i));
    line(fmt::format("{} = insertelement {} {}, {} {}, i32 {}", next, text(s.type), so_far, text(s.type.with_lanes(1)),
                     halves ? opaque(s, i) : value(s.arguments[i]), i));
    so_far = next;
  }
}

void Writer::expand(const std::string& text, const Statement& s) {
  std::string so_far;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '\n') {
      line(so_far);
      so_far.clear();
      ++at;
    } else if (text[at] != '$') {
      so_far += text[at++];
    } else {
      ++at;
      so_far += marked(text, at, s);
    }
  }
  line(so_far);
}

void Writer::expand_flushed(const std::string& text, const Statement& s) {
  for (int a : s.arguments) {
    const Type t = program_.types[static_cast<std::size_t>(a)];
    if (t.kind != Kind::f32 || flushed_.contains(a)) continue;
    const std::string to = name(s, fmt::format("flushed{}", a));
    flush(to, t, value(a));
    flushed_[a] = to;
  }
  const bool result = s.type.kind == Kind::f32;
  if (result) flushed_[s.value] = name(s, "unflushed");
  expand(text, s);
  flushed_.clear();
  if (result) flush(fmt::format("%v{}", s.value), s.type, name(s, "unflushed"));
}

void Writer::flush(const std::string& to, Type type, const std::string& from) {
  const std::string t = fuzz::text(type), bits = fuzz::text(type.as_int());
  if (side_ == Side::amd)
    return line(fmt::format("{} = call {} @llvm.canonicalize.{}({} {})", to, t, mangled(type), t, from));
  const auto all = [&](std::uint64_t b) { return literal(type.as_int(), std::vector<std::uint64_t>(type.lanes, b)); };
  line(fmt::format("{}.b = bitcast {} {} to {}", to, t, from, bits));
  line(fmt::format("{0}.e = and {1} {0}.b, {2}", to, bits, all(0x7f800000)));
  line(fmt::format("{0}.s = and {1} {0}.b, {2}", to, bits, all(0x80000000)));
  line(fmt::format("{0}.t = icmp eq {1} {0}.e, zeroinitializer", to, bits));
  line(fmt::format("{0}.i = select {1} {0}.t, {2} {0}.s, {2} {0}.b", to, fuzz::text(type.with(Kind::i1)), bits));
  line(fmt::format("{0} = bitcast {1} {0}.i to {2}", to, bits, t));
}

std::string Writer::marked(const std::string& text_of, std::size_t& at, const Statement& s) {
  const char mark = text_of[at++];
  const Type type = s.type;
  auto number = [&] {
    std::size_t n = 0;
    while (at < text_of.size() && text_of[at] >= '0' && text_of[at] <= '9')
      n = n * 10 + static_cast<std::size_t>(text_of[at++] - '0');
    return n;
  };
  auto of_argument = [&](std::size_t i) { return program_.types[static_cast<std::size_t>(s.arguments[i])]; };
  auto all = [&](Type t, std::uint64_t bits) { return literal(t, std::vector<std::uint64_t>(t.lanes, bits)); };
  const std::uint64_t top = std::uint64_t{1} << (type.bits() - 1);
  switch (mark) {
    case 'r':
      return value(s.value);
    case 'x':
      return name(s, std::to_string(number()));
    case '#':
      return std::to_string(s.immediates[number()]);
    case 'c':
    case 'f':
      return argument(s, number(), mark);
    case 'k':
      return opaque(s, number());
    case 'h':
      if (at < text_of.size() && text_of[at] >= '0' && text_of[at] <= '9') {
        const std::size_t i = number();
        const Type t = of_argument(i);
        return t.is_float() && t.bits() == 16 && t.lanes > 1 ? opaque(s, i) : value(s.arguments[i]);
      }
      return all(type, top >> 1);
    case 'j': {
      const std::size_t i = number();
      const std::string p = predicate(s);
      return p == "one" || p == "ueq" ? opaque(s, i) : value(s.arguments[i]);
    }
    case 'T':
      return text(type);
    case 'A':
      return text(of_argument(0));
    case 'B':
      return text(type.with_lanes(1));
    case 'I':
      return text(type.as_int());
    case 'L':
      return text((s.operation->form == Form::convert ? of_argument(0) : type).with(Kind::i1));
    case 'D':
      return text(type.with(Kind::f64));
    case 'E':
      return text(type.with(Kind::i32));
    case 'W': {
      const std::string element = fmt::format("i{}", 2 * type.bits());
      return type.lanes == 1 ? element : fmt::format("<{} x {}>", type.lanes, element);
    }
    case 'M':
      return mangled(type);
    case 'N':
      return mangled(of_argument(0));
    case 'Z':
      return mangled(type.with(Kind::i32));
    case 'd':
      return mangled(type.with(Kind::f64));
    case 'o':
      return all(type.as_int(), 1);
    case 'w':
      return all(type.as_int(), ~std::uint64_t{0});
    case 's':
      return all(type.as_int(), top);
    case 'm':
      return all(type.as_int(), static_cast<std::uint64_t>(type.bits() - 1));
    case 'z':
      if (at < text_of.size() && text_of[at] >= '0' && text_of[at] <= '9') {
        const std::size_t i = number();
        return risky_.contains(s.arguments[i]) ? opaque(s, i) : value(s.arguments[i]);
      }
      return "zeroinitializer";
    case 'i': {
      const Type a = of_argument(0);
      return all(a, a.kind == Kind::f16 ? 0x7c00 : a.kind == Kind::f32 ? 0x7f800000 : 0x7ff0000000000000);
    }
    case 'n':
      return std::to_string(type.bits());
    case 'P':
      return predicate(s);
    case 'U':
      return shuffle_mask(s);
    default:
      if (mark < '0' || mark > '9') throw std::logic_error(fmt::format("'${}' stands for nothing", mark));
      return value(s.arguments[static_cast<std::size_t>(mark - '0')]);
  }
}

// Lines needed for it go before the line that uses it, which is not written yet.
std::string Writer::argument(const Statement& s, std::size_t i, char how) {
  const Type t = program_.types[static_cast<std::size_t>(s.arguments[i])];
  const std::string v = value(s.arguments[i]);
  if (!t.is_float()) return v;
  const std::string result = name(s, fmt::format("{}{}", how, i));
  if (!made_.insert(result).second) return result;
  const std::string test = name(s, fmt::format("{}t{}", how, i)),
                    nan = literal(t, std::vector(t.lanes, quiet_nan(t.kind)));
  line(fmt::format("{} = fcmp uno {} {}, zeroinitializer", test, text(t), v));
  line(fmt::format("{} = select {} {}, {} {}, {} {}", result, text(t.with(Kind::i1)), test, text(t),
                   how == 'c' ? nan : "zeroinitializer", text(t), v));
  return result;
}

// Its bits, of which none changes: there are never so many groups, which LLVM does not know.
std::string Writer::opaque(const Statement& s, std::size_t i) {
  const Type t = program_.types[static_cast<std::size_t>(s.arguments[i])], bits = t.as_int(),
             element = bits.with_lanes(1);
  const std::string result = name(s, fmt::format("k{}", i));
  if (!made_.insert(result).second) return result;
  std::string so_far;
  const auto step = [&](const char* part, const std::string& text_of) {
    so_far = fmt::format("{}{}", result, part);
    line(fmt::format("{} = {}", so_far, text_of));
  };
  step(".g", fmt::format("lshr i32 %group, {}", 12 + i));  // one zero an argument: LLVM could take out a common one
  step(".w", fmt::format("zext i32 {} to i64", so_far));
  step(".m", fmt::format("mul i64 {}, %s1", so_far));  // no bit of which is known
  if (element.bits() < 64) step(".t", fmt::format("trunc i64 {} to {}", so_far, text(element)));
  if (t.lanes > 1) {
    step(".v", fmt::format("insertelement {} poison, {} {}, i32 0", text(bits), text(element), so_far));
    step(".s", fmt::format("shufflevector {} {}, {} poison, <{} x i32> zeroinitializer", text(bits), so_far, text(bits),
                           t.lanes));
  }
  const std::string zero = so_far, v = value(s.arguments[i]);
  if (!t.is_float()) {
    step("", fmt::format("xor {} {}, {}", text(t), v, zero));
  } else {
    step(".b", fmt::format("bitcast {} {} to {}", text(t), v, text(bits)));
    step(".x", fmt::format("xor {} {}, {}", text(bits), so_far, zero));
    step("", fmt::format("bitcast {} {} to {}", text(bits), so_far, text(t)));
  }
  return result;
}

std::string Writer::predicate(const Statement& s) const {
  static constexpr const char* of_int[] = {"eq", "ne", "ugt", "uge", "ult", "ule", "sgt", "sge", "slt", "sle"};
  static constexpr const char* of_float[] = {"oeq", "ogt", "oge", "olt", "ole", "one", "ord",
                                             "ueq", "ugt", "uge", "ult", "ule", "une", "uno"};
  const auto i = static_cast<std::size_t>(s.immediates[0]);
  return std::string_view(s.operation->name) == "icmp" ? of_int[i] : of_float[i];
}

std::string Writer::shuffle_mask(const Statement& s) const {
  std::string elements;
  for (std::int64_t i : s.immediates) elements += fmt::format("{}i32 {}", elements.empty() ? "" : ", ", i);
  return fmt::format("<{} x i32> <{}>", s.immediates.size(), elements);
}

}  // namespace wavetile::fuzz
