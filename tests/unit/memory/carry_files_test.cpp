// An exported session brings its file checkpoints along; a file that somebody made up brings
// nothing.
#include <fstream>

#include "base/file.h"
#include "memory/checkpoint_carry.h"
#include "tests/unit/memory/await.h"

using namespace sable;
using namespace sable::memory;
using namespace sable::test;

namespace fs = std::filesystem;

namespace {

size_t n_objects(const fs::path& home) {
  size_t n = 0;
  for (const auto& folder : checkpoint_folders(home)) {
    for (const auto& entry : fs::recursive_directory_iterator(folder / "objects")) {
      n += entry.is_regular_file();
    }
  }
  return n;
}

/// A session in `home` with two checkpoints of `root`; the files are gone on by then.
struct Traveller {
  TemporaryFolder folder;
  fs::path home = folder / "home", other = folder / "other", root = folder / "root",
           file = folder / "exported";
  std::string id, first, second;

  Traveller() {
    fs::create_directories(root / "below");
    std::ofstream(root / "below" / "a") << "first";
    fs::create_symlink("below/a", root / "link");
    auto store = open_store(home);
    auto lease = must(store->create_session({.title = "x", .working_directory = root}));
    id = lease->session();
    auto files = FileCheckpoints::open(home, root);
    REQUIRE(files.has_value());
    first = (*files)->take(id)->id;
    must(store->append(*lease, {{"files.checkpointed", Json{{"checkpoint", first}}}}));
    std::ofstream(root / "below" / "a") << "second";
    std::ofstream(root / "b") << "b";
    second = (*files)->take(id)->id;
    must(store->append(*lease, {{"files.checkpointed", Json{{"checkpoint", second}}}}));
    std::ofstream(root / "below" / "a") << "third";
    const auto report = must(store->export_session(id, file));
    CHECK(report.n_checkpoint_objects == n_objects(home));
    CHECK(report.files_left_out.empty());
  }

  Result<std::string> import_text(const std::string& content) {
    folder.write("made_up", content);
    auto store = open_store(other);
    return await(store->import_session(folder / "made_up"));
  }
};

/// An exported session with made-up objects in the place of its own.
class MadeUpFile {
 public:
  explicit MadeUpFile(const std::string& exported)
      : text_(exported.substr(0, exported.find("{\"object\""))) {}

  ObjectId add(ObjectKind kind, const std::string& bytes) {
    const auto id = GitObjects::name_of(kind, bytes).value();
    add_as(hex_of(id), kind, bytes);
    return id;
  }
  void add_as(const std::string& hex, ObjectKind kind, const std::string& bytes) {
    text_ += dump_json(Json{{"object", hex}, {"kind", name_of(kind)}, {"bytes", bytes.size()}}) +
             "\n" + bytes + (bytes.empty() ? "" : "\n");
  }
  ObjectId add_tree(const std::vector<std::pair<std::string, ObjectId>>& entries,
                    const char* mode) {
    std::string bytes;
    for (const auto& [name, id] : entries) {
      bytes += std::string(mode) + " " + name;
      bytes.push_back('\0');
      bytes += id;
    }
    return add(ObjectKind::tree, bytes);
  }
  ObjectId add_commit(const ObjectId& files) {
    const auto left_out = add(ObjectKind::blob, "");
    std::string bytes = "40000 files";
    bytes.push_back('\0');
    bytes += files + "100644 left_out";
    bytes.push_back('\0');
    const auto top = add(ObjectKind::tree, bytes + left_out);
    return add(ObjectKind::commit, "tree " + hex_of(top) + "\n\nmade up\n");
  }
  std::string named(const ObjectId& commit) const {
    return text_ + "{\"checkpoint\":\"" + hex_of(commit) + "\"}\n{\"end\":true}\n";
  }

 private:
  std::string text_;
};

}  // namespace

