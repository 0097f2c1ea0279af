#include "checks/run.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

#include <fmt/format.h>

#include "dsl/interpret.h"

namespace wavetile {
namespace {

constexpr size_t guard = 256;  // bytes on each side of a buffer

// Where the elements of a tensor lie on the device: elements from its address.
int64_t place(const std::vector<int64_t>& c, const TensorView& v, const Packing* p) {
  int64_t o = 0;
  for (size_t d = 0; d < c.size(); ++d) o += packed_place(v.extents, v.strides, p ? *p : Packing{}, d, c[d]);
  return o;
}

// A tensor as it lies on the machine.
struct Image {
  std::vector<char> memory;
  char* data = nullptr;  // of the first element
  TensorView view;

  Image(size_t bytes, size_t skip) : memory(bytes + 2 * guard + 64, static_cast<char>(kPattern)) {
    auto start = reinterpret_cast<uintptr_t>(memory.data()) + guard;
    data = reinterpret_cast<char*>((start + 63) / 64 * 64) + skip;
  }
};

const Packing* packing_of(const Schedule& s, const std::string& tensor) {
  auto it = s.packing.find(tensor);
  return it == s.packing.end() ? nullptr : &it->second;
}

Image upload(const HostTensor& t, const Packing* p) {
  auto size = static_cast<size_t>(size_of(t.dtype));
  int64_t span = 0;
  if (p) {
    span = packed_elements(t.extents, *p);
  } else if (t.elements()) {
    for (size_t d = 0; d < t.extents.size(); ++d) span += (t.extents[d] - 1) * t.strides[d];
    span += 1;
  }
  size_t skip = p ? 0 : static_cast<size_t>(t.offset) * size;
  Image b(static_cast<size_t>(span) * size + skip, skip);
  b.view = {t.dtype, b.data, t.extents, p ? packed_strides(t.extents, *p) : t.strides};
  for (int64_t i = 0; i < t.elements(); ++i)
    std::memcpy(b.data + static_cast<size_t>(place(coordinates(t.extents, i), b.view, p)) * size,
                t.bytes.data() + t.place(i), size);
  return b;
}

// Takes the elements and puts the pattern in their place: what is left must be nothing else.
void download(Image& b, HostTensor& t, const Packing* p, const std::string& what) {
  auto size = static_cast<size_t>(size_of(t.dtype));
  for (int64_t i = 0; i < t.elements(); ++i) {
    char* at = b.data + static_cast<size_t>(place(coordinates(t.extents, i), b.view, p)) * size;
    std::memcpy(t.bytes.data() + t.place(i), at, size);
  }
  for (int64_t i = 0; i < t.elements(); ++i)
    std::memset(b.data + static_cast<size_t>(place(coordinates(t.extents, i), b.view, p)) * size, kPattern, size);
  for (size_t i = 0; i < b.memory.size(); ++i)
    if (static_cast<unsigned char>(b.memory[i]) != kPattern)
      throw Error(fmt::format("{}: byte {} outside the elements was written", what, b.memory.data() + i - b.data));
}

// Where an image begins in a buffer, so that its elements lie there as aligned as they do here.
size_t shift_of(const Image& b) { return reinterpret_cast<uintptr_t>(b.memory.data()) % 64; }

BufferPtr upload(Device& device, const Image& b) {
  BufferPtr buffer = device.allocate(shift_of(b) + b.memory.size());
  device.write(*buffer, shift_of(b), b.memory.data(), b.memory.size());
  return buffer;
}

struct Loaded {
  CompiledKernel kernel;
  std::unique_ptr<Code> code;
  ModulePtr module;  // on a device
};

std::string text_of(const Signature& sig) {
  std::string s;
  for (const TensorSpec& t : sig) {
    s += fmt::format("{} a{}", int(t.dtype), t.alignment);
    for (const auto* list : {&t.extents, &t.strides}) {
      s += " |";
      for (auto e : *list) s += e ? fmt::format(" {}", *e) : " ?";
    }
    s += "; ";
  }
  return s;
}
std::string text_of(const Schedule& s) {
  std::string t = fmt::format("warps {}", s.warps);
  if (s.stages > 1) t += fmt::format(" stages {}", s.stages);
  for (auto& [name, n] : s.tile) t += fmt::format(" {}={}", name, n);
  for (auto& [name, n] : s.split) t += fmt::format(" split {}={}", name, n);
  if (!s.share.empty()) t += " share " + s.share;
  for (auto& [name, p] : s.packing) {
    t += fmt::format(" pack {}", name);
    for (auto& b : p.blocks) t += fmt::format(" {}:{}", b.dim, b.size);
  }
  for (auto& w : s.order) t += fmt::format(" walk {}:{}", w.axis, w.run);
  return t;
}

const Loaded& compiled(const Machine& m, const Kernel& k, const Schedule& s, const Signature& sig) {
  static std::map<std::string, Loaded> kept;
  std::string key = m.name + "\n" + text_of(s) + "\n" + text_of(sig) + "\n" + print(k.graph());
  auto it = kept.find(key);
  if (it == kept.end()) {
    const char* dump = std::getenv("WAVETILE_DUMP");
    CompiledKernel c = compile(k, sig, s, *m.target, {dump ? dump : ""});
    auto code = m.device ? nullptr : load_code(c.object);
    auto module = m.device ? m.device->load(c) : nullptr;
    it = kept.emplace(key, Loaded{std::move(c), std::move(code), std::move(module)}).first;
  }
  return it->second;
}

// Dimensions that the extents of whole ranges are made of have to be known whatever the launches may change.
void keep_whole(const Graph& g, Value v, std::set<std::pair<int, int>>& dims) {
  const Op& op = g.at(v);
  if (op.kind == OpKind::param && op.param == ParamKind::dim) dims.emplace(op.tensor, op.dim);
  for (Value a : op.args) keep_whole(g, a, dims);
}

void erase_unknown(const Graph& g, Signature& sig, const Known& known) {
  std::set<std::pair<int, int>> kept;
  for (const RangeInfo& r : g.ranges)
    if (r.kind == RangeKind::whole) keep_whole(g, r.hi, kept);
  for (size_t i = 0; i < sig.size(); ++i) {
    TensorSpec& t = sig[i];
    if (!known.alignment) t.alignment = 0;
    if (!known.extents)
      for (size_t d = 0; d < t.extents.size(); ++d)
        if (!kept.contains({static_cast<int>(i), static_cast<int>(d)})) t.extents[d].reset();
    for (auto& e : t.strides)
      if (known.strides == Known::none || (known.strides == Known::innermost && e != 1)) e.reset();
  }
}

Schedule fitted(Schedule s, const Machine& m) {
  s.warps = std::min(s.warps, caps_of(*m.target).max_warps);
  return s;
}

}  // namespace

void run_on(const Machine& m, const Kernel& k, const Schedule& asked, std::vector<HostTensor>& tensors,
            const std::vector<double>& scalars, const Known& known) {
  Schedule s = fitted(asked, m);
  const Graph& g = k.graph();
  std::vector<Image> buffers;
  buffers.reserve(tensors.size() + 8);
  std::vector<TensorView> views;
  for (size_t i = 0; i < tensors.size(); ++i) {
    buffers.push_back(upload(tensors[i], packing_of(s, g.tensors[i].name)));
    views.push_back(buffers.back().view);
  }
  Signature sig = signature_of(views);
  erase_unknown(g, sig, known);
  const Loaded& loaded = compiled(m, k, s, sig);

  for (const Workspace& w : loaded.kernel.workspaces) {
    std::vector<int64_t> extents{w.parts};
    for (RangeId r : w.axes) extents.push_back(extent_of(loaded.kernel.stages[0].graph, r, views, scalars));
    buffers.push_back(upload(HostTensor(w.dtype, extents), nullptr));
    views.push_back(buffers.back().view);
  }
  std::vector<BufferPtr> on_device;
  if (m.device)
    for (size_t i = 0; i < buffers.size(); ++i) {
      on_device.push_back(upload(*m.device, buffers[i]));
      views[i].data = static_cast<char*>(on_device[i]->address()) + shift_of(buffers[i]) +
                      (buffers[i].data - buffers[i].memory.data());
    }
  std::unique_ptr<Queue> queue = m.device ? m.device->queue() : nullptr;
  for (const Stage& stage : loaded.kernel.stages) {
    const int64_t grid = grid_of(stage, views, scalars);
    const std::vector<int64_t> slots = arguments_of(stage, views, scalars);
    if (queue && grid > 0)
      queue->launch(*loaded.module, static_cast<size_t>(&stage - loaded.kernel.stages.data()), slots, grid);
    else if (queue)
      continue;
    else if (m.run)
      m.run(*loaded.code, stage, slots.data(), grid);
    else
      reinterpret_cast<CpuEntry>(loaded.code->symbol(stage.symbol))(slots.data(), 0, grid);
  }
  if (queue) queue->wait();
  for (size_t i = 0; i < on_device.size(); ++i)
    m.device->read(buffers[i].memory.data(), *on_device[i], shift_of(buffers[i]), buffers[i].memory.size());
  for (size_t i = 0; i < tensors.size(); ++i)
    download(buffers[i], tensors[i], packing_of(s, g.tensors[i].name), "tensor '" + g.tensors[i].name + "'");
}

std::vector<std::string> differences(const Machine& m, const Kernel& k, const Schedule& s,
                                     const std::vector<HostTensor>& tensors, const Tolerance& tolerance,
                                     const std::vector<double>& scalars, const Known& known) {
  std::vector<HostTensor> want = tensors, got = tensors;
  std::vector<TensorView> views;
  for (HostTensor& t : want) views.push_back(t.view());
  InterpretOptions options;  // first() and last() show the blocks
  for (const RangeInfo& r : k.graph().ranges)
    if (auto it = s.tile.find(r.name); it != s.tile.end() && r.kind != RangeKind::whole)
      options.tile[r.name] = it->second;
  try {
    interpret(k.graph(), views, scalars, options);
    run_on(m, k, s, got, scalars, known);
  } catch (const std::exception& e) {
    return {e.what()};
  }
  std::vector<std::string> all;
  for (size_t t = 0; t < want.size(); ++t) {
    int64_t wrong = 0;
    for (int64_t i = 0; i < want[t].elements(); ++i) {
      const char *a = want[t].bytes.data() + want[t].place(i), *before = tensors[t].bytes.data() + tensors[t].place(i);
      auto size = static_cast<size_t>(size_of(want[t].dtype));
      const char* b = got[t].bytes.data() + got[t].place(i);
      bool same = std::memcmp(a, b, size) == 0;
      bool untouched = std::memcmp(a, before, size) == 0 && std::memcmp(b, before, size) != 0 &&
                       static_cast<unsigned char>(before[0]) == kPattern &&
                       static_cast<unsigned char>(before[size - 1]) == kPattern;
      if (same || (!untouched && within(want[t].dtype, got[t].get(i), want[t].get(i), tolerance))) continue;
      if (wrong++ == 0)
        all.push_back(fmt::format("{}[{}] is {}, not {}", k.graph().tensors[t].name,
                                  fmt::join(coordinates(want[t].extents, i), ", "), got[t].get(i), want[t].get(i)));
    }
    if (wrong > 1) all.push_back(fmt::format("{} elements of {} are wrong", wrong, k.graph().tensors[t].name));
  }
  return all;
}

std::string describe_case(const Machine& m, const Kernel& k, const Schedule& s, const std::vector<HostTensor>& tensors,
                          const Known& known) {
  std::string shapes;
  for (const HostTensor& t : tensors) shapes += fmt::format(" {}[{}]", name_of(t.dtype), fmt::join(t.extents, "x"));
  return fmt::format("kernel '{}' on {}, {};{}; extents {}known, strides {}; WAVETILE_SEED={}", k.name(), m.name,
                     text_of(fitted(s, m)), shapes, known.extents ? "" : "un", int(known.strides), seed());
}

}  // namespace wavetile
