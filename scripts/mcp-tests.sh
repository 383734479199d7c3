#!/usr/bin/env bash
# Runs the official MCP conformance suite, servers and clients through a real weir.
# Usage: scripts/mcp-tests.sh [BINARY]; without one it is built.
set -euo pipefail
cd "$(dirname "$0")/.."

root="$PWD"
python="${WEIR_MCP_PYTHON:-$root/.cache/venv/bin/python}"
# What lies in the venv starts the real one, which would live on when its starter is ended.
WEIR_MCP_NODE="$("${WEIR_MCP_NODE:-$root/.cache/venv/bin/node}" -p process.execPath)"
export WEIR_MCP_NODE
modules="${WEIR_MCP_NODE_MODULES:-$root/.cache/node}"
export WEIR_MCP_MODULES="$modules"

if [ $# -gt 0 ]; then
    WEIR_BINARY="$(realpath "$1")"
else
    cargo build --package weir
    WEIR_BINARY="$(realpath "${CARGO_TARGET_DIR:-target}/debug/weir")"
fi
export WEIR_BINARY

folder="$(mktemp -d)"
started=()
stop() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT

# The first line of a file that begins with a word, once it is there.
ready() {
    local file="$1" word="$2" pid="$3" line=""
    for _ in $(seq 300); do
        line="$(grep -m 1 "^$word " "$file" 2>/dev/null || true)"
        if [ -n "$line" ] || ! kill -0 "$pid" 2>/dev/null; then break; fi
        sleep 0.1
    done
    if [ -z "$line" ]; then
        echo "mcp-tests: \`$word\` did not come" >&2
        cat "$folder"/*.stderr >&2
        exit 1
    fi
    echo "$line"
}

# A proxy of the machine has no business between a test and the loopback.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

# Modules are looked for beside the file that imports them, so the tests go to the modules.
cp sdk-tests/mcp/*.mjs "$modules/"
cp sdk-tests/mcp/weir.yaml sdk-tests/mcp/rules.yaml "$folder"

"$WEIR_MCP_NODE" "$modules/conformance-server.mjs" 0 >"$folder/server.stdout" 2>"$folder/server.stderr" &
started+=($!)
WEIR_MCP_CONFORMANCE="$(ready "$folder/server.stdout" ready "$!" | cut -d ' ' -f 2)"
export WEIR_MCP_CONFORMANCE

(cd "$folder" && exec "$WEIR_BINARY" serve --config weir.yaml >weir.stdout 2>weir.stderr) &
weir=$!
started+=("$weir")
WEIR_DATA="$(ready "$folder/weir.stdout" "weir ready" "$weir" | sed -n 's/.* data=\([^ ]*\).*/\1/p')"
export WEIR_DATA

failed=0
echo "mcp-tests: Python"
tests="$root/sdk-tests/mcp"
(cd "$folder" && PYTHONDONTWRITEBYTECODE=1 "$python" -m unittest discover -s "$tests") || failed=1
echo "mcp-tests: Node"
(cd "$folder" && "$WEIR_MCP_NODE" --test --test-reporter="${WEIR_MCP_REPORTER:-dot}" "$modules/mcp.test.mjs") || failed=1

if [ "$failed" -ne 0 ]; then
    echo "mcp-tests: the log of weir:" >&2
    tail -n 50 "$folder/weir.stderr" >&2
    exit 1
fi
echo "mcp-tests: all passed"
