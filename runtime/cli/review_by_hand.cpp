#include "runtime/cli/review_by_hand.h"

#include <cstdio>
#include <map>
#include <unistd.h>

#include "base/text.h"
#include "runtime/terminal/permission_prompt.h"

namespace sable::runtime {

CLI::Option* add_apply(CLI::App& command, Apply& apply) {
  static const std::map<std::string, Apply> kNames = {
      {"ask", Apply::ask}, {"yes", Apply::yes}, {"no", Apply::no}};
  return command
      .add_option("--apply", apply,
                  "Of changes kept apart: ask at the terminal, yes if the command succeeds, or no")
      ->transform(CLI::CheckedTransformer(kNames))
      ->type_name("ask|yes|no");
}

void ReviewByHand::show(const tools::ProposedChange& change) {
  output_.write(
      "sable: " + std::string(tools::name_of(change.kind)) + " " +
      escape_controls((change.root / change.path).string()) +
      (change.protected_name ? style_.red(" (protected: programs outside run or trust it)") : "") +
      "\n");
  if (change.file) output_.write(paint_diff(style_, change.file->diff));
}

asio::awaitable<tools::Review> ReviewByHand::review(const tools::ProposedChanges& changes) {
  for (const auto& change : changes.changes) show(change);
  if (apply_ == Apply::yes && !changes.succeeded) {
    co_return tools::Review{.reason = "the command failed, so its changes are not applied"};
  }
  if (apply_ == Apply::yes) co_return tools::Review{.apply = true, .reason = "--apply yes"};
  if (apply_ == Apply::no) co_return tools::Review{.reason = "--apply no"};
  if (::isatty(STDIN_FILENO) != 1) {
    co_return tools::Review{.reason =
                                "nobody can be asked here: --apply yes applies without a question"};
  }
  output_.write(changes.has_protected() ? "Apply all of it, the protected paths too? [y/N] "
                                        : "Apply all of it? [y/N] ");
  const auto answer = co_await read_answer(STDIN_FILENO, output_);
  const bool yes = answer == "y" || answer == "yes";
  co_return tools::Review{.apply = yes,
                          .accepts_protected = yes,
                          .reason = yes ? "the user applied them" : "the user dropped them"};
}

std::filesystem::path place_of_kept_changes(const config::LoadedConfig& loaded) {
  const auto place = std::filesystem::path(*loaded.config.home) / "transactions";
  for (const auto& sentence : sandbox::KeptApart::finish_interrupted(place)) {
    std::fprintf(stderr, "sable: %s\n", sentence.c_str());
  }
  return place;
}

}  // namespace sable::runtime
