// The command line of gpt2-dsl-run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "models/gpt2/generate.h"

namespace wavetile::cli {

struct Options {
  std::string model, device = "cpu", dtype = "bf16";
  int threads = 0;

  // What is asked for: one of prompt, prompt_file, batch_file, interactive, perplexity.
  std::string prompt, prompt_file, batch_file, perplexity;
  bool interactive = false;
  Request request;  // settings of a text, without its prompt
  int batch_size = 8;

  // How it is computed.
  PlanKind plan = PlanKind::fused;
  bool no_cache = false, no_kernel_cache = false;
  int context = 0;
  int verify_steps = 0;

  // What is told.
  bool json = false, profile = false, quiet = false;
  std::string logits, dump;
};

/// Nothing if the program is done (--help, --version, --list-devices); throws CLI::ParseError, Failure.
std::optional<Options> parse_options(int argc, char** argv);

/// Settings of one line of a batch file, over those of the command line.
/// @throws Failure naming `where` and the field.
Request parse_request(const std::string& line, const std::string& where, const Request& defaults, std::string& prompt);

}  // namespace wavetile::cli
