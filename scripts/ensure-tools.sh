#!/usr/bin/env bash
# Installs what `make test` needs beyond Rust, and only what is missing. Programs come from Debian, Python and Node
# packages go into .cache. With everything in place it touches no network.
# Usage: ensure-tools.sh [servers], where "servers" stands for the stores alone, which is what `cargo test` needs.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted="${1:-all}"
case "$wanted" in all | servers) ;; *) echo "usage: scripts/ensure-tools.sh [servers]" >&2; exit 2 ;; esac
cache=.cache
venv="$cache/venv"
node="$cache/node"
browser="$cache/browser"

have() {
    command -v "$1" >/dev/null 2>&1 || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null
}

missing_packages() {
    have redis-server || echo redis-server
    { have postgres && have initdb; } || echo postgresql
    if [ "$wanted" = servers ]; then return; fi
    have chromium || have chromium-browser || have google-chrome || echo chromium
    # The module is there without the package on some systems, and without ensurepip on Debian.
    python3 -c 'import venv, ensurepip' 2>/dev/null || echo python3-venv
}

install_packages() {
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
    if ! command -v apt-get >/dev/null || { [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; }; then
        echo "ensure-tools: please install (Debian's names): $*" >&2
        exit 1
    fi
    echo "ensure-tools: installing $*"
    # The tests start servers of their own: those of the system shall not start, now or at boot.
    local policy=/usr/sbin/policy-rc.d made=false
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
        made=true
    fi
    local status=0
    { "${as_root[@]}" apt-get update -qq \
        && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
        || status=$?
    if [ "$made" = true ]; then "${as_root[@]}" rm -f "$policy"; fi
    if [ "$status" -ne 0 ]; then exit "$status"; fi
    if command -v systemctl >/dev/null; then
        local package
        for package in "$@"; do
            case "$package" in
                redis-server | postgresql) "${as_root[@]}" systemctl disable --now "$package" >/dev/null 2>&1 || true ;;
            esac
        done
    fi
}

# Does something again only when the files that say what to do have changed.
stale() {
    local stamp="$1"
    shift
    [ ! -f "$stamp" ] || ! cmp -s <(cat "$@") "$stamp"
}

install_python() {
    local wanted=(scripts/requirements.txt sdk-tests/python/requirements.txt sdk-tests/mcp/requirements.txt)
    if ! stale "$venv/installed" "${wanted[@]}"; then return; fi
    echo "ensure-tools: Python packages into $venv"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps "${wanted[@]/#/-r}"
    "$venv/bin/pip" check --disable-pip-version-check >/dev/null
    cat "${wanted[@]}" >"$venv/installed"
}

# Exact versions stand in package.json; a lock file would hold the address of one registry.
install_node() {
    local manifest="$1" folder="$2"
    if ! stale "$folder/installed" "$manifest"; then return; fi
    echo "ensure-tools: Node packages into $folder"
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$manifest" "$folder/package.json"
    PATH="$PWD/$venv/bin:$PATH" npm install --prefix "$folder" --no-package-lock --no-audit --no-fund \
        --ignore-scripts --loglevel error
    cp "$manifest" "$folder/installed"
}

mapfile -t packages < <(missing_packages)
if [ "${#packages[@]}" -gt 0 ]; then install_packages "${packages[@]}"; fi
if [ "$wanted" = servers ]; then exit 0; fi
install_python
install_node sdk-tests/node/package.json "$node"
install_node tests/browser/package.json "$browser"
