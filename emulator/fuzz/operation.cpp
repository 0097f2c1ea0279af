#include "emulator/fuzz/operation.h"

#include <stdexcept>
#include <string>

namespace wavetile::fuzz {

const std::vector<Operation>& operations() {
  static const std::vector<Operation> all = [] {
    std::vector<Operation> table;
    add_arithmetic(table);
    add_conversions(table);
    add_vectors(table);
    add_machine(table);
    add_lanes(table);
    // Those that the generator and the writer know by name.
    for (const char* name :
         {"constant", "scalar", "item", "group", "load", "store", "atomic", "compare_exchange", "float_atomic",
          "shared_atomic", "cells", "exchange_lds", "output", "if", "switch", "loop"}) {
      Operation o;
      o.name = name;
      table.push_back(o);
    }
    return table;
  }();
  return all;
}

const std::vector<Configuration>& configurations() {
  static const std::vector<Configuration> all{{"gfx1151", "gfx1151", 32},
                                              {"gfx1151w64", "gfx1151", 64},
                                              {"gfx1100", "gfx1100", 32},
                                              {"gfx1100w64", "gfx1100", 64},
                                              {"gfx942", "gfx942", 64}};
  return all;
}

const Operation& operation(std::string_view name) {
  for (const Operation& o : operations())
    if (o.name == name) return o;
  throw std::logic_error("no operation '" + std::string(name) + "'");
}

}  // namespace wavetile::fuzz
