#include "sandbox/plan_codec.h"

#include <cstring>
#include <type_traits>

namespace sable::sandbox {

namespace {

constexpr uint32_t kPlanMagic = 0x504c4253;       // "SBLP"
constexpr uint32_t kExecutionMagic = 0x584c4253;  // "SBLX"
constexpr uint32_t kVersion = 3;
constexpr size_t kStringBytesMax = size_t{1} << 20;
constexpr size_t kStringsMax = 32768;
constexpr size_t kFiltersMax = 4;
constexpr size_t kInstructionsMax = 4096;  // the kernel's own bound

// One description of the layout serves both directions: `Archive` either writes each field or reads
// it.
template <class Archive, class ExecutionType>
void walk_execution(Archive& archive, ExecutionType& execution) {
  archive.strings(execution.programs);
  archive.strings(execution.arguments);
  archive.strings(execution.environment);
  archive.text(execution.working_directory);
}

template <class Archive, class PlanType>
void walk_plan(Archive& archive, PlanType& plan) {
  archive.choice(plan.role, Role::worker);
  archive.number(plan.user);
  archive.number(plan.group);
  archive.flag(plan.own_network);
  archive.flag(plan.loopback_up);
  archive.number(plan.proxy_port);
  archive.flag(plan.terminal);
  archive.list(plan.view, kViewEntriesMax, [&](auto& entry) {
    archive.choice(entry.kind, ViewKind::cover_folder);
    archive.choice(entry.access, Access::device);
    archive.text(entry.target);
    archive.text(entry.source);
    archive.number(entry.device);
    archive.number(entry.inode);
    archive.number(entry.mode);
    archive.text(entry.store);
  });
  archive.number(plan.private_bytes);
  archive.number(plan.private_files);
  archive.number(plan.cpu_seconds);
  archive.number(plan.file_bytes);
  archive.number(plan.open_files);
  archive.number(plan.processes);
  archive.number(plan.pid_max);
  archive.number(plan.memory_bytes);
  archive.number(plan.watch_interval_ms);
  archive.strings(plan.disk_roots);
  archive.number(plan.disk_bytes);
  archive.number(plan.disk_files);
  archive.number(plan.landlock_files);
  archive.number(plan.landlock_network);
  archive.number(plan.landlock_scopes);
  archive.list(plan.filters, kFiltersMax, [&](auto& filter) {
    archive.list(filter, kInstructionsMax, [&](auto& instruction) {
      archive.number(instruction.code);
      archive.number(instruction.jump_true);
      archive.number(instruction.jump_false);
      archive.number(instruction.operand);
    });
  });
}

class Writer {
 public:
  explicit Writer(std::vector<uint8_t>& out) : out_(out) {}

  template <class Number>
  void number(Number value) {
    static_assert(std::is_unsigned_v<Number>);
    for (size_t i = 0; i < sizeof(Number); ++i) {
      out_.push_back(static_cast<uint8_t>(uint64_t{value} >> (8 * i)));
    }
  }
  void flag(bool value) { number(static_cast<uint8_t>(value)); }
  template <class Enum>
  void choice(Enum value, Enum /*last*/) {
    number(static_cast<uint8_t>(value));
  }
  void text(const std::string& value) {
    number(static_cast<uint32_t>(value.size()));
    out_.insert(out_.end(), value.begin(), value.end());
  }
  void strings(const std::vector<std::string>& values) {
    list(values, kStringsMax, [&](const std::string& value) { text(value); });
  }
  template <class T, class Each>
  void list(const std::vector<T>& values, size_t /*max*/, Each each) {
    number(static_cast<uint32_t>(values.size()));
    for (const auto& value : values) each(value);
  }

 private:
  std::vector<uint8_t>& out_;
};

// After the first failure every read yields zeros and `ok` stays false.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> in) : in_(in) {}

  bool ok() const { return ok_; }
  bool at_end() const { return in_.empty(); }

  template <class Number>
  void number(Number& value) {
    static_assert(std::is_unsigned_v<Number>);
    value = 0;
    if (!take(sizeof(Number))) return;
    uint64_t bits = 0;
    for (size_t i = 0; i < sizeof(Number); ++i) bits |= uint64_t{taken_[i]} << (8 * i);
    value = static_cast<Number>(bits);
  }
  void flag(bool& value) {
    uint8_t byte = 0;
    number(byte);
    if (byte > 1) ok_ = false;
    value = byte == 1;
  }
  template <class Enum>
  void choice(Enum& value, Enum last) {
    uint8_t byte = 0;
    number(byte);
    if (byte > static_cast<uint8_t>(last)) {
      ok_ = false;
      byte = 0;
    }
    value = static_cast<Enum>(byte);
  }
  void text(std::string& value) {
    uint32_t size = 0;
    number(size);
    if (size > kStringBytesMax || !take(size)) {
      ok_ = false;
      return;
    }
    // A NUL inside would make the kernel see another string than the planner did.
    if (size > 0 && std::memchr(taken_.data(), 0, size) != nullptr) ok_ = false;
    value.assign(reinterpret_cast<const char*>(taken_.data()), size);
  }
  void strings(std::vector<std::string>& values) {
    list(values, kStringsMax, [&](std::string& value) { text(value); });
  }
  template <class T, class Each>
  void list(std::vector<T>& values, size_t max, Each each) {
    uint32_t count = 0;
    number(count);
    // Every element takes at least one byte: a short message cannot announce a long list.
    if (count > max || count > in_.size()) ok_ = false;
    for (uint32_t i = 0; ok_ && i < count; ++i) each(values.emplace_back());
  }

 private:
  bool take(size_t n) {
    if (!ok_ || n > in_.size()) {
      ok_ = false;
      return false;
    }
    taken_ = in_.first(n);
    in_ = in_.subspan(n);
    return true;
  }

  std::span<const uint8_t> in_, taken_;
  bool ok_ = true;
};

template <class Value, class Walk>
std::vector<uint8_t> encode(uint32_t magic, const Value& value, Walk walk) {
  std::vector<uint8_t> bytes;
  bytes.reserve(16384);
  Writer writer(bytes);
  writer.number(magic);
  writer.number(kVersion);
  walk(writer, value);
  return bytes;
}

template <class Value, class Walk>
std::optional<Value> decode(uint32_t expected, std::span<const uint8_t> bytes, Walk walk) {
  if (bytes.size() > kPlanBytesMax) return std::nullopt;
  Reader reader(bytes);
  uint32_t magic = 0, version = 0;
  reader.number(magic);
  reader.number(version);
  if (!reader.ok() || magic != expected || version != kVersion) return std::nullopt;
  Value value;
  walk(reader, value);
  if (!reader.ok() || !reader.at_end()) return std::nullopt;
  return value;
}

constexpr auto kWalkPlan = [](auto& archive, auto& plan) { walk_plan(archive, plan); };
constexpr auto kWalkExecution = [](auto& archive, auto& execution) {
  walk_execution(archive, execution);
};

}  // namespace

std::vector<uint8_t> encode_plan(const Plan& plan) { return encode(kPlanMagic, plan, kWalkPlan); }

std::optional<Plan> decode_plan(std::span<const uint8_t> bytes) {
  return decode<Plan>(kPlanMagic, bytes, kWalkPlan);
}

std::vector<uint8_t> encode_execution(const Execution& execution) {
  return encode(kExecutionMagic, execution, kWalkExecution);
}

std::optional<Execution> decode_execution(std::span<const uint8_t> bytes) {
  return decode<Execution>(kExecutionMagic, bytes, kWalkExecution);
}

}  // namespace sable::sandbox
