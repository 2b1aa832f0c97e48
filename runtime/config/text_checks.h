// What must hold for the texts that settings take. No message repeats the text: it may be a secret.
#pragma once

#include <string_view>

#include "base/result.h"

namespace sable::runtime::config {

/// 1 to 64 letters, digits, "_" and "-": names of providers, tools and agents.
bool is_word(std::string_view text);

/// A portable name of an environment variable.
bool is_variable_name(std::string_view text);

Result<void> check_word(std::string_view text);
Result<void> check_line(std::string_view text);  ///< no control characters
Result<void> check_variable_value(std::string_view text);
Result<void> check_variable_name(std::string_view text);  ///< or empty
Result<void> check_base_url(std::string_view text);
Result<void> check_path(std::string_view text);      ///< not empty, no ".." in it
Result<void> check_absolute(std::string_view text);  ///< "/..." or "~/..."
Result<void> check_absolute_or_none(std::string_view text);
Result<void> check_listen(std::string_view text);        ///< ADDRESS:PORT
Result<void> check_origin(std::string_view text);        ///< https://host[:port]
Result<void> check_host(std::string_view text);          ///< host[:port]
Result<void> check_allowed_host(std::string_view text);  ///< sandbox::parse_allowed_host()

}  // namespace sable::runtime::config
