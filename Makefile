# SuperX: the targets a person types. `make help` lists them; HACKING.md explains them.
#
# Every variant of the program is built in a folder of its own (build/VARIANT), so that switching
# between a release and a sanitizer build never recompiles the other.

VARIANT ?= release
BUILD   := build/$(VARIANT)
ifeq ($(origin CC),default)
CC := gcc
endif
# Commands are shown in short; V=1 shows them whole.
V ?= 0
say = $(if $(filter 1,$(V)),,@printf '  %-4s %s\n' '$(1)' '$@';)
VERSION := 0.1.0

PKGS    := libuv libpq sqlite3 yaml-0.1 openssl
LLHTTP  := /usr/share/llhttp

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
        -Wpointer-arith -Wwrite-strings -Wformat=2 -Wundef -Werror
CPPFLAGS += -D_GNU_SOURCE -DSUPERX_VERSION='"$(VERSION)"' -DLLHTTP_STRICT_MODE=1 -Isrc -isystem /usr/share/include \
        -include src/lib/banned.h
CFLAGS_release := -O2 -g -fno-plt -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
CFLAGS_crash   := -O1 -g -fPIE -DCRASH_POINTS
CFLAGS_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
                  -fno-sanitize-recover=all -DCRASH_POINTS
CFLAGS_tsan    := -O1 -g -fsanitize=thread -fPIE
CFLAGS_clang   := -O1 -g
CFLAGS_fuzz    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link \
                  -fno-sanitize-recover=all
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
LDFLAGS_crash  := -pie
LDFLAGS_asan   := -fsanitize=address,undefined
LDFLAGS_tsan   := -fsanitize=thread -pie
LDFLAGS_fuzz   := -fsanitize=address,undefined

ALL_CFLAGS  := -std=gnu11 $(WARN) $(CFLAGS_$(VARIANT)) -MMD -MP \
               $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
ALL_LDFLAGS := $(LDFLAGS_$(VARIANT)) $(LDFLAGS)
LDLIBS      := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lpthread

SOURCES := $(sort $(wildcard src/*/*.c))
OBJECTS := $(SOURCES:src/%.c=$(BUILD)/obj/%.o) \
           $(patsubst %,$(BUILD)/obj/llhttp/%.o,llhttp api http)
LIBRARY := $(BUILD)/libsuperx.a
PROGRAM := $(BUILD)/superx
SQL     := $(wildcard src/store/migrations/*.sql)

UNIT_SOURCES := $(sort $(wildcard test/unit/*/*.c))
UNIT_PROGRAMS := $(UNIT_SOURCES:test/unit/%.c=$(BUILD)/unit/%)
FUZZ_SOURCES := $(sort $(wildcard test/fuzz/*.c))
FUZZ_PROGRAMS := $(FUZZ_SOURCES:test/fuzz/%.c=$(BUILD)/fuzz/%)

.DEFAULT_GOAL := build/superx
.PHONY: run test bench fuzz format check dev install clean help program unit fuzzers include-rule

build/superx: include-rule
	@$(MAKE) --no-print-directory VARIANT=release program
	@ln -sf release/superx build/superx
	@ln -sf build/superx superx

program: $(PROGRAM)
unit: $(UNIT_PROGRAMS) $(PROGRAM)
fuzzers: $(FUZZ_PROGRAMS)

# Of the objects, not of the library, which would hide that two of them have a function of the same name.
$(PROGRAM): $(OBJECTS)
	$(call say,LINK)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIBRARY): $(filter-out $(BUILD)/obj/wiring/main.o,$(OBJECTS))
	$(call say,AR)rm -f $@.new && ar rcs $@.new $^ && mv $@.new $@

$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# The lib folder is where malloc and its kind may be called by name.
$(BUILD)/obj/lib/%.o: CPPFLAGS += -DLIB_GROUND

$(BUILD)/obj/store/migration.o: $(SQL)

# Debian ships llhttp as C sources in node-llhttp; they are compiled, never copied into the tree.
$(BUILD)/obj/llhttp/%.o: $(LLHTTP)/%.c
	@mkdir -p $(@D)
	$(call say,CC)$(CC) -O2 -g -fPIE -DLLHTTP_STRICT_MODE=1 -w -I/usr/share/include/llhttp $(filter -fsanitize%,$(CFLAGS_$(VARIANT))) -c -o $@ $<

$(BUILD)/unit/%: test/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) -DLIB_GROUND -Itest $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(LIBRARY) $(LDLIBS) $(UNIT_LIBS_$(notdir $*))

# Fuzz targets use libFuzzer and so are built with Clang (tools/fuzz). The differential JSON target
# also links jansson, and simdjson through a small C++ file of its own.
$(BUILD)/fuzz/%: test/fuzz/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) -DLIB_GROUND -Itest $(ALL_CFLAGS) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $< $(FUZZ_OBJECTS_$*) $(LIBRARY) $(LDLIBS) $(FUZZ_LIBS_$*)

-include test/fuzz/fuzz.mk
-include $(shell find build $(BUILD) -name '*.d' 2>/dev/null)

include-rule:
	@tools/include-rule

run: ; @tools/bootstrap run && $(MAKE) --no-print-directory build/superx && tools/run
test: ; @tools/bootstrap test && tools/test
bench: ; @tools/bootstrap bench && $(MAKE) --no-print-directory build/superx build/release/libsuperx.a && tools/bench
fuzz: ; @tools/bootstrap test && tools/fuzz
dev: ; @tools/bootstrap run && tools/dev
format: ; @tools/format --write
check: ; @tools/bootstrap test && tools/check

PREFIX ?= /usr/local
install: build/superx
	install -D -m 0755 build/release/superx $(DESTDIR)$(PREFIX)/bin/superx

clean:
	rm -rf build superx

help:
	@echo 'make run      install what is missing, build, start SuperX with a demo agent on port 4000'
	@echo 'make test     install what tests need, run everything; ends with "N passed, N failed"'
	@echo 'make bench    measure against nginx and pgbench on this machine, print ratios'
	@echo 'make fuzz     fuzz every parser of outside bytes (FUZZ_SECONDS each, default 60)'
	@echo 'make dev      rebuild and restart on every source change'
	@echo 'make format   let clang-format have its way; make check: format, lint, include rule, clang build'
	@echo 'make install  copy the program to PREFIX/bin (default /usr/local); make clean: remove build/'
