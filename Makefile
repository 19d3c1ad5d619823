# The index of commands. Everything here is a line or two over CMake presets, ctest and tools/.

PREFIX ?= /usr/local
PROGRAMS := build/release/bin

.DEFAULT_GOAL := help
.PHONY: help demo test build bench lint asan tsan install clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## build, then run configs/demo.json until Ctrl-C
	@exec $(PROGRAMS)/bulkhead run configs/demo.json

test: ## build, then run every test
	@tools/install-deps --test
	@tools/build release all
	ctest --test-dir build/release --output-on-failure

build: ## install what is missing and build into build/release
	@tools/install-deps
	@tools/build release programs

bench: build ## measure latency and recovery, figures into build/bench-*.json
	$(PROGRAMS)/bulkhead bench latency --json build/bench-latency.json
	$(PROGRAMS)/bulkhead bench recovery --json build/bench-recovery.json

lint: ## the style checks, with the whole of clang-tidy
	@tools/install-deps --lint
	@tools/build release all
	ctest --test-dir build/release --output-on-failure -L lint
	tools/check_tidy build/release

asan: ## unit and conformance tests under address and undefined-behaviour sanitizers
	@tools/install-deps --test
	@tools/build asan checked
	ctest --test-dir build/asan --output-on-failure -L 'unit|conformance'

tsan: ## unit and conformance tests under the thread sanitizer
	@tools/install-deps --test
	@tools/build tsan checked
	ctest --test-dir build/tsan --output-on-failure -L 'unit|conformance'

install: build ## install programs, libraries and headers under PREFIX
	cmake --install build/release --prefix $(PREFIX)

clean: ## remove what make builds
	rm -rf build/release build/asan build/tsan build/bench-latency.json build/bench-recovery.json
