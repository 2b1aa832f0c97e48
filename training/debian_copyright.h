// Which licence a file of a Debian source package has, as its machine-readable debian/copyright
// says (https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sable::training {

class DebianCopyright {
 public:
  /// Errors: invalid_input for a text that is not in this format, version 1.0.
  static Result<DebianCopyright> parse(std::string_view text);

  /// The licence's short name or expression ("Expat", "GPL-2+ or Artistic") of a path relative to
  /// the package: of the last paragraph whose patterns match it. Empty where none does.
  std::string licence_of(std::string_view path) const;

 private:
  struct Paragraph {
    std::vector<std::string> patterns;
    std::string licence;
  };
  std::vector<Paragraph> paragraphs_;
};

/// Whether text under this licence may be trained on: MIT, BSD, Apache-2.0, Zlib, PSF or public
/// domain; of alternatives ("or") one of them, of several at once ("and") all. Exceptions and all
/// other words: no.
bool may_be_learned(std::string_view licence);

}  // namespace sable::training
