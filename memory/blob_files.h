// Large payloads as files named by their content.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sable::memory {

/// The digest (hexadecimal) in "blob:sha256:HEX". Errors: invalid_input.
Result<std::string> digest_of_locator(std::string_view locator);

/// Makes the bytes durable as `folder`/HH/HEX (0600); a file that is there and whole is kept.
Result<void> write_blob(const std::filesystem::path& folder, const std::string& digest,
                        std::string_view bytes);

/// Gives the bytes piece by piece; empty at the end.
using BlobPieces = std::function<Result<std::string_view>()>;

/// The same for content of any size, which is checked on the way. Errors: corrupt; what `next`
/// says.
Result<void> write_blob_in_pieces(const std::filesystem::path& folder, const std::string& digest,
                                  const BlobPieces& next);

/// Gives a blob to `take` in pieces, first its size. Memory is bounded by a piece. Errors: as
/// read_blob, at the end; what `take` says.
Result<void> read_blob_in_pieces(const std::filesystem::path& folder, const std::string& digest,
                                 const std::function<Result<void>(uint64_t n_bytes)>& begin,
                                 const std::function<Result<void>(std::string_view)>& take);

/// Errors: not_found; corrupt when the content is not what its name says.
Result<std::string> read_blob(const std::filesystem::path& folder, const std::string& digest);

/// Of its file; 0 where there is none.
uint64_t blob_bytes(const std::filesystem::path& folder, const std::string& digest);

/// Durably, with what writers left beside them that died; also what is not there.
Result<void> remove_blobs(const std::filesystem::path& folder,
                          const std::vector<std::string>& digests);

/// The digests in one of the 256 subfolders, of whole blobs and of half-written ones; sorted.
Result<std::vector<std::string>> blobs_in_subfolder(const std::filesystem::path& folder,
                                                    uint8_t subfolder);

}  // namespace sable::memory