TEST_CASE("an imported session takes its files back to what they were where it came from") {
  Traveller made;
  {
    auto target = open_store(made.other);
    CHECK(must(target->import_session(made.file)) == made.id);
  }
  auto files = FileCheckpoints::open(made.other, made.root);
  REQUIRE(files.has_value());
  REQUIRE((*files)->restore(made.first).has_value());
  CHECK(read_file(made.root / "below" / "a").value() == "first");
  CHECK_FALSE(fs::exists(made.root / "b"));
  REQUIRE((*files)->restore(made.second).has_value());
  CHECK(read_file(made.root / "below" / "a").value() == "second");
  CHECK(fs::read_symlink(made.root / "link") == "below/a");
  files->reset();
  // They belong to the session there: what else lies about goes with a sweep, these do not.
  auto target = open_store(made.other);
  CHECK(must(target->sweep()).nothing());
  CHECK(n_objects(made.other) == n_objects(made.home));
  must(target->remove(made.id));
  CHECK(n_objects(made.other) == 0);
}

TEST_CASE("a session that was imported twice has its files under both names") {
  Traveller made;
  auto store = open_store(made.home);
  const auto twice = must(store->import_session(made.file));
  must(store->remove(made.id));
  auto files = FileCheckpoints::open(made.home, made.root);
  REQUIRE((files && (*files)->check(made.first)));
  CHECK(newest_checkpoint(checkpoint_folder(made.home, made.root), twice)->has_value());
}

TEST_CASE("an import puts a whole object in the place of a damaged one") {
  Traveller made;
  for (const auto& folder : checkpoint_folders(made.home)) {
    for (const auto& entry : fs::recursive_directory_iterator(folder / "objects")) {
      if (!entry.is_regular_file()) continue;
      fs::permissions(entry.path(), fs::perms::owner_all);
      fs::resize_file(entry.path(), 5);
    }
  }
  auto store = open_store(made.home);
  must(store->import_session(made.file));
  auto files = FileCheckpoints::open(made.home, made.root);
  REQUIRE((files && (*files)->restore(made.first)));
  CHECK(read_file(made.root / "below" / "a").value() == "first");
}

TEST_CASE("a session whose checkpoints are damaged is exported without them, and that is said") {
  Traveller made;
  const auto commit = made.first;
  fs::remove(checkpoint_folder(made.home, made.root) / "objects" / commit.substr(0, 2) /
             commit.substr(2));
  auto store = open_store(made.home);
  const auto report = must(store->export_session(made.id, made.file));
  CHECK(report.n_checkpoint_objects == 0);
  CHECK_FALSE(report.files_left_out.empty());
  auto target = open_store(made.other);
  CHECK(must(target->import_session(made.file)) == made.id);
}

TEST_CASE("an exported session with checkpoints is refused wherever it is cut or changed") {
  Traveller made;
  const auto whole = read_file(made.file).value();
  const size_t objects = whole.find("{\"object\"");
  REQUIRE(objects != std::string::npos);
  auto target = open_store(made.other);
  const auto refused = [&](const std::string& content) {
    made.folder.write("damaged", content);
    const auto result = await(target->import_session(made.folder / "damaged"));
    if (result) return false;
    INFO(result.error().message);
    CHECK(result.error().code == ErrorCode::corrupt);
    return true;
  };
  for (size_t n = objects; n < whole.size(); n += 23) {
    INFO("cut at " << n);
    CHECK(refused(whole.substr(0, n)));
  }
  for (size_t at = objects; at < whole.size() - 14; at += 19) {
    INFO("byte " << at << ": " << whole.substr(at, 20));
    auto changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    CHECK(refused(changed));
  }
  CHECK(must(target->list(10)).empty());
  target.reset();
  target = open_store(made.other);
  CHECK(n_objects(made.other) == 0);
}

