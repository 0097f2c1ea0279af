// Shared memory: tiles that other warps want, and parts of a reduction.
//
// A barrier stands between a write and the reads of it, and between those reads and the next write (order.cpp). Tiles
// that are sent one after the other lie side by side, and are read together, where the first of them is asked for: one
// pair of barriers serves them all.
#include <algorithm>

#include <fmt/format.h>

#include "codegen/lowering.h"

namespace wavetile {

using LValue = llvm::Value;

LValue* Lowering::shared_memory(int bytes) {
  if (bytes > caps_.shared_bytes)
    throw Error(g().loc,
                fmt::format("kernel '{}' needs {} bytes of shared memory a block, {} has {}; give its schedule smaller "
                            "tiles, fewer warps or fewer stages",
                            g().name, bytes, caps_.name, caps_.shared_bytes));
  return target_.shared_memory(m_, b_, bytes);
}

LValue* Lowering::shared_slot(llvm::Type* t, LValue* element, int bytes) {
  shared_used_ = std::max(shared_used_, bytes);
  LValue* base = shared_memory(shared_from_ + bytes);
  if (shared_from_) base = b_.CreateGEP(b_.getInt8Ty(), base, i32(shared_from_));
  return b_.CreateGEP(t, base, element);
}

// While there is one, what is made is put where the kernel begins, for all loops to share: it may depend on lanes and
// warps alone.
struct Lowering::AtSetup {
  explicit AtSetup(Lowering& l) : back(l.b_) {
    if (auto* end = l.setup_->getTerminator())
      l.b_.SetInsertPoint(end);
    else
      l.b_.SetInsertPoint(l.setup_);
  }
  llvm::IRBuilderBase::InsertPointGuard back;
};

// ---- places

// The image of a run-time coordinate; bits whose images step evenly share one shift.
Vec Lowering::swizzled(const Swizzle& s, size_t axis, Vec c) {
  const auto& image = s.image[axis];
  Vec sum{};
  auto join = [&](Vec x) { sum = sum.v ? sum ^ x : x; };
  for (size_t i = 0; i < image.size();) {
    size_t n = 1;
    bool even = (image[i] & (image[i] - 1)) == 0;
    while (even && i + n < image.size() && image[i + n] == image[i] << n) ++n;
    Vec bits = shift_right(c, vec(i32(static_cast<int>(i)))) & vec(i32((1 << n) - 1));
    join(bits * vec(i32(image[i])));
    i += n;
  }
  return sum.v ? sum : vec(i32(0));
}

// Where this lane's elements of a layout lie: that of register 0, and what lanes and warps may set of its bits.
struct Lowering::Places {
  const Swizzle* swizzle = nullptr;
  const Layout* layout = nullptr;
  LValue *low = nullptr, *high = nullptr;
  int reach = 0;
  bool clamped = false;   // some of what the layout covers lies beyond the tile
  std::vector<int> last;  // an axis: the tile's last coordinate
  std::map<int, LValue*> moved;
};

Lowering::Places Lowering::places_of(const Swizzle& s, const Layout& from, const Layout& l) {
  Places p;
  const AtSetup here(*this);
  p.swizzle = &s;
  p.layout = &l;
  for (size_t a = 0; a < l.axes.size(); ++a) {
    p.last.push_back(from.extent(l.axes[a]) - 1);
    p.clamped |= l.extent(l.axes[a]) - 1 > p.last[a];
  }
  Vec low = vec(i32(0)), high = vec(i32(0));
  for (size_t a = 0; a < l.axes.size(); ++a) {
    LValue* c = local(l, a);
    if (!c) continue;
    low = low ^ swizzled(s, a, vec(c));
    high = high + shift_right(vec(c), vec(i32(s.bits(a)))) * vec(i32(s.stride[a]));
  }
  for (const Bases* bases : {&l.lane, &l.warp})
    for (const Coord& c : *bases)
      for (size_t a = 0; a < c.size(); ++a)
        for (int b = 0; b < s.bits(a); ++b)
          if (c[a] >> b & 1) p.reach |= s.image[a][static_cast<size_t>(b)];
  p.low = low.v;
  p.high = high.v;
  return p;
}

LValue* Lowering::place(Places& p, int reg) {
  const Swizzle& s = *p.swizzle;
  Coord c = p.layout->at(reg, 0, 0);
  if (p.clamped) {  // any element does for what is nowhere
    Vec at = vec(i32(0)), high = vec(i32(0));
    for (size_t a = 0; a < c.size(); ++a) {
      Vec x = vec(i32(std::min(c[a], p.last[a])));
      if (LValue* moves = local(*p.layout, a))
        x = vec(i32(std::min(c[a], p.last[a]))) + minimum(vec(moves), vec(i32(std::max(0, p.last[a] - c[a]))));
      at = at ^ swizzled(s, a, x);
      high = high + shift_right(x, vec(i32(s.bits(a)))) * vec(i32(s.stride[a]));
    }
    return (at + high).v;
  }
  int low = 0, high = 0;
  for (size_t a = 0; a < c.size(); ++a) {
    for (int b = 0; b < s.bits(a); ++b)
      if (c[a] >> b & 1) low ^= s.image[a][static_cast<size_t>(b)];
    high += (c[a] >> s.bits(a)) * s.stride[a];
  }
  LValue*& base = p.moved[low & p.reach];
  if (!base) base = (vec(p.low) ^ vec(i32(low & p.reach))).v;
  return ((vec(base) + vec(p.high)) + vec(i32((low & ~p.reach) + high))).v;
}

// ---- tiles

void Lowering::send(Value to, const Registers& v, const Layout& from, const Layout& layout, DType dtype) {
  int size = size_of(dtype);
  Transit t{to, from, layout, dtype, solve_swizzle(from, layout, size), 0, nullptr};
  for (const Transit& before : transit_) t.base = std::max(t.base, before.base + before.bytes());
  if (t.base + t.bytes() > caps_.shared_bytes) {
    receive();
    t.base = 0;
  }
  begin_exchange();
  t.element = llvm_type(b_.getContext(), dtype == DType::b1 ? DType::u8 : dtype);
  Places places = places_of(t.swizzle, from, from);
  const int vector = caps_.simd ? 1 : t.swizzle.vector;
  auto pointer = [&](int r) {
    const AtSetup here(*this);
    return shared_slot(t.element, (vec(place(places, r)) + vec(i32(t.base / size))).v, t.base + t.bytes());
  };
  auto element = [&](int r) {
    LValue* x = v[static_cast<size_t>(r)];
    if (dtype != DType::b1) return x;
    return b_.CreateZExt(
        x, width(x) ? static_cast<llvm::Type*>(llvm::FixedVectorType::get(t.element, width(x))) : t.element);
  };
  store_where(owner(from), [&] {
    for (const auto& regs : accesses(t.swizzle, from, vector)) {
      LValue* p = pointer(regs[0]);
      llvm::Align align(static_cast<uint64_t>(size * vector));
      LValue* x = element(regs[0]);
      if (vector > 1) {
        LValue* wide = llvm::PoisonValue::get(llvm::FixedVectorType::get(t.element, static_cast<unsigned>(vector)));
        for (int i = 0; i < vector; ++i)
          wide = b_.CreateInsertElement(wide, element(regs[static_cast<size_t>(i)]), static_cast<uint64_t>(i));
        b_.CreateAlignedStore(wide, p, align);
      } else if (width(x)) {
        b_.CreateMaskedScatter(x, splat(b_, p, width(x)), align);
      } else {
        b_.CreateAlignedStore(x, splat(b_, p, 0), align);
      }
    }
  });
  transit_.push_back(std::move(t));
}

// Everything that is on its way.
void Lowering::receive() {
  if (transit_.empty()) return;
  end_exchange();
  auto lanes = static_cast<unsigned>(caps_.lanes);
  for (const Transit& t : transit_) {
    int size = size_of(t.dtype);
    Places places = places_of(t.swizzle, t.from, t.layout);
    const int vector = caps_.simd || places.clamped ? 1 : t.swizzle.vector;
    Registers out(static_cast<size_t>(t.layout.registers()));
    auto keep = [&](int r, LValue* x) {
      out[static_cast<size_t>(r)] = t.dtype == DType::b1 ? (vec(x) != like(vec(x), 0)).v : x;
    };
    auto pointer = [&](int r) {
      const AtSetup here(*this);
      return shared_slot(t.element, (vec(place(places, r)) + vec(i32(t.base / size))).v, t.base + t.bytes());
    };
    llvm::Align align(static_cast<uint64_t>(size * vector));
    if (vector > 1) {
      for (const auto& regs : accesses(t.swizzle, t.layout, vector)) {
        auto* type = llvm::FixedVectorType::get(t.element, static_cast<unsigned>(vector));
        LValue* wide = b_.CreateAlignedLoad(type, pointer(regs[0]), align);
        for (int i = 0; i < vector; ++i)
          keep(regs[static_cast<size_t>(i)], b_.CreateExtractElement(wide, static_cast<uint64_t>(i)));
      }
    } else {
      for (int r = 0; r < t.layout.registers(); ++r)
        keep(r, vector_registers(t.layout)
                    ? static_cast<LValue*>(b_.CreateMaskedGather(llvm::FixedVectorType::get(t.element, lanes),
                                                                 splat(b_, pointer(r), lanes), align))
                    : b_.CreateAlignedLoad(t.element, pointer(r), align));
    }
    values_[t.to] = std::move(out);
  }
  transit_.clear();
}

// Whether an op can be lowered before what is on its way has arrived.
bool Lowering::waits_for_nothing(const Op& op) const {
  constexpr OpKind may_pass[] = {OpKind::constant, OpKind::iota, OpKind::map, OpKind::load, OpKind::convert};
  if (std::find(std::begin(may_pass), std::end(may_pass), op.kind) == std::end(may_pass)) return false;
  auto arrived = [&](Value v) {
    return std::none_of(transit_.begin(), transit_.end(), [&](const Transit& t) { return t.to == v; });
  };
  return std::all_of(op.args.begin(), op.args.end(), arrived) &&
         std::all_of(op.index.begin(), op.index.end(), [&](const Index& i) { return arrived(i.offset); });
}

}  // namespace wavetile
