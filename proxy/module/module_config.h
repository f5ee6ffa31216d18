// How a module reads its options, whatever file they stand in. ConfigReader is given to Options::Read; config/
// implements it over a TOML table. Control thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"

namespace genkan {

class ConfigReader {
 public:
  // Each leaves `value` (the default) alone where the key is not there, and notes an error with its position where
  // the type is wrong. A key that nobody read is an error too.
  virtual void Read(std::string_view key, bool& value) = 0;
  virtual void Read(std::string_view key, int64_t& value) = 0;
  virtual void Read(std::string_view key, std::string& value) = 0;
  virtual void Read(std::string_view key, std::vector<std::string>& value) = 0;
  virtual void Read(std::string_view key, Millis& value) = 0;       // "10s"
  virtual void ReadSize(std::string_view key, uint64_t& value) = 0;  // "64KiB"
  // An error of the module's own at this key: "rate: \"10/x\" is not N/s, N/m or N/h".
  virtual void Fail(std::string_view key, std::string_view what) = 0;

 protected:
  ~ConfigReader() = default;
};

// The table of one instance, kept from the file until the module is made. Made by config/.
class ModuleTable {
 public:
  virtual ~ModuleTable() = default;
  // Calls `read` with a reader over this table; the errors found, each "genkan.toml:12:3: …".
  virtual std::vector<std::string> Visit(void (*read)(void* options, ConfigReader& reader),
                                         void* options) const = 0;
  virtual bool Equals(const ModuleTable& other) const = 0;
};

}  // namespace genkan
