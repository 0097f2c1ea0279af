#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/check.h"

namespace wavetile::tools {
namespace {

using nlohmann::ordered_json;

std::string text_of(const ordered_json& j) { return j.is_string() ? j.get<std::string>() : "-"; }

void add_wrong(std::string& out, const std::string& name, const ordered_json& j) {
  out += fmt::format("  {}: WRONG\n", name);
  for (const auto& line : j.at("wrong")) out += fmt::format("    {}\n", line.get<std::string>());
}

std::string describe_kernels(const ordered_json& kernels) {
  std::string out;
  size_t right = 0;
  int cases = 0;
  for (const auto& k : kernels) {
    cases += k.at("cases").get<int>();
    if (k.at("passed"))
      ++right;
    else
      add_wrong(out, k.at("name"), k);
  }
  return fmt::format("kernels: {} of {} right ({} random cases)\n", right, kernels.size(), cases) + out;
}

std::string describe_model(const ordered_json& m) {
  std::string out;
  if (!m.at("passed")) {
    add_wrong(out, fmt::format("GPT-2 in {}", m.at("dtype").get<std::string>()), m);
    return out;
  }
  out = fmt::format("  {}: {} of {} tokens are the reference's, {:.3f} ms per token, {:.3f} ms for {} prompt tokens\n",
                    m.at("dtype").get<std::string>(), m.at("same").get<int>(), m.at("steps").get<int>(),
                    m.at("ms_per_token").get<double>(), m.at("prompt_ms").get<double>(),
                    m.at("prompt_tokens").get<int>());
  for (const auto& k : m.at("decode_kernels"))
    out += fmt::format("    {:<26} {:>10.1f} us {:>9.1f} GB/s\n", k.at("name").get<std::string>(),
                       k.at("microseconds").get<double>(), k.at("gbytes_per_second").get<double>());
  return out;
}

std::string describe_times(const ordered_json& times) {
  std::string out = fmt::format("  {:<32} {:>12} {:>12} {:>10}\n", "GPT-2 124M's shapes", "us", "ESTIMATE us", "GB/s");
  for (const auto& t : times) {
    if (t.contains("wrong")) {
      add_wrong(out, t.at("name"), t);
      continue;
    }
    const ordered_json& e = t.at("estimate");
    out += fmt::format("  {:<32} {:>12.2f} {:>12} {:>10.1f}\n", t.at("name").get<std::string>(),
                       t.at("microseconds").get<double>(),
                       e.is_null() ? "-" : fmt::format("{:.2f}", e.at("microseconds").get<double>()),
                       t.at("gbytes_per_second").get<double>());
  }
  return out;
}

}  // namespace

std::string summary(const ordered_json& r) {
  std::string out;
  if (r.contains("error")) return fmt::format("{}\n\n{}", text_of(r["error"]), text_of(r["diagnosis"]));
  const ordered_json& d = r.at("device");
  out += fmt::format("device:  {}, {}, {}\n", text_of(d.at("name")), text_of(d.at("product")), text_of(d.at("target")));
  out += fmt::format("runtime: {}; kernel {}, amdgpu {}, rocm {}\n", text_of(d.at("runtime")),
                     text_of(r.at("system").at("kernel")), text_of(r.at("system").at("amdgpu")),
                     text_of(r.at("system").at("rocm")));
  for (const auto& [name, b] : r.at("bandwidth").items())
    out += fmt::format("  {:<17} {:>9.2f} GB/s, copies of {} bytes\n", name, b.at("gbytes_per_second").get<double>(),
                       b.at("bytes").get<size_t>());
  out += describe_kernels(r.at("kernels"));
  if (r.contains("times")) out += describe_times(r.at("times"));
  if (r.contains("gpt2")) {
    out += "GPT-2:\n";
    for (const auto& m : r.at("gpt2")) out += describe_model(m);
  }
  return out + fmt::format("{} in {:.0f} s\n", r.at("passed") ? "passed" : "FAILED", r.at("seconds").get<double>());
}

}  // namespace wavetile::tools
