// Order among the lanes of a block, where they meet in memory.
//
// Shared memory: it is written, a barrier, it is read. The barrier that keeps the next writer from what others still
// read comes before that write, so that there is none after the last use.
//
// Tensors: blocks keep apart (check_launch sees to it), but lanes may load what another lane stores: where a tile lies
// in one layout when it is loaded and in another when it is stored, or where several warps hold the same elements and
// one of them stores. Of two stores to an element the last one counts, whichever lanes carry them out.
#include <algorithm>

#include "codegen/lowering.h"
#include "dsl/check.h"

namespace wavetile {

// A warp's accesses are carried out in their order, but the compiler sees one lane's only. Where warp 0 goes on alone
// (share.cpp) there are no others.
void Lowering::part(Target::Memory what) {
  if (schedule_.warps > 1 && !together_)
    target_.barrier(b_, what);
  else if (together_)
    keep_order();
  else if (!caps_.simd)
    target_.warp_barrier(b_);
}

void Lowering::begin_exchange() {
  if (order_.being_read) part(Target::Memory::shared);
  order_.being_read = false;
}

void Lowering::end_exchange(Target::Memory what) {
  part(what);
  if (what == Target::Memory::all) order_.touched.clear();
  order_.being_read = true;
  ++order_.exchanges;
}

void Lowering::begin_region() { order_ = {}; }

namespace {
// The same lanes load (or store) the elements that they store (or load).
bool keeps_to_itself(const Op& first, const Layout& a, const Layout& b) {
  if (a != b || a.replicas(a.warp)) return false;
  return first.kind == OpKind::load || !a.replicas(a.lane);  // a wave loads before it stores
}
}  // namespace

void Lowering::order_access(const Op& op, const Layout& l) {
  if (caps_.simd && schedule_.warps == 1) return;  // one thread does all in order
  bool loads = op.kind == OpKind::load;
  if (loads && !may_change_[static_cast<size_t>(op.tensor)]) return;
  auto meets = [&](const Touch& t) {
    if (!loads && t.op->kind == OpKind::store)  // the last one counts; of replicas the same one stores each time
      return t.op->tensor == op.tensor && !(same_index(g(), *t.op, op) && *t.layout == l);
    if (t.op->kind == op.kind) return false;
    auto [stored, loaded] = loads ? std::pair{t.op->tensor, op.tensor} : std::pair{op.tensor, t.op->tensor};
    return static_cast<size_t>(stored) < recorded_.tensors.size() && may_share(recorded_, stored, loaded) &&
           !keeps_to_itself(*t.op, *t.layout, l);
  };
  if (std::any_of(order_.touched.begin(), order_.touched.end(), meets)) {
    part(Target::Memory::all);
    order_.touched.clear();
    order_.being_read = false;
  }
  order_.touched.push_back({&op, &l});
}

// Where the body runs again and again, what it does at its end comes before what it does at its beginning.
Lowering::Order Lowering::begin_body(const Op& fold, bool again) {
  Order before = order_;
  if (!again) return before;
  order_.being_read = true;
  std::function<void(const Region&)> touch = [&](const Region& r) {
    for (int id : r.ops) {
      const Op& op = g().ops[static_cast<size_t>(id)];
      if (op.kind == OpKind::fold) touch(op.body);
      bool access =
          op.kind == OpKind::store || (op.kind == OpKind::load && may_change_[static_cast<size_t>(op.tensor)]);
      bool moves_on =
          std::any_of(op.index.begin(), op.index.end(), [&](const Index& i) { return i.range == fold.range; });
      if (access && !moves_on) order_.touched.push_back({&op, &laid_.layouts[static_cast<size_t>(id)][0]});
    }
  };
  touch(fold.body);
  return before;
}

// The body may not have run.
void Lowering::end_body(const Order& before) {
  order_.being_read = before.being_read || (order_.being_read && order_.exchanges > before.exchanges);
  order_.touched.insert(order_.touched.end(), before.touched.begin(), before.touched.end());
}

}  // namespace wavetile
