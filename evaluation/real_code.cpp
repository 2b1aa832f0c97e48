#include "evaluation/real_code.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <system_error>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "evaluation/tasks.h"

namespace sable::evaluation {

namespace fs = std::filesystem;

namespace {

constexpr size_t kFilesMax = 20'000, kFileBytesMax = 40'000, kLineBytesMax = 160;

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

bool is_upper_name(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return c == '_' || std::isdigit(static_cast<unsigned char>(c)) != 0 ||
           std::isupper(static_cast<unsigned char>(c)) != 0;
  });
}

/// The name that begins at `at`; empty where none does.
std::string_view name_at(std::string_view line, size_t at) {
  size_t end = at;
  while (end < line.size() && is_name(line[end])) ++end;
  const bool begins = at < line.size() && std::isdigit(static_cast<unsigned char>(line[at])) == 0;
  return begins ? line.substr(at, end - at) : std::string_view();
}

std::string_view trimmed_end(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// A whole number in decimal, or a text in double quotes with nothing odd in it; empty for all
/// else.
std::string plain_value(std::string_view text) {
  text = trimmed_end(text);
  if (text.empty() || text.size() > 60) return {};
  const bool number = std::all_of(text.begin(), text.end(), [](char c) {
    return std::isdigit(static_cast<unsigned char>(c)) != 0;
  });
  const bool quoted = text.size() > 4 && text.front() == '"' && text.back() == '"' &&
                      text.substr(1, text.size() - 2).find_first_of("\"\\%") == text.npos;
  const bool octal = text.size() > 1 && text.front() == '0';
  return (number && !octal && text.size() < 10) || quoted ? std::string(text) : std::string();
}

enum class Kind { none, function, constant, type, list };

struct Definition {
  Kind kind = Kind::none;
  std::string name, value;
};

Definition python_definition(std::string_view line) {
  if (line.starts_with("def ")) return {Kind::function, std::string(name_at(line, 4)), ""};
  if (line.starts_with("class ")) return {Kind::type, std::string(name_at(line, 6)), ""};
  const std::string_view name = name_at(line, 0);
  if (name.empty() || !is_upper_name(name) || !line.substr(name.size()).starts_with(" = ")) {
    return {};
  }
  const std::string_view rest = line.substr(name.size() + 3);
  if (rest == "[") return {Kind::list, std::string(name), ""};
  std::string value = plain_value(rest);
  if (value.empty()) return {};
  return {Kind::constant, std::string(name), std::move(value)};
}

/// `next`: the line behind it, where a function's brace may stand.
Definition c_definition(std::string_view line, std::string_view next) {
  if (line.starts_with("#define ")) {
    const std::string_view name = name_at(line, 8);
    const size_t at = line.find_first_not_of(" \t", 8 + name.size());
    if (name.empty() || at == 8 + name.size() || at == line.npos) return {};
    std::string value = plain_value(line.substr(at));
    if (value.empty()) return {};
    return {Kind::constant, std::string(name), std::move(value)};
  }
  for (const std::string_view head :
       {"constexpr int ", "static constexpr int ", "const int ", "static const int "}) {
    if (!line.starts_with(head) || !line.ends_with(';')) continue;
    const std::string_view name = name_at(line, head.size());
    const std::string_view rest = line.substr(head.size() + name.size());
    if (!rest.starts_with(" = ")) return {};
    std::string value = plain_value(rest.substr(3, rest.size() - 4));
    if (value.empty()) return {};
    return {Kind::constant, std::string(name), std::move(value)};
  }
  if (line.starts_with("struct ") && trimmed_end(line).ends_with('{')) {
    const std::string_view name = name_at(line, 7);
    if (trimmed_end(line.substr(7 + name.size())) != " {") return {};
    return {Kind::type, std::string(name), ""};
  }
  const size_t open = line.find('(');
  if (open == line.npos || !is_name(line[0]) || open < 3) return {};
  const std::string_view last = trimmed_end(line);
  const bool begins = last.ends_with('{') || (last.ends_with(')') && next.starts_with('{'));
  if (!begins || last.find(';') != last.npos || last.find('=') != last.npos) return {};
  size_t begin = open;
  while (begin > 0 && is_name(line[begin - 1])) --begin;
  const std::string_view name = name_at(line, begin);
  if (name.empty() || begin == 0 || is_upper_name(name)) return {};
  if (line[begin - 1] != ' ' && line[begin - 1] != '*') return {};  // a class's, or a macro's
  static constexpr std::string_view kNot[] = {"typedef", "else", "return", "if",     "switch",
                                              "while",   "for",  "do",     "extern", "namespace"};
  if (std::find(std::begin(kNot), std::end(kNot), name_at(line, 0)) != std::end(kNot)) return {};
  return {Kind::function, std::string(name), ""};
}

/// The entries of a list in Python, one a line; none where it holds anything else.
std::vector<std::string> entries_below(const std::vector<std::string>& lines, size_t at) {
  std::vector<std::string> entries;
  for (size_t i = at; i < lines.size() && entries.size() < 12; ++i) {
    const std::string& line = lines[i];
    if (line == "]") return entries;
    const bool entry = line.starts_with("    \"") && line.ends_with("\",") &&
                       std::count(line.begin(), line.end(), '"') == 2;
    if (!entry) return {};
    entries.push_back(line.substr(5, line.size() - 7));
  }
  return {};
}

/// A line of code that calls, as opposed to a declaration or a remark.
bool is_call(const std::string& line) {
  const size_t begin = line.find_first_not_of(" \t");
  if (begin == 0 || begin == std::string::npos) return false;
  static constexpr std::string_view kRemarks[] = {"*", "/", "#", "\"", "'"};
  return std::none_of(std::begin(kRemarks), std::end(kRemarks), [&](std::string_view r) {
    return std::string_view(line).substr(begin).starts_with(r);
  });
}

}  // namespace

