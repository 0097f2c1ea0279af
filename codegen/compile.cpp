// The visible list of passes, and what surrounds it: dumps, errors, launch geometry.
#include "codegen/compile.h"

#include <algorithm>
#include <bit>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <map>
#include <sstream>

#include <fmt/format.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/ErrorHandling.h>
#include <llvm/Support/raw_ostream.h>

#include "codegen/lowering.h"
#include "codegen/target.h"

namespace wavetile {
namespace {

class Dumper {
 public:
  Dumper(const DumpTo& to, const std::string& kernel) : directory_(to.directory), kernel_(kernel) {
    if (directory_.empty()) return;
    std::error_code ec;
    std::filesystem::create_directories(directory_, ec);
    if (ec) throw Error(fmt::format("{}: cannot make the dump directory: {}", directory_, ec.message()));
  }
  void operator()(std::string_view stage, const std::function<std::string()>& text) {
    ++number_;
    if (directory_.empty()) return;
    std::string now = text();
    std::string path = fmt::format("{}/{}.{:02}-{}.txt", directory_, kernel_, number_, stage);
    std::ofstream out(path);
    out << (now == last_ ? "unchanged\n" : now);
    out.close();
    if (!out) throw Error(fmt::format("{}: cannot write the dump; is the disk full?", path));
    last_ = std::move(now);
  }
  void bytes(std::string_view stage, const std::vector<char>& data) {
    ++number_;
    if (directory_.empty()) return;
    std::string path = fmt::format("{}/{}.{:02}-{}.o", directory_, kernel_, number_, stage);
    std::ofstream out(path, std::ios::binary);
    out.write(data.data(), static_cast<std::streamsize>(data.size()));
    out.close();
    if (!out) throw Error(fmt::format("{}: cannot write the dump; is the disk full?", path));
  }

