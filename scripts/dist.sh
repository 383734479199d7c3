#!/usr/bin/env bash
# Builds weir as it is shipped: profile `dist`, compiled by what a first build of it was seen to do at its usual work
# (scripts/train.py), which makes a request cheaper by a tenth. Two builds from the beginning: half an hour on two processors.
# The last line that it prints is the program's path. Needs LLVM's tools: rustup component add llvm-tools
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
profdata=$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata
[ -x "$profdata" ] || { echo "dist: LLVM's tools are missing: rustup component add llvm-tools" >&2; exit 2; }
folder=${CARGO_TARGET_DIR:-$PWD/target}/trained
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
# With its target named, what only runs while building is neither profiled nor compiled by the profile.
build() {
  RUSTFLAGS="${RUSTFLAGS:-} $2" cargo build --locked --profile dist --package weir --target "$host" --target-dir "$folder/$1" >&2
}
build first "-Cprofile-generate=$folder/profiles"
rm -rf "$folder/profiles"
scripts/train.py "$folder/first/$host/dist/weir" >&2
"$profdata" merge --output "$folder/weir.profdata" "$folder/profiles"
# Cargo does not see that a profile has changed.
rm -rf "$folder/second"
build second "-Cprofile-use=$folder/weir.profdata"
echo "$folder/second/$host/dist/weir"
