// The text of a graph. Scalar constants, dims and parameters stand where they are used; every other value is numbered
// in the order of the text, so that equal graphs print equally. It must print broken graphs too: the verifier shows
// them.
#include <map>

#include <fmt/format.h>

#include "dsl/ir.h"

namespace wavetile {
namespace {

class Printer {
 public:
  Printer(const Graph& g, bool locations) : g_(g), locations_(locations) {}

  std::string run() {
    std::string body = region_text(g_.body, 1);  // first: it numbers the values that the ranges' bounds name
    return header() + ranges() + body;
  }

 private:
  bool known(Value v) const {
    return v.op >= 0 && v.op < static_cast<int>(g_.ops.size()) && v.result >= 0 &&
           v.result < static_cast<int>(g_.at(v).types.size());
  }
  static std::string literal(double x, DType t) {
    switch (t) {
      case DType::b1:
        return x == 0 ? "false" : "true";
      case DType::i32:
        return fmt::format("{}", x);
      case DType::f32:
        return fmt::format("{:#}", x);
      default:
        return fmt::format("{}:{}", x, wavetile::name_of(t));
    }
  }
  // Scalars that have a text of their own get no line.
  bool has_no_line(const Op& op) const {
    return op.types.size() == 1 && op.types[0].axes.empty() &&
           (op.kind == OpKind::constant || (op.kind == OpKind::param && op.param != ParamKind::carried));
  }
  std::string tensor_name(int t) const {
    return t >= 0 && t < static_cast<int>(g_.tensors.size()) ? g_.tensors[static_cast<size_t>(t)].name : "?";
  }
  std::string range_name(RangeId r) const {
    return r >= 0 && r < static_cast<int>(g_.ranges.size()) ? g_.range(r).name : "?";
  }
  std::string param_text(const Op& op) const {
    if (op.param == ParamKind::dim) return fmt::format("{}.dim({})", tensor_name(op.tensor), op.dim);
    bool in = op.tensor >= 0 && op.tensor < static_cast<int>(g_.scalars.size());
    return in ? g_.scalars[static_cast<size_t>(op.tensor)].name : "?";
  }
  std::string name(Value v) {
    if (!known(v)) return v ? "%undefined" : "%none";
    const Op& op = g_.at(v);
    if (has_no_line(op)) return op.kind == OpKind::constant ? literal(op.constant, op.types[0].dtype) : param_text(op);
    return fmt::format("%{}", numbers_.emplace(v, static_cast<int>(numbers_.size())).first->second);
  }
  template <class List, class Text>
  static std::string joined(const List& list, Text text) {
    std::string s;
    for (const auto& x : list) s += (s.empty() ? "" : ", ") + text(x);
    return s;
  }
  std::string names(const std::vector<Value>& vs) {
    return joined(vs, [&](Value v) { return name(v); });
  }
  std::string type_text(const Type& t) const {
    std::string axes = joined(t.axes, [&](RangeId r) { return range_name(r); });
    return fmt::format("{}[{}]", wavetile::name_of(t.dtype), axes);
  }
  std::string index_text(const std::vector<Index>& index) {
    return joined(index, [&](const Index& i) {
      if (i.range < 0) return name(i.offset);
      return range_name(i.range) + (i.offset ? " + " + name(i.offset) : "");
    });
  }

  std::string header() const {
    std::vector<std::string> params;
    for (const TensorParam& t : g_.tensors) {
      const char* use = t.read ? (t.written ? "inout" : "in") : t.written ? "out" : "unused";
      params.push_back(fmt::format("{}: {} {}d {}", t.name, wavetile::name_of(t.dtype), t.rank, use));
    }
    for (const ScalarParam& s : g_.scalars) params.push_back(fmt::format("{}: {}", s.name, wavetile::name_of(s.dtype)));
    return fmt::format("kernel {}({}){}\n", g_.name, fmt::join(params, ", "), where(g_.loc));
  }
  std::string ranges() {
    constexpr const char* kinds[] = {"parallel", "whole", "serial"};
    std::string s;
    for (const RangeInfo& r : g_.ranges)
      s += fmt::format("  {} {} in [{}, {}){}{}\n", kinds[static_cast<int>(r.kind)], r.name, r.lo ? name(r.lo) : "0",
                       name(r.hi), r.tile ? fmt::format(" by {}", r.tile) : "", where(r.loc));
    return s;
  }
  std::string where(Loc loc) const { return locations_ ? fmt::format("  # {}", loc.str()) : ""; }

