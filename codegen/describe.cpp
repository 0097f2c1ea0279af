// The tiled loop nest of a kernel as text.
#include <functional>

#include <fmt/format.h>

#include "codegen/caps.h"
#include "codegen/passes.h"

namespace wavetile {

std::string describe_nest(const LaidOut& l, const Caps& caps, const Schedule& schedule) {
  const Graph& g = l.graph;
  std::string s =
      fmt::format("kernel {} on {}: {} lanes, {} warps a block", g.name, caps.name, caps.lanes, schedule.warps);
  if (schedule.stages > 1 && !caps.simd) s += fmt::format(", {} stages", schedule.stages);
  s += '\n';
  constexpr std::string_view kinds[] = {"blocks", "whole", "loop"};
  for (size_t r = 0; r < g.ranges.size(); ++r) {
    const RangeInfo& info = g.ranges[r];
    if (!info.hi) continue;
    auto extent = g.extent(static_cast<RangeId>(r));
    s += fmt::format("  {:<8} {:<7} tile {}{}\n", info.name, kinds[static_cast<int>(info.kind)], info.tile,
                     extent ? fmt::format(" of {}", *extent) : "");
  }
  std::function<void(const Region&, int)> walk = [&](const Region& region, int depth) {
    for (int id : region.ops) {
      const Op& op = g.ops[size_t(id)];
      std::string indent(static_cast<size_t>(2 * depth), ' ');
      if (op.kind == OpKind::fold) {
        s += fmt::format("{}for {}:\n", indent, g.range(op.range).name);
        walk(op.body, depth + 1);
      } else if (!l.layouts[size_t(id)].empty() && !l.layouts[size_t(id)][0].axes.empty()) {
        constexpr std::string_view names[] = {"param", "constant", "iota", "map",   "reduce", "dot",
                                              "load",  "store",    "fold", "yield", "convert"};
        auto use = l.matrix.find(id);
        const std::string_view by = op.kind != OpKind::dot  ? ""
                                    : use == l.matrix.end() ? "multiply-adds"
                                                            : std::string_view(use->second.unit->name);
        const std::string_view of =
            op.tensor >= 0 && op.kind != OpKind::param ? std::string_view(g.tensors[size_t(op.tensor)].name) : "";
        s += fmt::format("{}%{} {}{}{}{}{}{} {}\n", indent, id, names[int(op.kind)],
                         op.kind == OpKind::map ? fmt::format(" {}", info(op.fn).name) : "", by.empty() ? "" : " by ",
                         by, of.empty() ? "" : " ", of, l.layouts[size_t(id)][0].text(g));
      }
    }
  };
  walk(g.body, 1);
  return s;
}

}  // namespace wavetile
