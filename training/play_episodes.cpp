#include "training/play_episodes.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "training/debian_copyright.h"

namespace sable::training {

namespace fs = std::filesystem;
using namespace evaluation;

namespace {

bool is_family(std::string_view name) {
  for (const TaskKind& kind : task_kinds()) {
    if (kind.family == name) return true;
  }
  return false;
}

/// A kind and how much of the whole it is, both after the plan.
struct DrawnKind {
  const TaskKind* kind;
  double share;
};

/// What can be drawn, as wide as the plan wants it; on real code only what is played there.
std::vector<DrawnKind> drawn_kinds(const FamilyShares& shares, bool on_real_code) {
  std::map<std::string_view, double> of_family;
  double of_unnamed = 0, named = 0;
  for (const TaskKind& kind : task_kinds()) {
    of_family[kind.family] += kind.share;
    if (!shares.contains(std::string(kind.family))) of_unnamed += kind.share;
  }
  for (const auto& [family, share] : shares) named += share;
  std::vector<DrawnKind> drawn;
  for (const TaskKind& kind : task_kinds()) {
    if (on_real_code && !takes_real_code(kind.family)) continue;
    const auto wanted = shares.find(std::string(kind.family));
    const double share = wanted != shares.end()
                             ? wanted->second * kind.share / of_family[kind.family]
                             : (1 - named) * kind.share / of_unnamed;
    if (share > 1e-9) drawn.push_back({&kind, share});
  }
  return drawn;
}

const TaskKind& drawn_at(const std::vector<DrawnKind>& kinds, double place) {
  double total = 0;
  for (const DrawnKind& drawn : kinds) total += drawn.share;
  place *= total;
  for (const DrawnKind& drawn : kinds) {
    if ((place -= drawn.share) < 0) return *drawn.kind;
  }
  return *kinds.back().kind;
}

/// Real code under licences that allow it; which files, under which, is written to `list`.
Result<RealCode> read_code(const fs::path& folder, const fs::path& list) {
  std::map<fs::path, std::optional<DebianCopyright>> copyrights;
  std::map<std::pair<std::string, std::string>, size_t> n_files;
  const auto may_use = [&](const fs::path& package, const std::string& path) {
    auto [it, fresh] = copyrights.try_emplace(package);
    if (fresh) {
      const auto text = read_file(package / "debian" / "copyright", size_t{1} << 20);
      auto parsed = text ? DebianCopyright::parse(*text) : fail(text.error());
      if (parsed) it->second = std::move(*parsed);
    }
    if (!it->second) return false;
    const std::string licence = it->second->licence_of(path);
    if (!may_be_learned(licence)) return false;
    ++n_files[{package.filename().string(), licence}];
    return true;
  };
  SABLE_TRY(auto code, RealCode::read(folder, may_use));
  std::string lines = "package\tlicence\tfiles\n";
  for (const auto& [key, n] : n_files) {
    lines += fmt::format("{}\t{}\t{}\n", key.first, key.second, n);
  }
  SABLE_TRY_VOID(write_file_atomically(list, lines));
  return code;
}

class Player {
 public:
  Player(const EpisodePlan& plan, const AgentPack& pack, Workbench& bench, std::ofstream& out,
         std::string name)
      : plan_(plan), pack_(pack), bench_(bench), out_(out), name_(std::move(name)) {}

  /// One episode for each number below `count`: a function of seed, split, source and number.
  Result<void> play(const RepositorySource& source, bool is_real, size_t count) {
    const std::vector<DrawnKind> kinds = drawn_kinds(plan_.shares, is_real);
    if (kinds.empty()) {
      return fail(ErrorCode::invalid_input, "none of these families is played on real code");
    }
    const uint64_t side = plan_.split == Split::test ? 1 : 0;
    const uint64_t seed = mix(plan_.seed, is_real ? 1 : 0);
    for (size_t n = 0; n < count; ++n) {
      Random choice(mix(mix(seed, n), side));
      const TaskKind* kind = &drawn_at(kinds, choice.unit());
      for (uint64_t attempt = 1;; ++attempt) {
        ++n_tried_;
        // This code may have nothing of the kind in it.
        if (attempt % 20 == 0) kind = &drawn_at(kinds, choice.unit());
        Random random(mix(mix(seed, n), attempt * 2 + side));
        Stage stage(bench_, {plan_.split, Split::training, source}, random);
        if (!kind->script(stage) || !stage.good()) continue;
        out_ << dump_json(to_json(episode_of(stage.take(), std::string(kind->family), pack_,
                                             plan_.split, random)))
             << '\n';
        break;
      }
      if (++n_played_ % 500 == 0) show_progress();
    }
    return {};
  }

 private:
  void show_progress() const {
    const double minutes =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count() / 60;
    fmt::print(stderr, "{}: {} of {} episodes, {} tried, {:.1f} min\n", name_, n_played_,
               plan_.n_made_up + plan_.n_real, n_tried_, minutes);
  }

  const EpisodePlan& plan_;
  const AgentPack& pack_;
  Workbench& bench_;
  std::ofstream& out_;
  const std::string name_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  size_t n_played_ = 0, n_tried_ = 0;
};

}  // namespace

Result<FamilyShares> parse_family_shares(std::string_view text) {
  FamilyShares shares;
  double sum = 0;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const size_t equals = part.find('=');
    const std::string family(part.substr(0, equals));
    if (!is_family(family)) {
      return fail(ErrorCode::invalid_input, fmt::format("there is no family \"{}\"", family));
    }
    double share = 0;
    const std::string_view number = equals == part.npos ? "" : part.substr(equals + 1);
    const auto read = std::from_chars(number.data(), number.data() + number.size(), share);
    if (read.ec != std::errc() || read.ptr != number.data() + number.size() || !(share > 0)) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{}: the share is a number above 0, as in {}=0.2", part, family));
    }
    if (!shares.emplace(family, share).second) {
      return fail(ErrorCode::invalid_input, family + " has two shares");
    }
    sum += share;
  }
  if (sum > 1 + 1e-9) {
    return fail(ErrorCode::invalid_input, fmt::format("the shares are {} together, above 1", sum));
  }
  return shares;
}

Result<void> play_episodes(const EpisodePlan& plan, const AgentPack& pack, const fs::path& file) {
  std::error_code error;
  if (fs::exists(file, error) && !fs::is_regular_file(file, error)) {
    return fail(ErrorCode::invalid_input, file.string() + ": not a plain file");  // e.g. a device
  }
  SABLE_TRY(auto sandbox, sandbox::Sandbox::start(plan.launcher));
  SABLE_TRY(auto bench, Workbench::open(plan.work / "repository", std::move(sandbox)));
  std::ofstream out(file.string() + ".partial", std::ios::trunc);
  Player player(plan, pack, *bench, out, file.filename().string());
  if (plan.n_made_up > 0) {
    SABLE_TRY_VOID(player.play(MadeUpCode(), false, plan.n_made_up));
  }
  if (plan.n_real > 0) {
    SABLE_TRY(const RealCode real, read_code(plan.code, file.string() + ".licences.tsv"));
    SABLE_TRY_VOID(player.play(real, true, plan.n_real));
  }
  out.close();
  fs::rename(file.string() + ".partial", file, error);
  if (!out || error) return fail(ErrorCode::io, file.string() + ": cannot be written");
  return {};
}

}  // namespace sable::training