void find_definitions(MadeRepository& repository) {
  const bool python = repository.language == Language::python;
  struct Found {
    Definition definition;
    Place at;
  };
  std::map<std::string, std::vector<Found>> by_name;
  for (size_t f = 0; f < repository.files.size(); ++f) {
    const std::vector<std::string>& lines = repository.files[f].lines;
    for (size_t i = 0; i < lines.size(); ++i) {
      if (lines[i].find("TODO") != std::string::npos) repository.todos.push_back({f, i + 1});
      Definition d = python ? python_definition(lines[i])
                            : c_definition(lines[i], i + 1 < lines.size() ? lines[i + 1] : "");
      if (d.kind != Kind::none && !d.name.empty()) {
        std::string name = d.name;
        by_name[name].push_back({std::move(d), {f, i + 1}});
      }
    }
  }
  for (auto& [name, found] : by_name) {
    if (found.size() != 1) continue;
    auto& [definition, at] = found.front();
    switch (definition.kind) {
      case Kind::function: {
        MadeFunction function{.name = name, .at = at};
        bool clear = true;
        for (size_t f = 0; f < repository.files.size(); ++f) {
          const MadeFile& file = repository.files[f];
          for (size_t i = 0; i < file.lines.size(); ++i) {
            const bool here = f == at.file && i + 1 == at.line;
            if (here || file.path.ends_with(".h") || !has_word(file.lines[i], name)) continue;
            if (file.lines[i].find(name + "(") == std::string::npos) continue;
            clear = clear && is_call(file.lines[i]);
            function.calls.push_back({f, i + 1});
          }
        }
        if (clear) repository.functions.push_back(std::move(function));
        break;
      }
      case Kind::constant:
        repository.constants.push_back({.name = name,
                                        .value = definition.value,
                                        .at = at,
                                        .is_text = definition.value.front() == '"'});
        break;
      case Kind::type:
        repository.types.push_back({name, at});
        break;
      case Kind::list: {
        auto entries = entries_below(repository.files[at.file].lines, at.line);
        if (!entries.empty()) repository.lists.push_back({name, at, std::move(entries)});
        break;
      }
      case Kind::none:
        break;
    }
  }
}

