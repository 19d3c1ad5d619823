# The index of commands. Everything here is a line or two over CMake presets, ctest and tools/.

PREFIX ?= /usr/local
PROGRAMS := build/release/bin
FUZZ_SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help demo test build bench others sweep lint asan tsan fuzz install clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## build, then run configs/demo.json until Ctrl-C
	@exec $(PROGRAMS)/bulkhead run configs/demo.json

test: ## build, then run every test
	@tools/install-deps --test
	@tools/build release all
	ctest --test-dir build/release --output-on-failure -j $$(nproc)

sweep: ## kill every operation at every instruction; SAMPLE=1: a random sample, SEED=n: that one
	@tools/install-deps --test
	@tools/build release sweeps
	@tools/sweep build/release $(if $(SAMPLE),--points 110000) $(if $(SEED),--seed $(SEED))

build: ## install what is missing and build into build/release
	@tools/install-deps
	@tools/build release programs

bench: build ## measure latency, pools and recovery, figures into build/bench-*.json
	$(PROGRAMS)/bulkhead bench latency --json build/bench-latency.json
	$(PROGRAMS)/bulkhead bench pool --json build/bench-pool.json
	$(PROGRAMS)/bulkhead bench recovery --json build/bench-recovery.json

others: ## beside iceoryx, gRPC, ZeroMQ and others; pools beside OpenMP, oneTBB, Python; recovery beside s6, runit, supervisord, Erlang; map beside xargs, parallel
	@tools/install-deps --others
	@tools/build release others
	build/release/bin/bench-others --json build/bench-others.json
	build/release/bin/bench-pools --json build/bench-pools.json
	build/release/bin/bench-supervisors --json build/bench-supervisors.json
	bench/others/bench-map --json build/bench-map.json

lint: ## the style checks, with the whole of clang-tidy
	@tools/install-deps --lint
	@tools/build release all
	ctest --test-dir build/release --output-on-failure -L lint
	tools/check_tidy build/release

asan: ## unit, conformance, crash, fuzz and pool tests under address and undefined-behaviour sanitizers
	@tools/install-deps --test
	@tools/build asan checked
	ctest --test-dir build/asan --output-on-failure -j $$(nproc) -L 'unit|conformance|crash|fuzz'
	ctest --test-dir build/asan --output-on-failure -j $$(nproc) -R '^(Pool|Spmd)'

tsan: ## unit, conformance and pool tests under the thread sanitizer
	@tools/install-deps --test
	@tools/build tsan checked
	ctest --test-dir build/tsan --output-on-failure -j $$(nproc) -L 'unit|conformance'
	ctest --test-dir build/tsan --output-on-failure -j $$(nproc) -R '^(Pool|Spmd)'

fuzz: ## libFuzzer on every decoder of foreign bytes, FUZZ_SECONDS each
	@tools/install-deps --fuzz
	@tools/build fuzz fuzz
	@for target in record topic frame rpc control notify; do \
	  mkdir -p build/fuzz/found/$$target && \
	  build/fuzz/tests/$${target}_fuzz -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
	    -artifact_prefix=build/fuzz/found/$$target- build/fuzz/found/$$target tests/fuzz/corpus/$$target || exit 1; \
	done

install: build ## install programs, libraries and headers under PREFIX
	cmake --install build/release --prefix $(PREFIX)

clean: ## remove what make builds
	rm -rf build/release build/asan build/tsan build/fuzz build/bench-*.json
