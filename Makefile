# SPDX-License-Identifier: ISC
# Thin: Meson builds, scripts do the rest. `make` leaves the program at build/postern.
#
#   make            the release build (hardened); installs what is missing when it may
#   make try        builds, starts a server under var/try on 127.0.0.1, sends itself a message; ONCE=1 stops after that
#   make check      sanitizer build, unit and whole-program tests; the last line is "N passed, N failed"
#   make fuzz       every fuzz target for FUZZ_SECONDS (600)
#   make bench      side by side with Postfix and Exim, in one run
#   make bench-auth logins: what bounds them, and what they do to other sessions
#   make bench-acl  what an ACL for RCPT costs; fails above 20 us
#   make bench-handshake  what the keeper costs a handshake; fails above 15 %
#   make crash      kill -9 of roles under load, CRASH_ROUNDS (200) times
#   make install    DESTDIR= PREFIX=/usr/local

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
UNITDIR ?= $(PREFIX)/lib/systemd/system
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 600
CRASH_ROUNDS ?= 200
BENCH_ARGS ?=
PYTEST_ARGS ?=
MESON_ARGS ?=
ifeq ($(origin CC),default)
CC := gcc
endif
export CC PREFIX FUZZ_SECONDS ONCE NO_COLOR

NINJA = ninja -j $(JOBS) -C
SANITIZE = -Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debugoptimized

all: build-deps $(BUILD)/build.ninja
	@$(NINJA) $(BUILD)

build-deps:
	@tools/deps.sh build

$(BUILD)/build.ninja: | build-deps
	@meson setup $(BUILD) --prefix=$(PREFIX) -Dbuildtype=release $(MESON_ARGS)

try: all
	@tools/deps.sh try
	@BUILD=$(BUILD) tools/try.sh

build-check/build.ninja:
	@meson setup build-check -Dtests=true -Dwerror=true $(SANITIZE)

build-fuzz/build.ninja:
	@CC=clang meson setup build-fuzz -Dfuzzers=true -Dc_args=-fsanitize=fuzzer-no-link $(SANITIZE)

test-deps:
	@tools/deps.sh build test exim

# FUZZ_SHORT=1 adds five seconds of every fuzz target.
check: test-deps build-check/build.ninja $(if $(FUZZ_SHORT),fuzz-build)
	@$(NINJA) build-check
	@PYTEST_ARGS='$(PYTEST_ARGS)' FUZZ_SHORT=$(FUZZ_SHORT) tests/run build-check

fuzz-build:
	@tools/deps.sh build fuzz
	@$(MAKE) --no-print-directory build-fuzz/build.ninja
	@$(NINJA) build-fuzz

fuzz: fuzz-build
	@tools/fuzz.sh build-fuzz $(FUZZ_SECONDS) tests/corpus

bench: all
	@tools/deps.sh bench exim
	@BUILD=$(BUILD) bench/compare.sh $(BENCH_ARGS)

bench-auth: all
	@tools/deps.sh bench
	@BUILD=$(BUILD) /usr/bin/python3 bench/auth.py $(BENCH_ARGS)

build-bench/build.ninja: | build-deps
	@meson setup build-bench -Dbuildtype=release -Dbenchmarks=true $(MESON_ARGS)

bench-acl: build-bench/build.ninja
	@$(NINJA) build-bench acl
	@build-bench/acl 20000 20

bench-handshake: build-bench/build.ninja
	@$(NINJA) build-bench handshake
	@build-bench/handshake 2000 8 15

# The campaign at full size, on the sanitizer build, with the heavier limits beside it.
crash: test-deps build-check/build.ninja
	@$(NINJA) build-check
	@POSTERN=$(CURDIR)/build-check/postern CRASH_ROUNDS=$(CRASH_ROUNDS) HEAVY=1 \
		/usr/bin/python3 -m pytest -q -s -p no:cacheprovider tests/test_crash.py tests/test_limits.py $(PYTEST_ARGS)

install: all
	@BUILD=$(BUILD) PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' UNITDIR='$(UNITDIR)' tools/install.sh

clean:
	rm -rf build build-check build-fuzz build-bench build-werror-gcc build-werror-clang

.PHONY: all build-deps try check test-deps fuzz-build fuzz bench bench-auth bench-acl bench-handshake crash install clean
