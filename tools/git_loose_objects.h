// Loose git objects (gitformat-loose: a zlib stream of "TYPE SIZE\0" and the content) read without
// trust, in place of libgit2's own reader: that one (1.5) opens by path, where a FIFO holds it up,
// and turns for ever on a damaged stream.
#pragma once

#include <git2.h>

namespace sable::tools {

/// A source of objects for git_odb_add_backend(), which then owns it. `objects` is a descriptor of
/// the folder "objects", borrowed for the time of the source. Only plain files beneath it are read.
git_odb_backend* make_loose_objects(int objects);

}  // namespace sable::tools
