// Repositories of real code: a few files of one package, as they are, and what of them is defined
// where.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "evaluation/repository_source.h"

namespace sable::evaluation {

/// Packages of source code. What is defined in a file is found by its lines alone, so only what
/// one line shows beyond doubt counts; a name that is defined twice among a repository's files
/// counts as none.
class RealCode final : public RepositorySource {
 public:
  struct Package {
    std::string name;             ///< of its folder
    std::vector<MadeFile> files;  ///< C, C++ and Python, paths relative to the package
    size_t n_left_out = 0;        ///< source files that are too long, or not plain text
  };

  /// `folder` has a folder for each package. Errors: io; not_found where a package has no source
  /// file that could be used, so that none is left out silently; exhausted beyond 20,000 files.
  /// `may_use` is asked for each source file with its package's folder and its path in there; a
  /// package of which nothing may be used is left out. Hidden folders are not read.
  using MayUse = std::function<bool(const std::filesystem::path& package, const std::string& path)>;
  static Result<RealCode> read(const std::filesystem::path& folder, const MayUse& may_use = {});

  const std::vector<Package>& packages() const { return packages_; }

  /// Two to six files of one language of one package; without tests.
  std::optional<MadeRepository> repository(const RepositoryWish& wish, Names& names,
                                           Random& random) const override;

 private:
  explicit RealCode(std::vector<Package> packages) : packages_(std::move(packages)) {}
  std::vector<Package> packages_;
};

/// Fills in what the files define and where it is called (functions, constants, types, lists, TODO
/// marks), for files of one language.
void find_definitions(MadeRepository& repository);

}  // namespace sable::evaluation
