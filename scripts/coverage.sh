#!/usr/bin/env bash
# Measures which lines the tests run, and fails when they are too few. Usage: scripts/coverage.sh [BASE], where BASE is the
# commit that a change starts from. cargo-llvm-cov is built into .cache when it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.9.1
export PATH="$PWD/.cache/cargo/bin:$PATH"
if ! cargo llvm-cov --version >/dev/null 2>&1; then
    cargo install cargo-llvm-cov --version "$version" --locked --root .cache/cargo
fi
if command -v rustup >/dev/null; then rustup component add llvm-tools; fi
scripts/ensure-tools.sh servers

report=.cache/coverage
mkdir -p "$report"

# cargo-llvm-cov builds into a folder of its own below the target folder, so that the plain build stays. The tests of one
# program run in one process, not each in its own as under nextest: starting counters a thousand times takes an hour.
export CARGO_INCREMENTAL=0 RUSTC_WORKSPACE_WRAPPER="$PWD/scripts/coverage-rustc.sh"
# Counters live in files that processes map (%c) and share (%m): tests end servers by killing them, which shall not lose
# what these have run, and a file for each of thousands of processes would fill the disk.
export LLVM_PROFILE_FILE_NAME="weir-%4m%c.profraw"

ulimit -n "$(ulimit -Hn)" || true
# Counting costs time, and a few tests look at time: one that fails makes this fail, but after the figures.
status=0
cargo llvm-cov clean --profraw-only
cargo llvm-cov --no-cfg-coverage --locked --workspace --no-fail-fast --no-report || status=$?
cargo llvm-cov report --lcov --output-path "$report/lcov.info"
python3 scripts/coverage.py "$report/lcov.info" "${1:-}" || exit $?
if [ "$status" -ne 0 ]; then echo "Enough lines are run, but tests have failed: see above." >&2; fi
exit "$status"