namespace {

std::optional<Language> language_of(const std::string& path) {
  if (path.ends_with(".py")) return Language::python;
  if (path.ends_with(".c")) return Language::c;
  for (const char* ending : {".cc", ".cpp", ".cxx", ".hpp"}) {
    if (path.ends_with(ending)) return Language::cpp;
  }
  return std::nullopt;  // a header belongs to what includes it
}

bool is_source(const std::string& path) { return path.ends_with(".h") || language_of(path); }

/// The file's lines; none where it is no text that every tool shows as it is.
std::vector<std::string> plain_lines(const std::string& text) {
  if (!is_utf8(text) || text.find('\r') != std::string::npos || !text.ends_with('\n')) return {};
  std::vector<std::string> lines;
  for (const std::string_view line : split_lines(text)) {
    if (line.size() > kLineBytesMax) return {};
    lines.emplace_back(line);
  }
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

Result<RealCode::Package> read_package(const fs::path& folder, const RealCode::MayUse& may_use,
                                       size_t& n_files) {
  RealCode::Package package{.name = folder.filename().string(), .files = {}};
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().filename().string().starts_with(".")) {
      it.disable_recursion_pending();
      continue;
    }
    if (it->is_symlink(error) || !it->is_regular_file(error)) continue;
    if (!is_source(it->path().filename().string())) continue;
    if (++n_files > kFilesMax) {
      return fail(ErrorCode::exhausted,
                  fmt::format("{}: more than {} source files", folder.string(), kFilesMax));
    }
    paths.push_back(it->path());
  }
  if (error) return fail(ErrorCode::io, folder.string() + ": " + error.message());
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) {
    const std::string inside = path.lexically_relative(folder).string();
    if (may_use && !may_use(folder, inside)) continue;
    const auto size = fs::file_size(path, error);
    if (error || size > kFileBytesMax) {
      ++package.n_left_out;
      continue;
    }
    SABLE_TRY(const std::string text, read_file(path, kFileBytesMax));
    auto lines = plain_lines(text);
    if (lines.empty()) {
      ++package.n_left_out;
    } else {
      package.files.push_back({inside, std::move(lines)});
    }
  }
  const bool any = std::any_of(package.files.begin(), package.files.end(),
                               [](const MadeFile& file) { return language_of(file.path); });
  if (!any && !may_use) {
    return fail(ErrorCode::not_found,
                folder.string() +
                    ": no source file in C, C++ or Python that is plain text of at "
                    "most 40,000 bytes with lines of at most 160");
  }
  return package;
}

}  // namespace

Result<RealCode> RealCode::read(const fs::path& folder, const MayUse& may_use) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->is_directory(error)) folders.push_back(it->path());
  }
  if (error) return fail(ErrorCode::io, folder.string() + ": " + error.message());
  if (folders.empty()) {
    return fail(ErrorCode::not_found,
                folder.string() + ": has no folder; each folder in it is one package of source");
  }
  std::sort(folders.begin(), folders.end());
  std::vector<Package> packages;
  size_t n_files = 0;
  for (const fs::path& each : folders) {
    SABLE_TRY(auto package, read_package(each, may_use, n_files));
    const bool none_may = may_use && package.files.empty();
    if (!none_may) packages.push_back(std::move(package));
  }
  if (packages.empty()) {
    return fail(ErrorCode::not_found, folder.string() + ": no file in it may be used");
  }
  return RealCode(std::move(packages));
}

std::optional<MadeRepository> RealCode::repository(const RepositoryWish& wish, Names& /*names*/,
                                                   Random& random) const {
  if (wish.tests) return std::nullopt;
  const Package& package = random.pick(packages_);
  std::vector<size_t> sources;
  for (size_t i = 0; i < package.files.size(); ++i) {
    const auto language = language_of(package.files[i].path);
    if (language && wish.language.value_or(*language) == *language) sources.push_back(i);
  }
  if (sources.empty()) return std::nullopt;
  const size_t first = random.pick(sources);
  MadeRepository repository{.name = package.name,
                            .language = *language_of(package.files[first].path)};
  std::set<size_t> chosen = {first};
  const size_t wanted = random.between(2, 6);
  for (int attempt = 0; attempt < 30 && chosen.size() < wanted; ++attempt) {
    const size_t i = random.below(package.files.size());
    const std::string& path = package.files[i].path;
    const bool header = path.ends_with(".h") && repository.language != Language::python;
    if (header || language_of(path) == repository.language) chosen.insert(i);
  }
  for (const size_t i : chosen) repository.files.push_back(package.files[i]);
  find_definitions(repository);
  if (repository.functions.empty() && repository.constants.empty()) return std::nullopt;
  return repository;
}

}  // namespace sable::evaluation
