// The files of configs/ that are compiled into the program (embed_files.cmake).
#pragma once

#include <span>
#include <string_view>

namespace sable::runtime::config {

struct EmbeddedFile {
  std::string_view path;  ///< below configs/: "default.yaml", "agents/default.yaml"
  std::string_view content;
};

std::span<const EmbeddedFile> embedded_files();

}  // namespace sable::runtime::config
