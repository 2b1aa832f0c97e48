#include "memory/session_filling.h"

#include <fmt/format.h>

#include "memory/blob_files.h"
#include "memory/checkpoint_carry.h"
#include "memory/rewind.h"
#include "memory/session_id.h"

namespace sable::memory {

namespace {

constexpr size_t kRowsPerTransaction = 1024;

bool is_unfinished_rewind(const FileEvent& event) {
  if (event.type != kRewound) return false;
  const auto data = parse_json(event.data);
  return data && data->is_object() && !string_or(*data, "files", "").empty();
}

}  // namespace

Result<bool> begin_filling(LogDatabase& database, const Home& home, WallTime time, Filling& filling,
                           std::string id) {
  while (true) {
    if (!id.empty()) {
      SABLE_TRY(const bool taken, database.id_is_taken(id));
      if (!taken) break;
    }
    id = make_session_id(time);
  }
  SABLE_TRY(auto lock, SessionLock::acquire(home.locks(), id));
  filling.lock.emplace(std::move(lock));
  SABLE_TRY(filling.row, database.insert_session(id, /*complete=*/false));
  return true;
}

Result<bool> begin_fork(LogDatabase& database, const Home& home, WallTime time, Filling& filling,
                        const std::string& session, Seq at) {
  SABLE_TRY(const auto parent, database.session(session));
  if (at < 1 || at > parent.view.n_events) {
    return fail(ErrorCode::invalid_input, fmt::format("session {} has events 1 to {}, not {}",
                                                      session, parent.view.n_events, at));
  }
  filling.from = parent.number;
  return begin_filling(database, home, time, filling, "");
}

Result<bool> copy_events(LogDatabase& database, Filling& filling, Seq at) {
  // Worked on a copy: when the transaction fails, the next try starts where the last ended.
  SessionRow row = filling.row;
  const size_t n = std::min<size_t>(kRowsPerTransaction, at - row.view.n_events);
  SABLE_TRY_VOID(database.visit_events(
      filling.from, row.view.n_events + 1, n,
      [&](const StoredEvent& event) { return database.adopt_event(row, event); }));
  if (row.view.n_events != filling.row.view.n_events + n) {
    return fail_damaged(row.id, row.view.n_events + 1, "is missing in the original");
  }
  filling.row = std::move(row);
  return true;
}

Result<ImportNext> read_some(Importing& import) {
  constexpr size_t kBytes = size_t{8} << 20;
  for (size_t n_bytes = 0, n = 0; n < kRowsPerTransaction && n_bytes < kBytes; ++n) {
    SABLE_TRY(import.held, import.reader->next());
    if (auto* event = std::get_if<FileEvent>(&import.held)) {
      n_bytes += event->data.size();
      import.events.push_back(std::move(*event));
      continue;
    }
    if (std::holds_alternative<FileBlob>(import.held)) return ImportNext::blob;
    if (std::holds_alternative<FileEnd>(import.held)) return ImportNext::end;
    return ImportNext::checkpoints;
  }
  return ImportNext::events;
}

Result<void> receive_blob(const std::filesystem::path& blobs, Importing& import) {
  auto& reader = *import.reader;
  return write_blob_in_pieces(blobs, std::get<FileBlob>(import.held).digest,
                              [&reader] { return reader.next_piece(); });
}

Result<void> receive_checkpoints(const Home& home, Importing& import) {
  const SessionRow& session = import.filling.row;
  std::optional<CheckpointReceiver> receiver;
  if (!import.ends_in_rewind) {
    SABLE_TRY(auto opened, CheckpointReceiver::open(home.path(), session.view.working_directory));
    receiver.emplace(std::move(opened));
  }
  for (FileRecord record = std::move(import.held);;) {
    if (const auto* object = std::get_if<FileObject>(&record)) {
      if (receiver) {
        SABLE_TRY_VOID(receiver->take(object->kind, object->id, object->bytes));
      }
    } else if (const auto* checkpoint = std::get_if<FileCheckpointName>(&record)) {
      if (receiver) {
        SABLE_TRY_VOID(receiver->finish(checkpoint->id, session.id));
      }
    } else if (std::holds_alternative<FileEnd>(record)) {
      return {};
    } else {
      return fail(ErrorCode::corrupt, "the exported session has records out of order");
    }
    SABLE_TRY(record, import.reader->next());
  }
}

Result<bool> adopt_some(LogDatabase& database, Importing& import) {
  SessionRow row = import.filling.row;
  const FileHeader& header = import.reader->header();
  for (const FileEvent& event : import.events) {
    auto adopted = database.adopt_event(row, event.stored());
    if (!adopted && adopted.error().code == ErrorCode::corrupt) {
      return fail(ErrorCode::corrupt, fmt::format("the exported session {} is damaged at event {}",
                                                  header.id, row.view.n_events + 1));
    }
    if (!adopted) return fail(adopted.error());
    import.ends_in_rewind = is_unfinished_rewind(event);
  }
  import.events.clear();
  import.filling.row = std::move(row);
  return true;
}

Result<bool> check_events(LogDatabase& database, Importing& import) {
  const SessionView& view = import.filling.row.view;
  const FileHeader& header = import.reader->header();
  if (view.n_events != header.n_events || view.head != header.head) {
    return fail(ErrorCode::corrupt,
                fmt::format("the exported session {} has {} events where its first line "
                            "promises {}",
                            header.id, view.n_events, header.n_events));
  }
  // So that whoever finds a half imported session knows what belongs to it.
  SABLE_TRY_VOID(database.write_view(import.filling.row.number, view));
  return true;
}

Result<std::string> finish_import(LogDatabase& database, Importing& import) {
  SABLE_TRY_VOID(check_events(database, import));
  SABLE_TRY_VOID(database.complete_session(import.filling.row));
  return import.filling.row.id;
}

}  // namespace sable::memory
