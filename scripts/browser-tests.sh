#!/usr/bin/env bash
# Runs the tests of the console in a headless Chromium against a real `weir serve`.
# Usage: scripts/browser-tests.sh [BINARY]; without one it is built.
# SCREENSHOTS=FOLDER also puts a picture of every page there: light and dark, wide and narrow.
# TESTS=REGEX runs the tests whose names match. SLOW=N makes the processor N times slower for the pages, to find races.
set -euo pipefail
cd "$(dirname "$0")/.."

root="$PWD"
# What lies in the venv starts the real one, which would live on when its starter is ended.
WEIR_BROWSER_NODE="$("$root/.cache/venv/bin/node" -p process.execPath)"
export WEIR_BROWSER_NODE

WEIR_BROWSER=""
for name in chromium chromium-browser google-chrome; do
    if WEIR_BROWSER="$(command -v "$name")"; then break; fi
done
if [ -z "$WEIR_BROWSER" ]; then
    echo "browser-tests: there is no Chromium; scripts/ensure-tools.sh installs it" >&2
    exit 1
fi
export WEIR_BROWSER

if [ $# -gt 0 ]; then
    binary="$(realpath "$1")"
else
    cargo build --package weir
    binary="$(realpath "${CARGO_TARGET_DIR:-target}/debug/weir")"
fi
if [ -n "${SCREENSHOTS:-}" ]; then
    mkdir -p "$SCREENSHOTS"
    SCREENSHOTS="$(realpath "$SCREENSHOTS")"
    export SCREENSHOTS
fi

folder="$(mktemp -d)"
started=()
stop() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT

# Modules are looked for beside the file that imports them.
mkdir "$folder/tests"
cp tests/browser/*.mjs "$folder/tests"
ln -s "$root/.cache/browser/node_modules" "$folder/tests/node_modules"
export WEIR_BROWSER_TESTS="$folder/tests"

# A proxy of the machine has no business between a test and the loopback.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

# serve NAME: a weir in a folder of its own, with the files of tests/browser/NAME. Puts its addresses into `ready`.
ready=""
serve() {
    local home="$folder/$1" pid
    mkdir "$home"
    cp "$root/tests/browser/$1"/* "$home"
    (cd "$home" && exec "$binary" serve --config weir.yaml >stdout 2>stderr) &
    pid=$!
    started+=("$pid")
    for _ in $(seq 300); do
        ready="$(grep -m 1 '^weir ready ' "$home/stdout" 2>/dev/null || true)"
        if [ -n "$ready" ] || ! kill -0 "$pid" 2>/dev/null; then break; fi
        sleep 0.1
    done
    if [ -z "$ready" ]; then
        echo "browser-tests: weir ($1) did not get ready" >&2
        cat "$home/stderr" >&2
        exit 1
    fi
}
address() { sed -n "s/.* $1=\([^ ]*\).*/\1/p" <<<"$ready"; }

serve store
WEIR_DATA="$(address data)"
WEIR_ADMIN="$(address admin)"
serve files
WEIR_FILES_ADMIN="$(address admin)"
export WEIR_DATA WEIR_ADMIN WEIR_FILES_ADMIN

failed=0
"$WEIR_BROWSER_NODE" --test --test-reporter="${REPORTER:-spec}" --test-reporter-destination=stdout \
    --test-reporter=tap --test-reporter-destination="$folder/tap" --test-concurrency=1 \
    ${TESTS:+--test-name-pattern="$TESTS"} "$folder"/tests/*.test.mjs || failed=1

if [ "$failed" -ne 0 ]; then
    for home in "$folder"/store "$folder"/files; do
        echo "browser-tests: the log of weir ($(basename "$home")):" >&2
        tail -n 30 "$home/stderr" >&2
    done
    exit 1
fi
# A file without a test that matches counts as one that passed, by its own name.
ran="$(grep -E '^ok ' "$folder/tap" | grep -cvE '\.test\.mjs$|# SKIP' || true)"
if [ "$ran" -eq 0 ]; then
    echo "browser-tests: no test has run: TESTS=${TESTS:-} is in the name of none (a test within another is not looked for)" >&2
    exit 1
fi
echo "browser-tests: all $ran passed"
