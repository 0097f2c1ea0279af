// The order of a kernel's body on GPUs: loads that nothing stores to come first, as far as registers hold them beside
// the loops; of the rest, what a loop does not use comes after it. No load passes a store.
#include <algorithm>
#include <set>

#include "codegen/caps.h"
#include "codegen/ops.h"
#include "codegen/passes.h"

namespace wavetile {
namespace {

bool stores(const Graph& g, const Op& op) {
  return op.kind == OpKind::store || std::any_of(op.body.ops.begin(), op.body.ops.end(),
                                                 [&](int id) { return stores(g, g.ops[static_cast<size_t>(id)]); });
}

// The ops whose values an op takes, and what its body does.
void add_uses(const Graph& g, const Op& op, std::set<int>& used) {
  auto range = [&](RangeId r) {
    if (r >= 0) used.insert({g.range(r).lo.op, g.range(r).hi.op});
  };
  for (Value v : op.args) used.insert(v.op);
  for (const Index& i : op.index) {
    used.insert(i.offset.op);
    range(i.range);
  }
  range(op.range);
  for (const Region* r : {&op.body, &op.merge})
    for (int id : r->ops) add_uses(g, g.ops[static_cast<size_t>(id)], used);
}

// Tiles that a loop does not use, and that are not to be on their way while it runs, come after it: the registers are
// the loop's. None moves across a store.
void leave_to_loops(Graph& g, const std::set<int>& early) {
  auto op = [&](int id) -> const Op& { return g.ops[static_cast<size_t>(id)]; };
  std::vector<int>& ops = g.body.ops;
  for (size_t loop = ops.size(); loop-- > 0;) {
    if (op(ops[loop]).kind != OpKind::fold || stores(g, op(ops[loop]))) continue;
    const int id_of_loop = ops[loop];
    std::set<int> used;
    add_uses(g, op(id_of_loop), used);
    size_t first = loop;
    while (first > 0 && !stores(g, op(ops[first - 1]))) --first;
    auto stays = [&](int id) {
      const bool tile = !op(id).types.empty() && !op(id).types[0].axes.empty();
      const bool moves = tile && (op(id).kind == OpKind::load || op(id).kind == OpKind::map);
      if (moves && !used.contains(id) && !early.contains(id)) return false;
      add_uses(g, op(id), used);
      return true;
    };
    std::vector<int> before, after;
    for (size_t i = loop; i-- > first;) (stays(ops[i]) ? before : after).push_back(ops[i]);
    auto to = std::copy(before.rbegin(), before.rend(), ops.begin() + static_cast<long>(first));
    *to++ = id_of_loop;
    std::copy(after.rbegin(), after.rend(), to);
  }
}

}  // namespace

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
  leave_to_loops(out, early);
  return out;
}

}  // namespace wavetile
