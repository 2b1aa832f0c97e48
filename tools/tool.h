// One tool inside the registry: what people and models see of it, its checked schema, and how it
// runs.
#pragma once

#include <memory>
#include <string>

#include "tools/pattern.h"
#include "tools/schema.h"
#include "tools/tools.h"

namespace sable::tools {

/// How a call runs. Immutable: calls of several sessions may run at once.
class Runner {
 public:
  virtual ~Runner() = default;
  virtual asio::awaitable<Result<Outcome>> run(Call call, CallContext context) const = 0;
};

/// When the value of an argument matches, the call's approval class is at least this strict.
struct ApprovalRule {
  std::string argument;
  Pattern pattern;
  Approval approval = Approval::ask;
};

struct Tool {
  Definition definition;
  Schema schema;  ///< definition.parameters, compiled
  std::unique_ptr<Runner> runner;
  std::vector<ApprovalRule> approval_rules = {};
  Json defaults = Json::object();  ///< of absent arguments, as the runner puts them in
  /// A tool by whose name this one does no less: whoever wants to be asked about that one is asked
  /// about this one as well.
  std::string as_strict_as = {};
};

/// 1 to 64 letters, digits, "_" and "-": what every provider takes for a name.
bool is_tool_name(std::string_view name);

/// Outcomes in which the model learns what went wrong.
Outcome failed(std::string text);

/// A tool that only works on files: a plain function, run on a worker.
using FileWork = Outcome (*)(WorkspaceFiles& files, const Json& arguments);
std::unique_ptr<Runner> file_runner(FileWork work);

/// Fields of arguments that the schema has accepted; the fallback where a field is absent.
std::string text_argument(const Json& arguments, const char* name, std::string_view fallback = {});
int64_t whole_argument(const Json& arguments, const char* name, int64_t fallback);
double number_argument(const Json& arguments, const char* name, double fallback);
bool flag_argument(const Json& arguments, const char* name, bool fallback = false);

}  // namespace sable::tools
