# SPDX-License-Identifier: MIT
#
# What single fuzz targets need beyond the library; included by the Makefile. Only they link jansson and
# simdjson: the program itself knows neither.

# The shim is compiled without sanitizers and always with optimisation: it is not what is being fuzzed.
$(BUILD)/fuzz/simdjson_shim.o: test/fuzz/simdjson_shim.cc test/fuzz/simdjson_shim.h
	@mkdir -p $(@D)
	$(call say,CXX)$(CXX) -std=c++17 -O2 -g -Wall -Wextra -Werror -c -o $@ $<

$(BUILD)/fuzz/json_diff: $(BUILD)/fuzz/simdjson_shim.o

FUZZ_OBJECTS_json_diff := $(BUILD)/fuzz/simdjson_shim.o
# jansson and lib/json both have a json_string_length(): ours stays invisible to the shared library.
FUZZ_LIBS_json_diff    := -ljansson -lsimdjson -lstdc++ -lm -Wl,--exclude-libs,libsuperx.a
