# A thin door to CMake: `make help` lists what there is.
BUILD   ?= build
PRESET  ?= release
PREFIX  ?= /usr/local
SECONDS ?= 60
CORPORA ?= $(or $(TGOPT_CORPORA),../shared/corpora)

.PHONY: all tests demo check quick cross fuzz scores bench install clean help deps

all: ## build the command: build/tgopt
	@cmake --preset $(PRESET) -B $(BUILD) > $(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log
	@cmake --build $(BUILD) --target tgopt

tests: all ## build the tests too
	@cmake --build $(BUILD)

deps: ## install missing Debian packages
	@tools/install-deps

demo: deps all ## optimize a small real transformer that ships here, verify it, show the result
	@tools/demo $(BUILD)/tgopt

check: deps ## all tests: gcc, clang, sanitizers, conformance
	@tests/check

quick: tests ## the unit and golden tests only, one compiler
	@ctest --test-dir $(BUILD) --output-on-failure -L 'unit|golden'

cross: all ## packages of C for other machines: cross compilers, qemu
	@tools/install-deps --cross
	@tests/cross $(BUILD)/tgopt

fuzz: ## search for crashes, SECONDS for each target: clang, libFuzzer, sanitizers
	@tools/install-deps --clang
	@tests/fuzz/run $(SECONDS)

scores: tests ## write tests/SCORES.md from the corpora (see tests/README.md)
	@tests/scores $(BUILD)/tgopt $(CORPORA)

bench: all ## measure times beside those of rivals: make bench MODELS=FOLDER (of models of real size)
	@tools/bench/run $(BUILD)/tgopt
	@cmake --build $(BUILD) --target bench_rules bench_checks > /dev/null && $(BUILD)/bench_rules
	@$(BUILD)/bench_checks $(wildcard $(MODELS)/*.onnx)
ifdef MODELS
	@tools/bench/rivals $(BUILD)/tgopt $(MODELS)
	@tools/bench/latency $(BUILD)/tgopt $(MODELS)
else
	@echo "make bench MODELS=FOLDER compares with ONNX Runtime, onnxsim and OnnxSlim on the *.onnx of a folder (tools/bench/rivals, tools/bench/latency; tools/bench/export_models makes some)"
endif

install: all ## install below PREFIX, honouring DESTDIR
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean: ## remove the build folders
	@rm -rf $(BUILD) build-*

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