 private:
  std::string directory_, kernel_, last_;
  int number_ = 0;
};

std::string text_of(const llvm::Module& m) {
  std::string s;
  llvm::raw_string_ostream out(s);
  m.print(out, nullptr);
  return s;
}

// Assembly in which the line of the kernel stands before the instructions that come from it, where the code has line
// tables.
std::string with_lines(const std::string& assembly) {
  std::map<std::string, std::string> files;                 // by their number
  std::map<std::string, std::vector<std::string>> sources;  // by their name
  std::istringstream in(assembly);
  std::string out, text, last;
  while (std::getline(in, text)) {
    std::istringstream words(text);
    std::string directive, file, folder, name;
    size_t line = 0;
    words >> directive >> file;
    if (directive == ".file" && words >> std::quoted(folder))
      files[file] = words >> std::quoted(name) ? folder + "/" + name : folder;
    if (directive != ".loc" || !(words >> line) || line == 0) {
      if (directive != ".loc") out += text + '\n';
      continue;
    }
    const std::string path = files[file];
    std::string place = fmt::format("{}:{}", path, line);
    if (place == last) continue;
    auto [source, fresh] = sources.try_emplace(path);
    if (std::ifstream f(path); fresh)
      for (std::string l; std::getline(f, l);) source->second.push_back(l);
    out += fmt::format("; {}  {}\n", place, line <= source->second.size() ? source->second[line - 1] : "");
    last = std::move(place);
  }
  return out;
}

// LLVM calls this before it would end the process ("Cannot select ...").
void fatal(void*, const char* reason, bool) { throw InternalError(std::string("LLVM: ") + reason); }

void catch_llvm_errors() {
  static const bool once = [] {
    llvm::install_fatal_error_handler(fatal, nullptr);
    return true;
  }();
  (void)once;
}

struct Lowered {
  CompiledKernel kernel;
  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::Module> module;
};

Lowered lower_all(const Graph& input, const Signature& sig, const Schedule& s, const Target& t, Dumper& dump) {
  catch_llvm_errors();
  Lowered l;
  l.kernel = {input.name, input, sig, s, {}, {}, {}};
  l.context = std::make_unique<llvm::LLVMContext>();
  l.module = std::make_unique<llvm::Module>(input.name, *l.context);
  t.prepare(*l.module);

  auto pass = [&](std::string_view name, Graph g) {
    verify(g, name);
    dump(name, [&] { return print(g); });
    return g;
  };
  Graph g = pass("trace", input);
  g = pass("specialise", specialise(g, sig));
  g = pass("simplify", simplify(g));
  g = apply_schedule(g, s, sig, t.caps());
  Split split = split_across_blocks(g, s);
  l.kernel.workspaces = split.workspaces;
  for (size_t i = 0; i < split.stages.size(); ++i) {
    Stage stage{split.stages[i], sig, split.stages.size() == 1 ? g.name : fmt::format("{}.{}", g.name, i), s.warps};
    for (const Workspace& w : split.workspaces) {
      TensorSpec spec{w.dtype, std::vector<std::optional<int64_t>>(w.axes.size() + 1),
                      std::vector<std::optional<int64_t>>(w.axes.size() + 1), 64};
      spec.strides.back() = 1;
      stage.signature.push_back(spec);
    }
    Graph x = pass("simplify", simplify(stage.graph));
    x = pass("spread_small_dots", spread_small_dots(x, t.caps()));
    x = pass("walk_whole", simplify(walk_whole(x, t.caps())));
    x = pass("issue_loads_early", issue_loads_early(x, t.caps()));
    LaidOut laid = assign_layouts(x, stage.signature, s, t.caps());
    pass("assign_layouts", laid.graph);
    dump("loop_nest", [&] { return describe_nest(laid, t.caps(), s); });
    lower(input, laid, stage.signature, s, t, *l.module, stage.symbol);
    stage.graph = std::move(x);
    l.kernel.stages.push_back(std::move(stage));
  }
  dump("llvm", [&] { return text_of(*l.module); });
  std::string problem;
  llvm::raw_string_ostream out(problem);
  if (llvm::verifyModule(*l.module, &out))
    throw InternalError(fmt::format("lowering: kernel '{}': {}\n{}", input.name, problem, text_of(*l.module)));
  t.optimise(*l.module);
  dump("llvm_optimised", [&] { return text_of(*l.module); });
  return l;
}

}  // namespace

CompiledKernel compile(const Graph& g, const Signature& sig, const Schedule& s, const Target& t, const DumpTo& to) {
  Dumper dump(to, g.name);
  Lowered l = lower_all(g, sig, s, t, dump);
  dump("assembly", [&] {
    Dumper none({}, "");
    return with_lines(t.assembly(*lower_all(g, sig, s, t, none).module));  // printing uses a module up
  });
  try {
    l.kernel.object = t.object(*l.module);
  } catch (const Error& e) {  // resources: the target cannot know the kernel's line
    throw Error(g.loc, e.what());
  }
  dump.bytes("object", l.kernel.object);
  return std::move(l.kernel);
}

std::string assembly_of(const Graph& g, const Signature& sig, const Schedule& s, const Target& t) {
  Dumper none({}, "");
  return t.assembly(*lower_all(g, sig, s, t, none).module);
}

const Caps& caps_of(const Target& t) { return t.caps(); }
std::string identity_of(const Target& t) { return fmt::format("{} llvm {}", t.identity(), LLVM_VERSION_STRING); }

Signature signature_of(std::span<const TensorView> tensors) {
  Signature s;
  for (const TensorView& t : tensors) {
    auto address = reinterpret_cast<uintptr_t>(t.data);
    int alignment = 64;
    while (alignment > 1 && address % static_cast<uintptr_t>(alignment)) alignment /= 2;
    TensorSpec spec{t.dtype, {}, {}, alignment};
    for (int64_t e : t.extents) spec.extents.emplace_back(e);
    for (int64_t e : t.strides) spec.strides.emplace_back(e);
    s.push_back(spec);
  }
  return s;
}

namespace {

double evaluate(const Graph& g, Value v, std::span<const TensorView> tensors, std::span<const double> scalars) {
  const Op& op = g.at(v);
  if (op.kind == OpKind::constant) return op.constant;
  if (op.kind == OpKind::param && op.param == ParamKind::dim)
    return static_cast<double>(tensors[static_cast<size_t>(op.tensor)].extents[static_cast<size_t>(op.dim)]);
  if (op.kind == OpKind::param && op.param == ParamKind::scalar) return scalars[static_cast<size_t>(op.tensor)];
  if (op.kind == OpKind::map && op.args.size() == 2) {
    auto a = static_cast<int64_t>(evaluate(g, op.args[0], tensors, scalars));
    auto b = static_cast<int64_t>(evaluate(g, op.args[1], tensors, scalars));
    switch (op.fn) {
      case Fn::add:
        return static_cast<double>(a + b);
      case Fn::sub:
        return static_cast<double>(a - b);
      case Fn::mul:
        return static_cast<double>(a * b);
      case Fn::min:
        return static_cast<double>(std::min(a, b));
      case Fn::max:
        return static_cast<double>(std::max(a, b));
      case Fn::idiv:
        return b ? static_cast<double>(a / b) : 0;
      case Fn::imod:
        return b ? static_cast<double>(a % b) : 0;
      default:
        break;
    }
  }
  throw Error(op.loc, fmt::format("the extent of a parallel range of kernel '{}' must be known at launch: make it of "
                                  "dimensions, scalar parameters and constants",
                                  g.name));
}

}  // namespace

int64_t extent_of(const Graph& g, RangeId r, std::span<const TensorView> tensors, std::span<const double> scalars) {
  double lo = g.range(r).lo ? evaluate(g, g.range(r).lo, tensors, scalars) : 0;
  return std::max<int64_t>(0, static_cast<int64_t>(evaluate(g, g.range(r).hi, tensors, scalars) - lo));
}

std::vector<int64_t> arguments_of(const Stage& s, std::span<const TensorView> tensors,
                                  std::span<const double> scalars) {
  std::vector<int64_t> slots;
  for (size_t i = 0; i < s.graph.tensors.size(); ++i) {
    const TensorView& t = tensors[i];
    slots.push_back(static_cast<int64_t>(reinterpret_cast<intptr_t>(t.data)));
    for (const auto* numbers : {&t.extents, &t.strides})
      slots.insert(slots.end(), numbers->begin(), numbers->begin() + s.graph.tensors[i].rank);
  }
  for (size_t i = 0; i < s.graph.scalars.size(); ++i) {
    const bool real = s.graph.scalars[i].dtype == DType::f32;
    slots.push_back(real ? std::bit_cast<int32_t>(static_cast<float>(scalars[i])) : static_cast<int64_t>(scalars[i]));
  }
  return slots;
}

int64_t grid_of(const Stage& s, std::span<const TensorView> tensors, std::span<const double> scalars) {
  int64_t blocks = 1;
  for (size_t r = 0; r < s.graph.ranges.size(); ++r)
    if (s.graph.ranges[r].kind == RangeKind::parallel) {
      int tile = s.graph.ranges[r].tile;
      blocks *= (extent_of(s.graph, static_cast<RangeId>(r), tensors, scalars) + tile - 1) / tile;
    }
  if (blocks > INT32_MAX)
    throw Error(s.graph.loc, fmt::format("kernel '{}' would run {} blocks; the limit is 2^31 - 1, use larger tiles",
                                         s.graph.name, blocks));
  return blocks;
}

namespace {
// Blocks of a dimension in each run.
int64_t blocks_along(const std::vector<int64_t>& extents, const Packing& p, size_t dim) {
  for (size_t i = 0; i < p.blocks.size(); ++i)
    if (static_cast<size_t>(p.blocks[i].dim) == dim) {
      int64_t unit = int64_t{p.blocks[i].size} * (i == 0 ? p.streams : 1);
      return (extents[dim] + unit - 1) / unit;
    }
  return extents[dim];
}
}  // namespace

std::vector<int64_t> packed_strides(const std::vector<int64_t>& extents, const Packing& p) {
  std::vector<int64_t> strides(extents.size(), 0);
  int64_t next = 1;
  for (const auto& b : p.blocks) next *= b.size;
  std::vector<size_t> order;  // outermost first
  for (const auto& b : p.blocks) order.push_back(static_cast<size_t>(b.dim));
  for (size_t d = 0; d < extents.size(); ++d)
    if (std::find(order.begin(), order.end(), d) == order.end()) order.push_back(d);
  for (size_t i = order.size(); i-- > 0;) {
    strides[order[i]] = next;
    next *= blocks_along(extents, p, order[i]);
  }
  return strides;
}

int64_t packed_place(const std::vector<int64_t>& extents, const std::vector<int64_t>& strides, const Packing& p,
                     size_t dim, int64_t c) {
  int64_t inner = 1;
  for (size_t i = p.blocks.size(); i-- > 0;) {
    const auto& b = p.blocks[i];
    if (static_cast<size_t>(b.dim) == dim) {
      int64_t streams = i == 0 ? p.streams : 1, block = c / b.size;
      return (block / streams + block % streams * blocks_along(extents, p, dim)) * strides[dim] + c % b.size * inner;
    }
    inner *= b.size;
  }
  return c * strides[dim];
}

int64_t packed_elements(const std::vector<int64_t>& extents, const Packing& p) {
  int64_t n = p.blocks.empty() ? 1 : p.streams;
  for (const auto& b : p.blocks) n *= b.size;
  for (size_t d = 0; d < extents.size(); ++d) n *= blocks_along(extents, p, d);
  return n;
}

}  // namespace wavetile
