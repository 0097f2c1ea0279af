// Of loads and stores, from coordinates to addresses.
//
//   offset(register, lane) = base (the block's, one for all)  +  what the register adds  +  what the lane adds
//
// Each part is the sum over the tensor's dimensions of coordinate × stride; a packed dimension splits its coordinate
// into (block, element of the block) first. Blocks start at multiples of their tile and bits never carry into one
// another, so that the digits of a sum are the sums of the digits.
#include <numeric>

#include "codegen/lowering.h"

namespace wavetile {

using LValue = llvm::Value;

// Elements that a lane may be from what is the same in all: bytes have to fit 32 bits.
static constexpr int64_t farthest = int64_t{1} << 28;

LValue* Lowering::stride(int tensor, size_t dim) {
  if (auto s = fixed_stride(tensor, dim)) return i64(*s);
  auto t = static_cast<size_t>(tensor);
  return entry_.args[static_cast<size_t>(slot_[t] + 1 + g().tensors[t].rank) + dim];
}
std::optional<int64_t> Lowering::fixed_stride(int tensor, size_t dim) const {
  const TensorSpec& s = sig_[static_cast<size_t>(tensor)];
  return dim < s.strides.size() ? s.strides[dim] : std::nullopt;
}
LValue* Lowering::extent(int tensor, size_t dim) {
  auto t = static_cast<size_t>(tensor);
  const TensorSpec& s = sig_[t];
  if (dim < s.extents.size() && s.extents[dim]) return i32(*s.extents[dim]);
  return b_.CreateTrunc(entry_.args[static_cast<size_t>(slot_[t] + 1) + dim], b_.getInt32Ty());
}
LValue* Lowering::both(LValue* a, LValue* b) {
  if (!a) return b;
  if (!b) return a;
  return (vec(a) & vec(b)).v;
}

Lowering::Access Lowering::access(const Op& op, const Layout& l) {
  Access a;
  a.exact = op.kind == OpKind::load && may_change_[static_cast<size_t>(op.tensor)];
  int n = l.registers();
  a.regs.resize(static_cast<size_t>(n));
  bool lanes_vary = vector_registers(l);
  std::vector<int64_t> lane_offsets(static_cast<size_t>(caps_.lanes), 0);  // explicit lanes, where known
  bool lanes_known = true;
  std::map<std::pair<LValue*, LValue*>, LValue*> conjunctions;
  LValue* shared = i64(0);   // base, and the run-time lane and warp's share
  LValue* vector = nullptr;  // explicit lanes' share
  LValue* thread = nullptr;  // i32: a lane's share, in dimensions of known strides
  int64_t reach = 0;         // the most that lanes and clamped registers add there
  int64_t multiple = 0;      // gcd of all that varies
  std::vector<Coord> at(static_cast<size_t>(n));
  for (int r = 0; r < n; ++r) at[static_cast<size_t>(r)] = l.at(r, 0, 0);

  auto add_shared = [&](LValue* v) { shared = b_.CreateAdd(shared, v); };
  auto add_vector = [&](LValue* v) { vector = vector ? (vec(vector) + vec(v)).v : v; };
  auto wide = [&](LValue* v) {
    llvm::Type* t = b_.getInt64Ty();
    return b_.CreateSExt(v, width(v) ? llvm::FixedVectorType::get(t, width(v)) : t);
  };
  for (size_t d = 0; d < op.index.size(); ++d) {
    const Index& index = op.index[d];
    Digits digits = digits_of(schedule_, g().tensors[static_cast<size_t>(op.tensor)].name, static_cast<int>(d));
    int64_t b = digits.block;
    auto fixed = fixed_stride(op.tensor, d);
    LValue* s = stride(op.tensor, d);
    Position* p = index.range >= 0 ? &this->at(index.range) : nullptr;
    int tile = p ? g().range(index.range).tile : 1;
    size_t axis = p ? static_cast<size_t>(l.position(index.range)) : 0;
    bool gathers = index.offset && !g().type(index.offset).axes.empty();

    // From one run of blocks to the next. Where blocks are not dealt to runs, or both are known, so is what they add.
    const int64_t streams = digits.streams, unit = b * streams;
    std::optional<int64_t> fixed_run;
    LValue* run = nullptr;
    if (streams > 1) {
      LValue* blocks = b_.CreateLShr(b_.CreateAdd(extent(op.tensor, d), i32(unit - 1)),
                                     i32(std::countr_zero(static_cast<uint64_t>(unit))));
      run = b_.CreateMul(wide(blocks), s);
      if (auto* known = llvm::dyn_cast<llvm::ConstantInt>(run)) fixed_run = known->getSExtValue();
      if (!fixed_run) fixed.reset();
    }
    auto scaled = [&](int64_t c) {
      return c / unit * fixed.value_or(0) + c / b % streams * fixed_run.value_or(0) +
             (b > 1 ? c % b * digits.inner : 0);
    };
    auto digit = [&](Vec c, int64_t below, int64_t count) {  // of a non-negative coordinate; a count of 0: all the rest
      if (below > 1) c = shift_right(c, vec(i32(std::countr_zero(static_cast<uint64_t>(below)))));
      if (count) c = c & vec(i32(count - 1));
      return vec(wide(c.v));
    };
    auto scaled_value = [&](LValue* c) {
      Vec sum = digit(vec(c), unit, 0) * vec(s);
      if (b > 1) sum = sum + digit(vec(c), 1, b) * vec(i64(digits.inner));
      if (streams > 1) sum = sum + digit(vec(c), b, streams) * vec(run);
      return sum.v;
    };
    auto unknown = [&](int64_t c) -> LValue* {  // what `scaled` leaves out
      if (fixed || c / b == 0) return nullptr;
      LValue* v = b_.CreateMul(s, i64(c / unit));
      return streams > 1 ? b_.CreateAdd(v, b_.CreateMul(run, i64(c / b % streams))) : v;
    };
    auto grain = [&](int64_t step) -> int64_t {  // gcd of what multiples of `step` add
      if (step % b != 0) return std::gcd(step * digits.inner, fixed.value_or(1));
      return (step % unit == 0 ? step / unit : 1) * fixed.value_or(1);
    };
    bool split_digits =
        b == 1 || (!index.offset && p && p->aligned && (tile % unit == 0 || unit % tile == 0 || p->fixed_base == 0));
    LValue* along = nullptr;  // i64: what the block, and lanes that do not show, add in this dimension
    auto add_along = [&](LValue* v) { along = along ? b_.CreateAdd(along, v) : v; };
    const bool separable = split_digits && !gathers;
    const bool apart =
        separable && !caps_.simd && p && b == 1 && !index.offset && fixed && *fixed >= 0 && *fixed <= farthest / tile;
    LValue* own = nullptr;  // i32: what a lane adds in this dimension, if `apart`; and its warp
    LValue* of_warp = nullptr;
    if (separable) {
      LValue* c = p ? p->base : nullptr;
      if (index.offset) {
        LValue* offset = scalar(index.offset);
        c = c ? b_.CreateAdd(c, offset) : offset;
      }
      if (c) add_along(b == 1 ? b_.CreateMul(wide(c), s) : scaled_value(c));
      multiple = std::gcd(
          multiple, p && p->aligned && !index.offset ? (p->fixed_base == 0 ? 0 : grain(tile)) : fixed.value_or(1));
      if (p) {
        Layout lanes_only = l;
        if (caps_.simd || apart) {
          // The warp's share is the same in all lanes, and no part of what makes them contiguous.
          lanes_only.warp.clear();
          of_warp = from_bits(warp_, l.warp, axis);
          if (of_warp && caps_.simd) add_along(scaled_value(of_warp));
        }
        if (LValue* in_block = local(lanes_only, axis)) {
          if (apart)
            own = b_.CreateMul(in_block, i32(*fixed));
          else if (width(in_block))
            add_vector(scaled_value(in_block));
          else
            add_along(scaled_value(in_block));
        }
        for (const Bases* bs : {&l.lane, &l.warp})
          for (size_t i = 0; i < bs->size(); ++i) {
            int c0 = (*bs)[i][axis];
            if (c0 == 0) continue;
            multiple = std::gcd(multiple, fixed || (b > 1 && c0 < b) ? scaled(c0) : 1);
            if (bs == &l.lane) {
              lanes_known &= fixed.has_value() || (b > 1 && c0 < b);
              for (size_t lane = 0; lane < lane_offsets.size(); ++lane)
                if (lane >> i & 1) lane_offsets[lane] += scaled(c0);
            }
          }
      }
    } else {  // the coordinate itself, a register
      multiple = std::gcd(multiple, b == 1 ? fixed.value_or(1) : 1);
      for (size_t r = 0; r < a.regs.size(); ++r) {
        LValue* c = p ? coordinate(l, static_cast<int>(r), index.range) : i32(0);
        if (index.offset) {
          const Layout& lo = laid_.of(index.offset);
          c = (vec(value(index.offset)[static_cast<size_t>(part_register(l, static_cast<int>(r), lo))]) + vec(c)).v;
        }
        LValue* ok = b_.CreateICmpULT(c, splat(b_, extent(op.tensor, d), width(c)));
        c = select(vec(ok), vec(c), vec(i32(0))).v;
        LValue* o = scaled_value(c);
        if (width(o)) {
          a.regs[r].lanes = a.regs[r].lanes ? (vec(a.regs[r].lanes) + vec(o)).v : o;
          lanes_known = false;
        } else {
          a.regs[r].offset = b_.CreateAdd(a.regs[r].offset ? a.regs[r].offset : i64(0), o);
        }
        if (p) a.regs[r].varying.push_back(at[r][axis]);
        if (index.offset) a.regs[r].varying.push_back(part_register(l, static_cast<int>(r), laid_.of(index.offset)));
      }
    }
    // Whom the access is for.
    std::map<std::pair<int, int>, LValue*> masks;  // by the register's coordinate and its index' register
    std::vector<LValue*> mask_of;
    for (size_t r = 0; r < a.regs.size(); ++r) {
      int index_register = index.offset ? part_register(l, static_cast<int>(r), laid_.of(index.offset)) : 0;
      auto [it, first] = masks.try_emplace({p ? at[r][axis] : 0, index_register}, nullptr);
      LValue*& mask = it->second;
      if (first && index.offset) {
        LValue* c = p ? coordinate(l, static_cast<int>(r), index.range) : i32(0);
        c = (vec(value(index.offset)[static_cast<size_t>(index_register)]) + vec(c)).v;
        auto* known = llvm::dyn_cast<llvm::ConstantInt>(c);
        auto* bound = llvm::dyn_cast<llvm::ConstantInt>(extent(op.tensor, d));
        if (!known || !bound || known->getZExtValue() >= bound->getZExtValue())
          mask = b_.CreateICmpULT(c, splat(b_, extent(op.tensor, d), width(c)));
      }
      if (first && p) {
        if (b > 1 && op.kind == OpKind::load && !index.offset && p->aligned && tile % b == 0 && l.block[axis] <= b) {
          // Padding can be read: only whole blocks past the end are left out, and all lanes agree on that.
          if (!p->full && inside(l, static_cast<int>(r), index.range)) {
            LValue* start = b_.CreateAdd(p->base, i32(at[r][axis] / b * b));
            mask = both(mask, b_.CreateICmpSLT(start, p->hi));
          }
        } else {
          mask = both(mask, inside(l, static_cast<int>(r), index.range));
        }
      }
      mask_of.push_back(mask);
    }
    // Where all lanes agree, a load outside goes to a coordinate inside: that is decided once, not at every step of a
    // loop along another dimension.
    const bool clamps = separable && op.kind == OpKind::load && !a.exact &&
                        std::any_of(mask_of.begin(), mask_of.end(), [](LValue* m) { return m; }) &&
                        std::none_of(mask_of.begin(), mask_of.end(), [](LValue* m) { return m && width(m); });
    if (apart) {
      reach += (tile - 1) * *fixed;
      if (of_warp && !clamps) add_along(scaled_value(of_warp));
      if (of_warp && clamps) {
        LValue* w = b_.CreateMul(of_warp, i32(*fixed));
        own = own ? b_.CreateAdd(own, w) : w;
      }
      if (own && !clamps) thread = thread ? b_.CreateAdd(thread, own) : own;
    }
    if (along && (!clamps || apart)) add_shared(along);
    // Where lanes are apart, to the last one. What it is for masks what comes of it anyway, later: to choose by the
    // same comparison here would be to keep its result, and scalars hold a few dozen masks.
    LValue* farthest_inside = nullptr;
    if (apart && clamps) {
      LValue* last = b_.CreateSub(b_.CreateSub(p->hi, p->base), i32(1));
      farthest_inside = b_.CreateMul(minimum(vec(last), vec(i32(tile - 1))).v, i32(*fixed));
      multiple = std::gcd(multiple, *fixed);
    }
    std::map<std::pair<int, LValue*>, std::pair<LValue*, int>>
        clamped;  // its offset, and a number that tells it from others
    for (size_t r = 0; r < a.regs.size(); ++r) {
      auto& reg = a.regs[r];
      auto add = [&](LValue* v) { reg.offset = reg.offset ? b_.CreateAdd(reg.offset, v) : v; };
      int c0 = p ? at[r][axis] : 0;
      if (separable && clamps) {
        auto& [offset, number] = clamped[{c0, mask_of[r]}];
        if (!offset) {
          number = static_cast<int>(clamped.size());
          offset = apart ? b_.CreateAdd(own ? own : i32(0), i32(scaled(c0)))
                         : b_.CreateAdd(along ? along : i64(0), i64(scaled(c0)));
          if (LValue* rest = unknown(c0)) offset = b_.CreateAdd(offset, rest);
          if (mask_of[r])
            offset = farthest_inside ? minimum(vec(offset), vec(farthest_inside)).v
                                     : b_.CreateSelect(mask_of[r], offset, i64(0));
          if (c0) multiple = std::gcd(multiple, fixed ? scaled(c0) : 1);  // it is no part of `fixed` any more
        }
        if (apart)
          reg.thread = reg.thread ? b_.CreateAdd(reg.thread, offset) : offset;
        else
          add(offset);
        reg.varying.push_back(number);
      } else if (separable && p) {
        reg.fixed += scaled(c0);
        if (!fixed) reg.varying.push_back(static_cast<int>(b > 1 ? c0 / b : c0));
        if (LValue* rest = unknown(c0)) add(rest);
      }
      if (index.offset) reg.zero_outside = true;
      if (!mask_of[r]) continue;
      auto join = [&](LValue*& to) {
        LValue*& all = conjunctions[{to, mask_of[r]}];
        if (!all) all = both(to, mask_of[r]);
        to = all;
      };
      if (!clamps || index.offset) join(reg.mask);
      if (!clamps) join(reg.address);
    }
  }
  // An element that is scattered belongs to the coordinates that its index was computed from.
  if (op.kind == OpKind::store)
    for (RangeId axis : l.axes)
      if (std::none_of(op.index.begin(), op.index.end(), [&](const Index& i) { return i.range == axis; }))
        for (size_t r = 0; r < a.regs.size(); ++r)
          a.regs[r].mask = both(a.regs[r].mask, inside(l, static_cast<int>(r), axis));
  if (lanes_vary && lanes_known) {
    a.contiguous = a.pairs = true;
    for (size_t i = 0; i < lane_offsets.size(); ++i) {
      a.contiguous &= lane_offsets[i] == static_cast<int64_t>(i);
      a.pairs &= lane_offsets[i] == static_cast<int64_t>(2 * i);
    }
  }
  // Registers that unknown strides tell apart would each need an address of their own in scalars: there are too few.
  // Nor does it go with a choice between two places, or beyond what 32 bits hold.
  const bool apart = std::all_of(a.regs.begin(), a.regs.end(), [&](const Access::Register& reg) {
    return !reg.offset && reg.fixed >= 0 && reach + reg.fixed <= farthest &&
           (!reg.address || a.exact || op.kind == OpKind::store);
  });
  if (thread && !apart) shared = b_.CreateAdd(shared, wide(thread));
  for (auto& reg : a.regs) {
    if (apart && thread) reg.thread = reg.thread ? b_.CreateAdd(reg.thread, thread) : thread;
    if (!apart && reg.thread) {
      reg.offset = b_.CreateAdd(reg.offset ? reg.offset : i64(0), wide(reg.thread));
      reg.thread = nullptr;
    }
    LValue* own = reg.thread ? shared : b_.CreateAdd(shared, i64(reg.fixed));
    reg.offset = reg.offset ? b_.CreateAdd(own, reg.offset) : own;
    if (lanes_vary && !a.contiguous) {
      LValue* lanes = vector;
      if (reg.lanes) lanes = lanes ? (vec(lanes) + vec(reg.lanes)).v : reg.lanes;
      reg.lanes = lanes ? splat(b_, lanes, static_cast<unsigned>(caps_.lanes))
                        : splat(b_, i64(0), static_cast<unsigned>(caps_.lanes));
    }
  }
  a.multiple = multiple == 0 ? 1 << 20 : std::abs(multiple);
  return a;
}

}  // namespace wavetile