  std::string region_text(const Region& region, size_t depth) {
    std::string s;
    for (int id : region.ops) {
      if (id < 0 || id >= static_cast<int>(g_.ops.size())) {
        s += std::string(2 * depth, ' ') + "an op that does not exist\n";
        continue;
      }
      const Op& op = g_.ops[static_cast<size_t>(id)];
      bool quiet = (op.kind == OpKind::yield && op.args.empty()) ||
                   (op.kind == OpKind::param && op.param == ParamKind::carried) || has_no_line(op);
      if (!quiet) s += op_text(op, id, depth);
    }
    return s;
  }
  std::string region_text(const char* title, const Region& region, size_t depth) {
    if (region.ops.empty()) return "";
    std::string params = joined(region.params, [&](Value v) { return name(v); });
    return fmt::format("{}{}({}):\n", std::string(2 * depth, ' '), title, params) + region_text(region, depth + 1);
  }

  std::string op_text(const Op& op, int id, size_t depth) {
    std::string operands = operands_text(op);
    std::string s(2 * depth, ' ');
    std::vector<Value> results;
    for (size_t i = 0; i < op.types.size(); ++i) results.push_back({id, static_cast<int>(i)});
    // A fold's results follow the values inside it, so its line is put together last.
    std::string inner;
    if (op.kind == OpKind::fold && depth < max_depth) {
      inner = region_text("body", op.body, depth + 1);
      inner += region_text("merge", op.merge, depth + 1);
    }
    if (!results.empty()) s += names(results) + " = ";
    s += operands;
    if (!op.note.empty()) s += " {" + op.note + "}";
    if (!op.types.empty()) s += " : " + joined(op.types, [&](const Type& t) { return type_text(t); });
    return s + where(op.loc) + "\n" + inner;
  }
  std::string operands_text(const Op& op) {
    switch (op.kind) {
      case OpKind::param:
        return param_text(op);
      case OpKind::constant:
        return literal(op.constant, op.types.empty() ? DType::f32 : op.types[0].dtype);
      case OpKind::iota: {
        constexpr const char* kinds[] = {"index", "first", "last"};
        return fmt::format("{} {}", kinds[static_cast<int>(op.iota)], range_name(op.range));
      }
      case OpKind::map:
        return fmt::format("{} {}", info(op.fn).name, names(op.args));
      case OpKind::reduce:
        return fmt::format("{} {} over {}", wavetile::name_of(op.reduction), names(op.args), range_name(op.range));
      case OpKind::dot:
        return fmt::format("dot {} over {}", names(op.args), range_name(op.range));
      case OpKind::load:
        return fmt::format("load {}[{}]", tensor_name(op.tensor), index_text(op.index));
      case OpKind::store:
        return fmt::format("store {}[{}] = {}", tensor_name(op.tensor), index_text(op.index), names(op.args));
      case OpKind::fold:
        return fmt::format("fold {} from ({})", range_name(op.range), names(op.args));
      case OpKind::yield:
        return fmt::format("yield {}", names(op.args));
      case OpKind::convert:
        return fmt::format("convert {}", names(op.args));
    }
    return "?";
  }

  static constexpr size_t max_depth = 64;  // a broken graph may hold a fold inside itself
  const Graph& g_;
  bool locations_;
  std::map<Value, int> numbers_;
};

}  // namespace

std::string print(const Graph& g, bool locations) { return Printer(g, locations).run(); }

}  // namespace wavetile
