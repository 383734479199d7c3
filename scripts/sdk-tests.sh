#!/usr/bin/env bash
# Runs the official SDKs against a real `weir serve` with the simulated provider.
# Usage: scripts/sdk-tests.sh [BINARY]; without one it is built.
set -euo pipefail
cd "$(dirname "$0")/.."

root="$PWD"
python="$root/.cache/venv/bin/python"
node="$root/.cache/venv/bin/node"
modules="$root/.cache/node"

if [ $# -gt 0 ]; then
    binary="$(realpath "$1")"
else
    cargo build --package weir
    binary="$(realpath "${CARGO_TARGET_DIR:-target}/debug/weir")"
fi

folder="$(mktemp -d)"
weir=""
stop() {
    if [ -n "$weir" ]; then kill "$weir" 2>/dev/null || true; wait "$weir" 2>/dev/null || true; fi
    rm -rf "$folder"
}
trap stop EXIT

cp sdk-tests/weir.yaml sdk-tests/rules.yaml "$folder"
(cd "$folder" && exec "$binary" serve --config weir.yaml >stdout 2>stderr) &
weir=$!

# The ready line is the only thing on stdout that we wait for; when weir ends first, its log is what matters.
ready=""
for _ in $(seq 300); do
    ready="$(grep -m 1 '^weir ready ' "$folder/stdout" 2>/dev/null || true)"
    if [ -n "$ready" ] || ! kill -0 "$weir" 2>/dev/null; then break; fi
    sleep 0.1
done
if [ -z "$ready" ]; then
    echo "sdk-tests: weir did not get ready" >&2
    cat "$folder/stderr" >&2
    exit 1
fi
WEIR_DATA="$(sed -n 's/.* data=\([^ ]*\).*/\1/p' <<<"$ready")"
export WEIR_DATA

# A proxy of the machine has no business between a test and the loopback.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
# Nor have keys and addresses of real services.
unset OPENAI_API_KEY OPENAI_BASE_URL ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN ANTHROPIC_BASE_URL

failed=0
echo "sdk-tests: Python"
PYTHONDONTWRITEBYTECODE=1 "$python" -W error::DeprecationWarning:__main__ -m unittest discover -s sdk-tests/python \
    || failed=1
echo "sdk-tests: Node"
# Modules are looked for beside the file that imports them, so the tests go to the modules.
# Those that another script has put there are not of this one.
rm -f "$modules"/*.mjs
cp sdk-tests/node/*.mjs "$modules/"
"$node" --test --test-reporter=dot "$modules"/*.test.mjs || failed=1

# All of that went through it: neither its log nor what it keeps may hold a prompt or a key of it.
kill "$weir" && wait "$weir" || failed=1
weir=""
echo "sdk-tests: what was kept"
for secret in "Say this, please." sdk-key sdk-broke-key sdk-limited; do
    if grep -rlaF -e "$secret" "$folder/stdout" "$folder/stderr" "$folder/weir-data"; then
        echo "sdk-tests: \`$secret\` was found in the files named above" >&2
        failed=1
    fi
done

if [ "$failed" -ne 0 ]; then
    echo "sdk-tests: the log of weir:" >&2
    tail -n 50 "$folder/stderr" >&2
fi
if [ "$failed" -eq 0 ]; then echo "sdk-tests: all passed"; fi
exit "$failed"
