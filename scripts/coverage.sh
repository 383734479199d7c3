#!/usr/bin/env bash
# Measures which lines the tests run. Usage: scripts/coverage.sh [BASE], where BASE is the commit that a change
# starts from. cargo-llvm-cov is built into .cache when it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.9.1
export PATH="$PWD/.cache/cargo/bin:$PATH"
if ! cargo llvm-cov --version >/dev/null 2>&1; then
    cargo install cargo-llvm-cov --version "$version" --locked --root .cache/cargo
fi
if command -v rustup >/dev/null; then rustup component add llvm-tools; fi

mkdir -p .cache/coverage
runner=(test)
if command -v cargo-nextest >/dev/null; then runner=(nextest); fi
# A target folder of its own: instrumented builds would push the plain ones out. What a debugger or the next build needs is
# left out, which halves the room that it takes.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=.cache/coverage/target
cargo llvm-cov "${runner[@]}" --locked --workspace --lcov --output-path .cache/coverage/lcov.info
python3 scripts/coverage.py .cache/coverage/lcov.info "${1:-}"
