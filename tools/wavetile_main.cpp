// wavetile: what a machine does with the library. `check` is what a report from a machine is made with.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

#include "models/gpt2/cli.h"
#include "tools/check.h"
#include "wavetile_version.h"

namespace wavetile::tools {
namespace {

using cli::Failure;

struct Options {
  CheckOptions check;
  std::string report;
  bool quick = false, no_model = false, no_times = false;
};

const char* const kFooter =
    "Standard output is the summary; progress and messages go to standard error.\n"
    "Exit codes: 0 all is right, 1 something is not, 2 usage, 3 bad model directory, 4 no such device.";

// Whatever happens later, the file has what is known.
void write_report(const std::string& path, const nlohmann::ordered_json& report) {
  if (path.empty()) return;
  std::ofstream out(path, std::ios::trunc);
  out << report.dump(2) << '\n';
  if (!out.flush())
    throw Failure{cli::kUsage,
                  fmt::format("{}: cannot write the report; give --report a file that can be written", path)};
}

int run_check(Options o) {
  if (o.quick) o.check.variants = o.check.prompts = 1;
  if (o.quick) o.check.steps = 4;
  if (o.no_model) o.check.model.clear();
  o.check.times = !o.no_times && !o.quick;
  try {
    std::regex(o.check.kernels);
  } catch (const std::regex_error& e) {
    throw Failure{cli::kUsage, fmt::format("--kernels {}: it is no regular expression: {}", o.check.kernels, e.what())};
  }
  if (!o.check.model.empty() && !std::filesystem::exists(std::filesystem::path(o.check.model) / "golden.json"))
    throw Failure{
        cli::kBadModel,
        fmt::format("{}: it has no golden.json with the reference's tokens; give --model another directory, or "
                    "--no-model",
                    o.check.model)};
  write_report(o.report, nlohmann::ordered_json::object());
  const nlohmann::ordered_json report = check(
      o.check, [](const std::string& text) { cli::print_note(text); },
      [&](const nlohmann::ordered_json& r) { write_report(o.report, r); });
  cli::print_text(summary(report));
  if (!o.report.empty()) cli::print_note(fmt::format("the report is in {}\n", o.report));
  if (report.contains("error")) return cli::kNoDevice;
  return report.at("passed") ? 0 : cli::kFailure;
}

int body(int argc, char** argv) {
  Options o;
  o.check.model = cli::data_dir(kSourceDemoDir, kInstalledDemoDir);
  CLI::App app("Wavetile on this machine.");
  app.footer(kFooter);
  app.set_version_flag("--version", fmt::format("wavetile {} ({})", kVersion, kCommit));
  app.require_subcommand(1);
  CLI::App* check = app.add_subcommand(
      "check", "runs every kernel against the interpreter, copies, GPT-2 against its reference; gives a report");
  check->footer(kFooter);
  check->add_option("--device", o.check.device, "hsa, hsa:0 (and so on), hsa:emulated, cpu")->capture_default_str();
  check->add_option("--report", o.report, "a file for the report, as JSON");
  auto* model = check->add_option("--model", o.check.model, "directory of a GPT-2 checkpoint with golden.json in it")
                    ->capture_default_str();
  check->add_flag("--no-model", o.no_model, "leaves GPT-2 out")->excludes(model);
  check->add_option("--kernels", o.check.kernels, "only kernels whose names match this regular expression");
  check->add_flag("--no-times", o.no_times, "leaves out the times of kernels at GPT-2 124M's shapes");
  check->add_flag("--quick", o.quick, "fewer cases, a few tokens of one prompt, and no such times: for slow devices");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    cli::print_text((check->parsed() ? check : &app)->help());
    return 0;
  } catch (const CLI::CallForVersion& e) {
    cli::print_text(fmt::format("{}\n", e.what()));
    return 0;
  }
  return run_check(o);
}

}  // namespace
}  // namespace wavetile::tools

int main(int argc, char** argv) { return wavetile::cli::run_program("wavetile", wavetile::tools::body, argc, argv); }
