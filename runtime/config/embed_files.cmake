# Writes a C++ source that holds files as bytes, so that the program needs no folder at run time.
#   cmake -DROOT=configs -DFILES=a.yaml,agents/b.yaml -DOUTPUT=embedded_files.cpp -P embed_files.cmake
string(REPLACE "," ";" files "${FILES}")
set(arrays "")
set(entries "")
set(index 0)
foreach(file IN LISTS files)
  file(READ "${ROOT}/${file}" hex HEX)
  # Twenty bytes a line; the last element is a terminator that no view includes.
  string(REGEX REPLACE "(........................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1', " bytes "${hex}")
  string(APPEND arrays "constexpr char kFile${index}[] = {\n${bytes}'\\0'};\n")
  string(APPEND entries "    {\"${file}\", {kFile${index}, sizeof kFile${index} - 1}},\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE "${OUTPUT}.new" "// Made by embed_files.cmake from the files it names.
#include \"runtime/config/embedded_files.h\"

namespace sable::runtime::config {

namespace {

${arrays}
constexpr EmbeddedFile kFiles[] = {
${entries}};

}  // namespace

std::span<const EmbeddedFile> embedded_files() { return kFiles; }

}  // namespace sable::runtime::config
")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")