TEST_CASE("an import refuses objects that are not what they say, and allocates for none of them") {
  Traveller made;
  const auto exported = read_file(made.file).value();
  const auto refused = [&](const std::string& text) {
    const auto result = made.import_text(text);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == ErrorCode::corrupt);
    CHECK(n_objects(made.other) == 0);
    return result.error().message;
  };
  const std::string zeros(40, '0');

  SECTION("an object under another one's name") {
    MadeUpFile file(exported);
    file.add_as(zeros, ObjectKind::blob, "x");
    CHECK(refused(file.named(ObjectId(20, '\0'))).find(zeros) != std::string::npos);
  }
  SECTION("a checkpoint that did not come along") {
    refused(MadeUpFile(exported).named(ObjectId(20, '\0')));
  }
  SECTION("a file that did not come along") {
    MadeUpFile file(exported);
    const auto tree = file.add_tree({{"a", ObjectId(20, 'x')}}, "100644");
    refused(file.named(file.add_commit(tree)));
  }
  SECTION("a folder where a file should be") {
    MadeUpFile file(exported);
    const auto empty = file.add_tree({}, "40000");
    const auto tree = file.add_tree({{"a", empty}}, "100644");
    refused(file.named(file.add_commit(tree)));
  }
  SECTION("names that lead out of the directory, or into Git's own") {
    const auto name = GENERATE(std::string(".."), std::string("."), std::string("a/b"),
                               std::string(".git"), std::string(""));
    MadeUpFile file(exported);
    const auto blob = file.add(ObjectKind::blob, "x");
    const auto tree = file.add_tree({{name, blob}}, "100644");
    refused(file.named(file.add_commit(tree)));
  }
  SECTION("a few small folders that stand for very many files") {
    MadeUpFile file(exported);
    auto tree = file.add_tree({{"a", file.add(ObjectKind::blob, "x")}}, "100644");
    for (int level = 0; level < 40; ++level) {
      tree = file.add_tree({{"a", tree}, {"b", tree}}, "40000");
    }
    refused(file.named(file.add_commit(tree)));
  }
  SECTION("folders without end") {
    MadeUpFile file(exported);
    auto tree = file.add_tree({{"a", file.add(ObjectKind::blob, "x")}}, "100644");
    for (int level = 0; level < 5000; ++level) tree = file.add_tree({{"a", tree}}, "40000");
    refused(file.named(file.add_commit(tree)));
  }
  SECTION("lengths that no file has") {
    const auto head = exported.substr(0, exported.find("{\"object\""));
    refused(head + "{\"object\":\"" + zeros + "\",\"kind\":\"blob\",\"bytes\":1099511627776}\nx\n");
    refused(head + "{\"object\":\"" + zeros + "\",\"kind\":\"wall\",\"bytes\":1}\nx\n");
    refused(head + "{\"blob\":\"" + std::string(64, '0') + "\",\"bytes\":1099511627776}\nx\n");
    refused(head + "{\"checkpoint\":\"nothing\"}\n{\"end\":true}\n");
  }
  SECTION("events behind the checkpoints") {
    const size_t event = exported.find("{\"event\""), objects = exported.find("{\"object\"");
    const size_t end = exported.find("{\"end\"");
    refused(exported.substr(0, event) + exported.substr(objects, end - objects) +
            exported.substr(event, objects - event) + "{\"end\":true}\n");
  }
}

TEST_CASE("a blob in an import is taken in pieces and only under its own name") {
  Traveller made;
  auto store = open_store(made.home);
  auto lease = must(store->acquire(made.id));
  const std::string large(5'000'001, 'l');
  const auto blob = must(store->put_blob(large));
  const auto empty = must(store->put_blob(""));
  must(store->append(*lease, {{"note.added", Json{{"blob", blob}, {"empty", empty}}}}));
  must(store->export_session(made.id, made.file));
  auto text = read_file(made.file).value();
  {
    auto target = open_store(made.other);
    const auto id = must(target->import_session(made.file));
    CHECK(must(target->get_blob(blob)) == large);
    CHECK(must(target->get_blob(empty)).empty());
  }
  text[text.find("llll")] = 'x';
  CHECK(made.import_text(text).error().code == ErrorCode::corrupt);
}

TEST_CASE("a rewind that was not finished where a session came from is not finished elsewhere") {
  Traveller made;
  {
    auto store = open_store(made.home);
    auto lease = must(store->acquire(made.id));
    must(store->append(*lease, {{kRewound, Json{{"to", 1}, {"files", made.first}}}}));
    must(store->export_session(made.id, made.file));
  }
  auto target = open_store(made.other);
  must(target->import_session(made.file));
  CHECK(n_objects(made.other) == 0);
}
