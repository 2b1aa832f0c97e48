// What a function that can fail returns: a value or one Error with a sentence a user can act on.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace sable {

/// Why something failed, as far as a caller would act on it differently.
enum class ErrorCode {
  invalid_input,  ///< the caller's data is wrong: fix it and try again
  not_found,      ///< the named thing does not exist
  denied,         ///< a policy, a permission or a person said no
  timed_out,      ///< a deadline passed
  exhausted,      ///< a limit (disk, memory, budget, retries) is used up
  corrupt,        ///< stored or received data is damaged
  io,             ///< the operating system or the network failed
  unsupported,    ///< this machine or build cannot do it
  cancelled,      ///< somebody asked to stop
};

/// The code's name as written above, for logs and machine-readable output.
std::string_view name_of(ErrorCode code);

struct Error {
  ErrorCode code;
  std::string message;  ///< one sentence a user can act on, no trailing full stop

  friend bool operator==(const Error&, const Error&) = default;
};

template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

/// `return fail(ErrorCode::not_found, "no such session: s_1");`
inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

/// Passes an error on unchanged.
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

/// Passes an error on with context in front, so that messages read like a path:
/// `tool "grep": argument "pattern": expected a string`.
inline tl::unexpected<Error> fail_in(std::string_view context, Error error) {
  error.message.insert(0, std::string(context) + ": ");
  return tl::unexpected<Error>(std::move(error));
}

/// An io error whose message is "WHAT: strerror(errno_value)".
tl::unexpected<Error> fail_errno(std::string_view what, int errno_value);

}  // namespace sable

#define SABLE_JOIN_(a, b) a##b
#define SABLE_JOIN(a, b) SABLE_JOIN_(a, b)

/// `SABLE_TRY(auto text, read_text(file));` declares `text` or returns the error.
#define SABLE_TRY(declaration, expression) \
  SABLE_TRY_(declaration, (expression), SABLE_JOIN(sable_result_, __LINE__), return )

/// The same inside a coroutine; the expression may be a co_await.
#define SABLE_CO_TRY(declaration, expression) \
  SABLE_TRY_(declaration, expression, SABLE_JOIN(sable_result_, __LINE__), co_return )

/// For Result<void>: goes on or returns the error.
#define SABLE_TRY_VOID(expression) \
  SABLE_TRY_VOID_((expression), SABLE_JOIN(sable_result_, __LINE__), return )
#define SABLE_CO_TRY_VOID(expression) \
  SABLE_TRY_VOID_(expression, SABLE_JOIN(sable_result_, __LINE__), co_return )

// NOLINTBEGIN(bugprone-macro-parentheses): a declaration, a name and a keyword cannot stand in them
#define SABLE_TRY_(declaration, expression, name, leave)                    \
  auto name = expression;                                                   \
  if (!name) leave tl::unexpected<::sable::Error>(std::move(name.error())); \
  declaration = std::move(*name)

#define SABLE_TRY_VOID_(expression, name, leave) \
  auto name = expression;                        \
  if (!name) leave tl::unexpected<::sable::Error>(std::move(name.error()))
// NOLINTEND(bugprone-macro-parentheses)
