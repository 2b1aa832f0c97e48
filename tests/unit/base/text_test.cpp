#include "base/text.h"

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

using namespace sable;

TEST_CASE("ill-formed UTF-8 is found and replaced by maximal subparts") {
  CHECK(is_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
  for (const char* bad : {"\x80", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                          "\xF5\x80\x80\x80", "\xC3", "\xE2\x82"}) {
    CHECK_FALSE(is_utf8(bad));
  }
  // The example of the Unicode standard, section 3.9, table 3-11.
  CHECK(to_utf8("\xF0\x80\x80\x41") == "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\x41");
  CHECK(to_utf8("\xE2\x82"
                "A") ==
        "\xEF\xBF\xBD"
        "A");
}

TEST_CASE("control characters become visible, newline and tab stay") {
  CHECK(escape_controls("a\x1b[31mb\r\n\tc\x7f") == "a\\x1b[31mb\\x0d\n\tc\\x7f");
  CHECK(escape_controls("\xC2\x9B"
                        "1m") == "\\x9b1m");
  CHECK(escape_controls("\xE2\x80\xAE") == "\\u202e");
}

TEST_CASE("a cut never splits a code point") {
  CHECK(utf8_prefix("a\xE2\x82\xAC", 3) == 1);
  CHECK(utf8_prefix("a\xE2\x82\xAC", 4) == 4);
  CHECK(utf8_prefix("\xE2\x82\xAC", 2) == 0);
}

TEST_CASE("the nearest known word is suggested, a far one is not") {
  const std::vector<std::string> words = {"provider", "sandbox", "agent"};
  CHECK(nearest("provdier", words) == "provider");
  CHECK(nearest("zzzzzzzz", words).empty());
}

TEST_CASE("replacing makes any bytes well-formed") {
  rc::prop("to_utf8 gives UTF-8 and keeps UTF-8", [](const std::string& bytes) {
    const auto text = to_utf8(bytes);
    RC_ASSERT(is_utf8(text));
    RC_ASSERT(to_utf8(text) == text);
    const auto cut = text.substr(0, utf8_prefix(text, text.size() / 2));
    RC_ASSERT(is_utf8(cut));
    for (const char c : escape_controls(text)) RC_ASSERT(c == '\n' || c == '\t' || (c & 0xE0) != 0);
  });
}

TEST_CASE("names are compared without the case of ASCII letters, and of no others") {
  CHECK(equal_ignoring_case("", ""));
  CHECK(equal_ignoring_case("Content-Length", "content-lENGTH"));
  CHECK_FALSE(equal_ignoring_case("ab", "abc"));
  CHECK_FALSE(equal_ignoring_case("[", "{"));  // 32 apart, as "A" and "a" are
  CHECK_FALSE(equal_ignoring_case("\xC3\x84", "\xC3\xA4"));
  CHECK_FALSE(equal_ignoring_case(std::string_view("a\0b", 3), std::string_view("a\0c", 3)));
}

TEST_CASE("words are found in either case, at their first place") {
  CHECK(find_ignoring_case("the Marmot, the marmot", "mARMOT") == 4);
  CHECK(find_ignoring_case("marmot", "marmots") == std::string_view::npos);
  CHECK(find_ignoring_case("a\xC3\x84", "\xC3\xA4") == std::string_view::npos);
  CHECK(find_ignoring_case("", "") == 0);
  CHECK(find_ignoring_case("ab", "b") == 1);
  CHECK(find_ignoring_case("", "b") == std::string_view::npos);
}
