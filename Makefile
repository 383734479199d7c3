# Everything that a person or a machine does with this repository. `make` alone lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test tools fmt toml spelling clippy docs units sdks browser fuzz bench coverage dist

CACHE := .cache
# Records of the logs that `make bench` fills, one store at a time: up to 3 GB of disk.
RECORDS ?= 10000000
VENV := $(CACHE)/venv
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
# nextest runs each test in a process of its own and is faster; without it cargo's own runner does the same tests.
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## serve on http://127.0.0.1:8080 with the simulated provider; no key and no server is needed
	@echo "Data plane: http://127.0.0.1:8080/v1 (key: none, model: sim/free). Console: http://127.0.0.1:8081."
	@echo "The admin token, to sign in with, is shown once below and kept in ./weir-data/admin-token. Try, in another terminal:"
	@echo "  curl http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \\"
	@echo "    -d '{\"model\": \"sim/free\", \"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]}'"
	cargo run --package weir -- serve

# Cheap checks come first. clippy and docs read the dependencies' metadata and share it; what the tests link is built
# once, for all of them, and the SDKs are pointed at the binary of that build.
test: tools fmt toml spelling clippy docs units sdks browser ## check and test everything; installs what it lacks
	@echo "make test: everything passed"

tools: ## install the programs and packages that tests need, where they are missing
	scripts/ensure-tools.sh

fmt: ## is the code formatted?
	cargo fmt --all --check

toml: tools ## are the TOML files formatted?
	RUST_LOG=warn $(VENV)/bin/taplo fmt --check --diff

spelling: tools ## are the words spelled as a dictionary has them?
	$(VENV)/bin/typos

clippy: ## the lints, of all targets
	cargo clippy --locked --workspace --all-targets -- -D warnings

docs: ## the documentation builds without a warning
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

units: tools ## unit, integration and documentation tests
	ulimit -n "$$(ulimit -Hn)" || true; $(if $(NEXTEST),cargo nextest run --locked --workspace --no-fail-fast \
		&& cargo test --locked --workspace --doc,cargo test --locked --workspace --no-fail-fast)

sdks: tools ## the official SDKs of OpenAI, Anthropic and MCP, against a real weir
	cargo test --locked --workspace --no-run
	scripts/sdk-tests.sh $(TARGET)/debug/weir
	scripts/mcp-tests.sh $(TARGET)/debug/weir

browser: tools ## the console, in a headless Chromium; SCREENSHOTS=folder keeps a picture of every page
	cargo test --locked --workspace --no-run
	scripts/browser-tests.sh $(TARGET)/debug/weir

# Optimised, with the checks of a debug build. An ordinary test runs the seeds and some mutations of them as well.
fuzz: ## feed broken bodies to the classifier of failures for FUZZ_SECONDS (300), from FUZZ_SEED on (any)
	CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true \
		FUZZ_SECONDS="$(or $(FUZZ_SECONDS),300)" FUZZ_SEED="$${FUZZ_SEED:-$$RANDOM$$RANDOM}" \
		cargo test --locked --release --target-dir $(TARGET)/fuzz --package weir-rules --test fuzz -- --include-ignored --nocapture

bench: ## measure; the figures of record are in docs/benchmarks.md
	WEIR_BENCH_RECORDS=$(RECORDS) cargo bench --workspace --bench '*'
	scripts/bench-gateway.sh
	cargo build --release --package weir && scripts/bench-mcp.py $(TARGET)/release/weir
	scripts/bench-telemetry.py $(TARGET)/release/weir

dist: ## build weir as it is shipped, and say where it lies: two builds from the beginning, half an hour on two processors
	scripts/dist.sh

coverage: ## lines that the tests run, of each crate and of what changed since BASE (default: origin/main); 1 when too few
	scripts/coverage.sh "$(BASE)"
