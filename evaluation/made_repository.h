// Repositories made up for one episode: files with names that nobody has seen, and what a teacher
// needs to know about them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "evaluation/files.h"
#include "evaluation/function_shapes.h"
#include "evaluation/words.h"

namespace sable::evaluation {

struct MadeFile {
  std::string path;
  std::vector<std::string> lines;
  std::string text() const;
};

/// Places are indices into files and line numbers from 1.
struct Place {
  size_t file = 0, line = 0;
};

struct MadeFunction {
  std::string name;
  Place at;  ///< of the definition
  const FunctionShape* shape = nullptr;
  std::vector<std::string> parameters;
  std::vector<Place> calls;  ///< where others call it
  bool tested = false;
};

struct MadeConstant {
  std::string name, value;
  Place at;
  bool is_text = false;
};

struct MadeType {
  std::string name;
  Place at;
};

struct MadeList {
  std::string name;
  Place at;  ///< of its first line; entries follow, one a line
  std::vector<std::string> entries;
};

struct MadeRepository {
  std::string name;
  Language language = Language::python;
  std::vector<MadeFile> files;
  std::vector<MadeFunction> functions;
  std::vector<MadeConstant> constants;
  std::vector<MadeType> types;
  std::vector<MadeList> lists;
  std::vector<Place> todos;
  std::string test_command;  ///< empty where there are no tests
  std::string test_module;   ///< "test_NAME" of tests in Python or C

  const std::string& path(const Place& at) const { return files[at.file].path; }
  Files contents() const;
  const std::string& line(const Place& at) const { return files[at.file].lines[at.line - 1]; }
};

struct RepositoryWish {
  std::optional<Language> language;
  size_t n_modules_min = 1, n_modules_max = 4;
  bool tests = false;
  bool look_alikes = false;  ///< names that begin or end as others do
};

MadeRepository make_repository(const RepositoryWish& wish, Names& names, Random& random);

}  // namespace sable::evaluation
