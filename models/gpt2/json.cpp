#include "models/gpt2/json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "dsl/error.h"

namespace wavetile {

using nlohmann::json;

json parse_json(std::string_view text, const std::string& where) {
  try {
    return json::parse(text);
  } catch (const json::exception& e) {
    throw Error(fmt::format("{}: not valid JSON: {}", where, reason(e)));
  }
}

std::string reason(const std::exception& e) {
  const std::string text = e.what();
  return text.size() <= 200 ? text : text.substr(0, 197) + "...";
}

std::string excerpt(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

}  // namespace wavetile
