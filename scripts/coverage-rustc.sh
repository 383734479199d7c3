#!/usr/bin/env bash
# What cargo calls in place of rustc for the crates of this repository when coverage is measured (RUSTC_WORKSPACE_WRAPPER).
# An option in RUSTFLAGS would be one of every crate, and build the others again for nothing.
set -euo pipefail
# Counters can be put into a file that is mapped (Linux needs to be told): what a killed process has run is not lost.
# What a debugger needs is left out, which saves half of the room.
exec "$@" -Cllvm-args=-runtime-counter-relocation -Cdebuginfo=0
