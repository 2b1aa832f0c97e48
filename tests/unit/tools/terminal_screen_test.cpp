// The screen of a terminal. Expected pictures follow from ECMA-48, the VT220 manual and xterm's
// control sequences, not from what our own code drew.
#include "tools/terminal_screen.h"

#include <rapidcheck.h>

#include <catch2/catch.hpp>

using sable::tools::ScreenReading;
using sable::tools::TerminalScreen;

namespace {

/// What stands on a small screen after these bytes.
std::string drawn(const std::string& bytes, size_t columns = 10, size_t rows = 4) {
  TerminalScreen screen(columns, rows);
  screen.take(bytes);
  return screen.text();
}

ScreenReading read_after(const std::string& bytes) {
  TerminalScreen screen(10, 4);
  screen.take(bytes);
  return screen.read();
}

}  // namespace

TEST_CASE("lines, tabs, backspaces and carriage returns fall where a typist would put them") {
  CHECK(drawn("ab\r\ncd") == "ab\ncd\n");
  CHECK(drawn("ab\ncd") == "ab\n  cd\n");  // a bare line feed keeps the column
  CHECK(drawn("a\tb") == "a       b\n");
  CHECK(drawn("abc\b\bX") == "aXc\n");
  CHECK(drawn("100%\r 99%") == " 99%\n");
  CHECK(drawn("").empty());
  CHECK(drawn("\r\n\r\n").empty());
}

TEST_CASE("a full line wraps only when something follows") {
  CHECK(drawn("0123456789") == "0123456789\n");
  CHECK(drawn("0123456789\r\nx") == "0123456789\nx\n");
  CHECK(drawn("0123456789x") == "0123456789\nx\n");
  CHECK(drawn("\033[?7l0123456789xyz") == "012345678z\n");
  CHECK(drawn("0123456789\033[Cx") == "012345678x\n");  // any motion ends the waiting
}

TEST_CASE("the cursor is moved absolutely and by steps, and never leaves the screen") {
  CHECK(drawn("\033[2;3Hx") == "\n  x\n");
  CHECK(drawn("\033[Hx\033[4;10Hy") == "x\n\n\n         y\n");
  CHECK(drawn("\033[99;99Hx") == "\n\n\n         x\n");
  CHECK(drawn("\033[999999999999999999999;1Hx") == "\n\n\nx\n");
  CHECK(drawn("\033[3;3H\033[Aa\033[2Bb\033[3Dc") == "\n  a\n\n c b\n");
  CHECK(drawn("\033[2;5H\033[Ea\033[Fb") == "\nb\na\n");
  CHECK(drawn("\033[3da\033[7Gb") == "\n\na     b\n");
  CHECK(drawn("abc\0337\033[3;1Hx\0338y") == "abcy\n\nx\n");
}

TEST_CASE("erasing takes the cursor's cell with it") {
  CHECK(drawn("abcdef\033[3D\033[K") == "abc\n");
  CHECK(drawn("abcdef\033[3D\033[1K") == "    ef\n");
  CHECK(drawn("abcdef\033[2Kx") == "      x\n");
  CHECK(drawn("abcdef\033[1G\033[2X") == "  cdef\n");
  CHECK(drawn("a\r\nb\r\nc\033[2;1H\033[J") == "a\n");
  CHECK(drawn("a\r\nb\r\nc\033[2;1H\033[1J") == "\n\nc\n");
  CHECK(drawn("a\r\nb\r\nc\033[2J").empty());
}

TEST_CASE("characters and lines are inserted and deleted") {
  CHECK(drawn("abcd\033[2G\033[2@XY") == "aXYbcd\n");
  CHECK(drawn("abcd\033[2G\033[2P") == "ad\n");
  CHECK(drawn("abcd\033[2G\033[4hXY\033[4lZ") == "aXYZcd\n");
  CHECK(drawn("0123456789\033[1G\033[3@") == "   0123456\n");
  CHECK(drawn("1\r\n2\r\n3\r\n4\033[2;1H\033[L") == "1\n\n2\n3\n");
  CHECK(drawn("1\r\n2\r\n3\r\n4\033[2;1H\033[2M") == "1\n4\n");
  CHECK(drawn("ab\033[3b") == "abbbb\n");
}

TEST_CASE("a scroll region moves alone") {
  CHECK(drawn("1\r\n2\r\n3\r\n4\033[2;3r\033[3;1H\nx") == "1\n3\nx\n4\n");
  CHECK(drawn("1\r\n2\r\n3\r\n4\033[2;3r\033[2;1H\033Mx") == "1\nx\n2\n4\n");
  CHECK(drawn("1\r\n2\r\n3\r\n4\033[2;3r\033[S") == "1\n3\n\n4\n");
  CHECK(drawn("1\r\n2\r\n3\r\n4\033[2;3r\033[T") == "1\n\n2\n4\n");
  CHECK(drawn("\033[2;3r\033[?6h\033[1;1Hx\033[9;1Hy") == "\nx\ny\n");  // the region's own rows
  CHECK(drawn("1\r\n2\033[3;2r\033[9;9r\033[1;1Hx") == "x\n2\n");       // no region at all
}

TEST_CASE("the alternate screen hides the main one and gives it back with its cursor") {
  TerminalScreen screen(10, 4);
  screen.take("$ vi\033[?1049h\033[2;2Hinside");
  CHECK(screen.text() == "\n inside\n");
  CHECK(screen.read().is_laid_out);
  CHECK(screen.read().is_laid_out);  // as long as it is shown
  screen.take("\033[?1049l!");
  CHECK(screen.text() == "$ vi!\n");
  CHECK(screen.read().is_laid_out);
  CHECK_FALSE(screen.read().is_laid_out);
}

