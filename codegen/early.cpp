#include <algorithm>
#include <set>

#include "codegen/caps.h"
#include "codegen/ops.h"
#include "codegen/passes.h"

namespace wavetile {

Graph issue_loads_early(const Graph& g, const Caps& caps) {
  if (caps.simd) return g;
  auto is_fold = [&](int id) { return g.ops[static_cast<size_t>(id)].kind == OpKind::fold; };
  constexpr int beside_a_loop = 16;  // registers of a lane that may be held while it runs
  const bool loops = std::any_of(g.body.ops.begin(), g.body.ops.end(), is_fold);
  int64_t room = int64_t{caps.lanes} * (loops ? beside_a_loop : 2 * caps.max_registers);
  std::set<int> early;
  auto known = [&](Value v) { return !v || early.contains(v.op); };
  // Bounds of ranges come before what uses them.
  auto moves = [&](const Op& op) {
    if (op.types.size() != 1) return false;
    if (op.types[0].axes.empty() && (op.kind == OpKind::constant || op.kind == OpKind::param || op.kind == OpKind::map))
      return std::all_of(op.args.begin(), op.args.end(), known);
    if (op.kind != OpKind::load || g.tensors[static_cast<size_t>(op.tensor)].written) return false;
    for (const Index& i : op.index)
      if (i.offset || (i.range >= 0 && (!known(g.range(i.range).lo) || !known(g.range(i.range).hi)))) return false;
    const int64_t size = elements(g, op.types[0].axes);
    if (size > room) return false;
    room -= size;
    return true;
  };
  for (int id : g.body.ops)
    if (moves(g.ops[static_cast<size_t>(id)])) early.insert(id);
  Graph out = g;
  std::stable_partition(out.body.ops.begin(), out.body.ops.end(), [&](int id) { return early.contains(id); });
  return out;
}

}  // namespace wavetile
