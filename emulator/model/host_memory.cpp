#include "emulator/model/host_memory.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>

#include <fmt/format.h>

namespace wavetile::emu::model {
namespace {

struct Mapping {
  std::uint64_t begin = 0, end = 0;
  bool readable = false, writable = false;
  std::string name;
};

// Of this process, by address. See proc(5).
std::vector<Mapping> mappings() {
  std::vector<Mapping> result;
  std::ifstream file("/proc/self/maps");
  for (std::string line; std::getline(file, line);) {
    Mapping m;
    char rights[5] = {};
    int name = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %4s %*s %*s %*s %n", &m.begin, &m.end, rights, &name) < 3) continue;
    m.readable = rights[0] == 'r';
    m.writable = rights[1] == 'w';
    if (name > 0) m.name = line.substr(static_cast<std::size_t>(name));
    result.push_back(std::move(m));
  }
  return result;
}

std::optional<Mapping> find(const std::vector<Mapping>& all, std::uint64_t begin, std::uint64_t end) {
  for (const Mapping& m : all) {
    if (m.begin <= begin && end <= m.end) return m;
  }
  return std::nullopt;
}

}  // namespace

void HostMemory::exclude(std::uint64_t begin, std::uint64_t end) {
  const std::scoped_lock lock(mutex_);
  excluded_.emplace_back(begin, end);
}

void HostMemory::end_overlapping(std::uint64_t begin, std::uint64_t end) {
  std::erase_if(ranges_, [&](const auto& entry) {
    if (entry.first >= end || entry.second.end <= begin) return false;
    memory_.remove(reinterpret_cast<const void*>(entry.first));
    return true;
  });
}

void HostMemory::make_room(std::uint64_t begin, std::uint64_t end) {
  const std::scoped_lock lock(mutex_);
  end_overlapping(begin, end);
}

bool HostMemory::resolve(std::uint64_t address, std::size_t bytes) {
  const std::uint64_t end = address + bytes;
  if (end <= address) return false;
  const std::scoped_lock lock(mutex_);
  // Another thread may have come first.
  if (auto after = ranges_.upper_bound(address); after != ranges_.begin() && std::prev(after)->second.end >= end)
    return true;
  auto mapping = find(mappings(), address, end);
  if (!mapping || !mapping->readable) return false;
  for (const auto& [from, to] : excluded_) {
    if (from <= mapping->begin && mapping->begin < to) return false;
  }
  end_overlapping(mapping->begin, mapping->end);
  for (const Allocation* a : memory_.live()) {
    if (a->end <= address) mapping->begin = std::max(mapping->begin, a->end);
    if (a->begin > address) mapping->end = std::min(mapping->end, a->begin);
    if (a->begin <= address && address < a->end) return false;
  }
  if (end > mapping->end) return false;
  memory_.add(reinterpret_cast<const void*>(mapping->begin), mapping->end - mapping->begin,
              fmt::format("host memory{}{}", mapping->name.empty() ? "" : " ", mapping->name), mapping->writable,
              /*initialised=*/true);
  ranges_[mapping->begin] = {mapping->end, mapping->writable};
  return true;
}

void HostMemory::refresh() {
  const std::scoped_lock lock(mutex_);
  if (ranges_.empty()) return;
  const auto all = mappings();
  std::erase_if(ranges_, [&](const auto& entry) {
    const auto mapping = find(all, entry.first, entry.second.end);
    if (mapping && mapping->readable && mapping->writable == entry.second.writable) return false;
    memory_.remove(reinterpret_cast<const void*>(entry.first));
    return true;
  });
}

}  // namespace wavetile::emu::model
