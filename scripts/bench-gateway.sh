#!/usr/bin/env bash
# Measures weir beside nginx on one scripted upstream, in one run: CPU for a request and for a stream's chunk, added
# latency, memory of held streams. Needs nginx and wrk (Debian: nginx-light, wrk). Options go to bench/gateway/bench.py.
#   WEIR_BIN=…   measures this binary; else one is built as it is shipped, which takes its time (scripts/dist.sh)
#   CACHED=1     also measures `cached` mode with Redis up, answering after 5 ms, and after 5 s
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for program in nginx wrk; do
  command -v "$program" >/dev/null || { echo "bench-gateway: install $program first (Debian: nginx-light, wrk)" >&2; exit 2; }
done
export BENCH_WORK=${BENCH_WORK:-$PWD/.cache/bench}
mkdir -p "$BENCH_WORK"
CARGO_TARGET_DIR=$BENCH_WORK/llmbench-target cargo build --quiet --release --manifest-path bench/gateway/llmbench/Cargo.toml
export MOCK_BIN=$BENCH_WORK/llmbench-target/release/mock DRV_BIN=$BENCH_WORK/llmbench-target/release/drv
if [ -z "${WEIR_BIN:-}" ]; then
  WEIR_BIN=$(scripts/dist.sh)
fi
export WEIR_BENCH_DATA=$BENCH_WORK/weir-data WEIR_BENCH_RULES=$BENCH_WORK/rules.yaml
rm -rf "$WEIR_BENCH_DATA"
python3 bench/gateway/rules.py 10000 >"$WEIR_BENCH_RULES"
config=$PWD/bench/gateway/conf/weir.yaml
key='Authorization: Bearer sk-bench-client'
targets=(--extra "weir=http://127.0.0.1:19200/v1=$key" --extra-cmd "weir=$WEIR_BIN serve --config $config")
if [ "${CACHED:-}" = 1 ]; then
  port=19210
  for delay in 0 5 5000; do
    name=weir-redis-${delay}ms
    targets+=(--extra "$name=http://127.0.0.1:$port/v1=$key")
    targets+=(--extra-cmd "$name=python3 $PWD/bench/gateway/with-redis.py $port $delay $WEIR_BIN $config")
    port=$((port + 1))
  done
fi
exec bench/gateway/run.sh --peers nginx --rounds "${ROUNDS:-3}" "${targets[@]}" "$@"
