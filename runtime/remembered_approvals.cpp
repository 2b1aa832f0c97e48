#include "runtime/remembered_approvals.h"

#include "base/file.h"
#include "base/json.h"

namespace sable::runtime {

namespace {

Result<Json> load(const std::filesystem::path& file) {
  auto text = read_file(file, size_t{4} << 20);
  if (!text) {
    if (text.error().code != ErrorCode::not_found) return fail(std::move(text.error()));
    return Json{{"version", 1}, {"allowed", Json::object()}};
  }
  auto json = parse_json(*text);
  const bool usable = json && json->is_object() && json->value("version", 0) == 1 &&
                      json->contains("allowed") && (*json)["allowed"].is_object();
  if (!usable) {
    return fail(ErrorCode::corrupt,
                file.string() + ": not a list of approvals; move it away to start anew");
  }
  return json;
}

}  // namespace

Result<std::set<std::string>> RememberedApprovals::in(
    const std::filesystem::path& repository) const {
  SABLE_TRY(const auto json, load(file_));
  std::set<std::string> names;
  const auto& allowed = json["allowed"];
  if (const auto it = allowed.find(repository.string()); it != allowed.end() && it->is_array()) {
    for (const auto& name : *it) {
      if (name.is_string()) names.insert(name.get<std::string>());
    }
  }
  return names;
}

Result<void> RememberedApprovals::remember(const std::filesystem::path& repository,
                                           const std::string& tool) const {
  SABLE_TRY(auto names, in(repository));
  names.insert(tool);
  SABLE_TRY(auto json, load(file_));
  json["allowed"][repository.string()] = names;
  return write_file_atomically(file_, json.dump(2) + "\n", 0600);
}

}  // namespace sable::runtime