TEST_CASE("lines that leave the top of the main screen can be read once") {
  TerminalScreen screen(10, 3);
  screen.take("1\r\n2\r\n3\r\n4\r\n5");
  auto first = screen.read();
  CHECK(first.scrolled == "1\n2\n");
  CHECK(first.text == "3\n4\n5\n");
  CHECK_FALSE(first.is_laid_out);
  screen.take("\r\n6");
  CHECK(screen.read().scrolled == "3\n");
  screen.take("\033[?1049h1\r\n2\r\n3\r\n4\r\n5\033[?1049l");
  CHECK(screen.read().scrolled.empty());
  for (int i = 0; i < 200'000; ++i) screen.take("line\r\n");
  const auto much = screen.read();
  CHECK(much.scrolled.size() <= (256 << 10) * 3 / 2);
  CHECK(much.n_scrolled_lost > 100'000);
  CHECK(much.scrolled.starts_with("line\n"));
}

TEST_CASE("plain output is no layout; moving up, writing over and erasing are") {
  CHECK_FALSE(read_after("a\r\nb\tc\r\n\033[31mred\033[0m\r\nx\r\ny\r\nz").is_laid_out);
  CHECK_FALSE(read_after("\033]0;title\a\033[?2004h$ \033[K").is_laid_out);
  CHECK_FALSE(read_after("ab\r\n\r\n").is_laid_out);
  CHECK(read_after("10%\r20%").is_laid_out);
  CHECK(read_after("a\r\nb\033[Ac").is_laid_out);
  CHECK(read_after("abc\r\033[K").is_laid_out);
  CHECK(read_after("\033[3;1Hx").is_laid_out);
  CHECK(read_after("a\033[3Cb").is_laid_out);
}

TEST_CASE("the cursor's place is told from 1") {
  const auto reading = read_after("ab\r\ncde");
  CHECK(reading.row == 2);
  CHECK(reading.column == 4);
}

TEST_CASE("UTF-8 comes in any pieces, ill-formed bytes are one mark each, and lines are drawn") {
  const std::string text = "aä€𝄞";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    TerminalScreen screen(10, 2);
    screen.take(text.substr(0, cut));
    screen.take(text.substr(cut));
    CHECK(screen.text() == text + "\n");
  }
  CHECK(drawn("a\xff"
              "b") ==
        "a\xef\xbf\xbd"
        "b\n");
  CHECK(drawn("\xe2\x82"
              "x") == "\xef\xbf\xbdx\n");
  CHECK(drawn("\xc0\xaf") == "\xef\xbf\xbd\n");      // too long a form of '/'
  CHECK(drawn("\xed\xa0\x80") == "\xef\xbf\xbd\n");  // half of a surrogate pair
  CHECK(drawn("\xc2\x9b"
              "2Jx") == "2Jx\n");  // a late control is none of ours
  CHECK(drawn("\033(0lqk\033(Blqk") == "┌─┐lqk\n");
  CHECK(drawn("\033)0\016x\017x") == "│x\n");
}

TEST_CASE("strings and unknown sequences are skipped, whatever is in them") {
  CHECK(drawn("a\033]0;title\ab") == "ab\n");
  CHECK(drawn("a\033]0;title\033\\b") == "ab\n");
  CHECK(drawn("a\033Pq#0;2;0\033\\b\033_x\033\\c\033^y\033\\d") == "abcd\n");
  CHECK(drawn("a\033]0;cut\033[2Db") == "b\n");  // another sequence ends it
  CHECK(drawn("a\033[>c\033[?25l\033[=1;2u\033[1;2 qb") == "ab\n");
  CHECK(drawn("a\033[1?2hb\033[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18mc") == "abc\n");
  CHECK(drawn("a\033[2\030b\033\032c") == "abc\n");
  CHECK(drawn("a\033[\r2Cb") == "a b\n");  // controls act in the middle of a sequence
  CHECK(drawn(std::string("a\0b\x7f"
                          "c",
                          5)) == "abc\n");
}

TEST_CASE("whatever comes, the screen keeps its size and no control stands on it", "[property]") {
  rc::check([] {
    const auto pieces = *rc::gen::container<std::vector<std::string>>(rc::gen::oneOf(
        rc::gen::arbitrary<std::string>(),
        rc::gen::map(
            rc::gen::pair(rc::gen::container<std::string>(
                              rc::gen::elementOf(std::string("0123456789;?:> !"))),
                          rc::gen::inRange('@', '\x7f')),
            [](const std::pair<std::string, char>& s) { return "\033[" + s.first + s.second; }),
        rc::gen::element<std::string>("\r", "\n", "\b", "\t", "\0337", "\0338", "\033M", "\033c",
                                      "\033(0", "x", "\033[?1049h", "\033[?1049l", "\033[2;3r")));
    const auto columns = *rc::gen::inRange<size_t>(1, 12), rows = *rc::gen::inRange<size_t>(1, 6);
    TerminalScreen whole(columns, rows), split(columns, rows);
    std::string bytes;
    for (const auto& piece : pieces) {
      split.take(piece);
      bytes += piece;
    }
    whole.take(bytes);
    const auto reading = split.read();
    RC_ASSERT(whole.text() == reading.text);
    RC_ASSERT(reading.row >= 1 && reading.row <= rows);
    RC_ASSERT(reading.column >= 1 && reading.column <= columns);
    size_t n_lines = 0, n_in_line = 0;
    for (const char c : reading.text) {
      RC_ASSERT(c == '\n' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f));
      n_in_line = c == '\n' ? 0 : n_in_line + ((c & 0xc0) == 0x80 ? 0 : 1);
      n_lines += c == '\n' ? 1 : 0;
      RC_ASSERT(n_in_line <= columns);
    }
    RC_ASSERT(n_lines <= rows);
  });
}
