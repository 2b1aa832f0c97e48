// Licences of files as debian/copyright gives them; the paragraphs are made up after the format's
// own examples (copyright-format 1.0, sections 5 and 7).
#include "training/debian_copyright.h"

#include <catch2/catch.hpp>

using namespace sable;
using namespace sable::training;

namespace {

constexpr const char* kCopyright =
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
    "Upstream-Name: X\n"
    "\n"
    "Files: *\n"
    "Copyright: 2000 Someone\n"
    "License: GPL-2+\n"
    "\n"
    "Files: src/*.c\n"
    "       include/a?.h\n"
    "Copyright: 2001 Someone\n"
    "License: Expat\n"
    " Permission is hereby granted\n"
    " .\n"
    " and so on\n"
    "\n"
    "Files: src/old/* weird\\*name\n"
    "License: BSD-3-clause and GPL-2\n"
    "\n"
    "License: GPL-2+\n"
    " text\n";

}  // namespace

TEST_CASE("of all paragraphs that match a file the last one counts") {
  const auto copyright = DebianCopyright::parse(kCopyright);
  REQUIRE(copyright);
  CHECK(copyright->licence_of("README") == "GPL-2+");
  CHECK(copyright->licence_of("src/a.c") == "Expat");
  CHECK(copyright->licence_of("src/deep/a.c") == "Expat");
  CHECK(copyright->licence_of("src/a.cpp") == "GPL-2+");
  CHECK(copyright->licence_of("include/ab.h") == "Expat");
  CHECK(copyright->licence_of("include/abc.h") == "GPL-2+");
  CHECK(copyright->licence_of("src/old/a.c") == "BSD-3-clause and GPL-2");
  CHECK(copyright->licence_of("weird*name") == "BSD-3-clause and GPL-2");
  CHECK(copyright->licence_of("weirdXname") == "GPL-2+");
}

TEST_CASE("a file that no paragraph matches has no licence") {
  const auto copyright =
      DebianCopyright::parse("Format: x/copyright-format/1.0/\n\nFiles: a/*\nLicense: Expat\n");
  REQUIRE(copyright);
  CHECK(copyright->licence_of("b/c").empty());
  CHECK_FALSE(may_be_learned(copyright->licence_of("b/c")));
}

TEST_CASE("a text in no machine-readable format is refused") {
  CHECK_FALSE(DebianCopyright::parse(""));
  CHECK_FALSE(DebianCopyright::parse("This package was debianized by someone\nin 2001.\n"));
  CHECK_FALSE(DebianCopyright::parse("Files: *\nLicense: Expat\n"));
  CHECK_FALSE(DebianCopyright::parse("Format: http://old/copyright\n\nFiles: *\nLicense: Expat\n"));
}

TEST_CASE("many stars cost no more than their length") {
  std::string text = "Format: x/copyright-format/1.0/\n\nFiles: ";
  for (int i = 0; i < 2000; ++i) text += "*a";
  const auto copyright = DebianCopyright::parse(text + "\nLicense: Expat\n");
  REQUIRE(copyright);
  CHECK(copyright->licence_of(std::string(1000, 'a') + "b").empty());
}

TEST_CASE("only licences that allow it may be learned from") {
  for (const char* yes :
       {"Expat", "MIT", "BSD-3-clause", "Apache-2.0", "Zlib", "PSF-2", "public-domain",
        "GPL-2+ or Expat", "Expat and BSD-2-clause", "GPL-2 and LGPL-2 or MIT"}) {
    INFO(yes);
    CHECK(may_be_learned(yes));
  }
  for (const char* no : {"", "GPL-2+", "Expat and GPL-2", "LGPL-2.1+ or GPL-2", "Expat or",
                         "BSD-3-clause, and GPL-2", "Apache-2.0 with LLVM exception", "ISC",
                         "Expat with advertising", "other"}) {
    INFO(no);
    CHECK_FALSE(may_be_learned(no));
  }
}
