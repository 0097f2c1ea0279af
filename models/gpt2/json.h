// What the readers of this folder share about JSON. Private to it: its headers do not pass JSON on.
#pragma once

#include <exception>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace wavetile {

/// Parses JSON out of a file. Throws Error: "<where>: not valid JSON: <what and at which byte>".
nlohmann::json parse_json(std::string_view text, const std::string& where);

/// What a JSON exception says, cut short: it quotes what was read last, which may be the rest of the file.
std::string reason(const std::exception& e);

/// A value of an untrusted file for a message: escaped to ASCII, and short whatever the file holds.
std::string excerpt(const nlohmann::json& value);

}  // namespace wavetile
