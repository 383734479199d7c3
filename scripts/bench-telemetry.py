#!/usr/bin/env python3
"""What telemetry costs a request: CPU time of weir (user and system, from /proc) for each request, without telemetry, with
the access log, with traces and metrics over OTLP, and with both; rounds of all of them interleaved, so that a busy machine
troubles each alike. The provider is a second weir with the simulated one, so that only wrk is needed.

    scripts/bench-telemetry.py path/to/weir [seconds of a round, 4] [rounds, 5]
"""

import contextlib
import http.server
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading

from running import Weir

KEY = "sk-bench-telemetry"
CONNECTIONS = 32
POST = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer %s"
wrk.body = '{"model": "m/bench", "messages": [{"role": "user", "content": "How much does it cost to be watched?"}]}'
""" % KEY


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes what it is sent, and counts it."""

    protocol_version = "HTTP/1.1"
    received = 0

    def do_POST(self):
        length = int(self.headers["content-length"])
        Collector.received += length
        left = length
        while left > 0:
            left -= len(self.rfile.read(min(left, 1 << 16)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def load(url, script, seconds):
    """Requests that were answered with 2xx in so many seconds."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script, f"{url}/v1/chat/completions"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said:
        sys.exit(f"not every request was answered:\n{said}")
    return int(re.search(r"(\d+) requests in", said)[1])


def config(upstream, telemetry):
    return {
        "keys": [{"key": KEY, "user": "bench"}],
        "providers": [{"name": "next", "base_url": f"{upstream}/v1", "apis": ["chat_completions"], "auth": "none"}],
        "models": [{"id": "m/bench", "provider": "next", "upstream_model": "sim/free"}],
        "telemetry": telemetry,
    }


def main():
    if len(sys.argv) < 2 or not shutil.which("wrk"):
        sys.exit("usage: bench-telemetry.py WEIR [seconds] [rounds]; needs wrk (Debian: wrk)")
    binary = os.path.abspath(sys.argv[1])
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    quiet = "info,weir::access=off"
    variants = {
        "off": {"log_format": "json", "log": quiet},
        "access log": {"log_format": "json", "log": "info"},
        "OTLP": {"log_format": "json", "log": quiet, "otlp_endpoint": endpoint},
        "both": {"log_format": "json", "log": "info", "otlp_endpoint": endpoint},
    }
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        script = pathlib.Path(folder) / "post.lua"
        script.write_text(POST)
        many = {"requests": 1_000_000_000, "per": "1m"}
        unlimited = {"limits": {"unauthenticated": many}, "free_models": many, "telemetry": {"log": "warn"}}
        upstream = stack.enter_context(Weir(binary, folder, "upstream", unlimited))
        often = {"OTEL_METRIC_EXPORT_INTERVAL": "1000"}
        started = {
            name: stack.enter_context(
                Weir(binary, folder, name.replace(" ", "-"), config(upstream.url, telemetry), often))
            for name, telemetry in variants.items()}
        found = {name: [] for name in variants}
        for name, weir in started.items():
            load(weir.url, script, 1)
        for number in range(rounds):
            names = list(variants)
            for name in names[number % len(names):] + names[:number % len(names)]:
                weir = started[name]
                before = weir.cpu_s()
                requests = load(weir.url, script, seconds)
                found[name].append((weir.cpu_s() - before) * 1e6 / requests)
    base = statistics.median(found["off"])
    print("| telemetry | CPU of a request, µs (median of rounds) | all rounds | more than off |")
    print("|---|---|---|---|")
    for name, values in found.items():
        median = statistics.median(values)
        all_rounds = ", ".join(f"{value:.1f}" for value in values)
        print(f"| {name} | {median:.1f} | {all_rounds} | {100 * (median / base - 1):+.1f} % |")
    print(f"\nThe collector took {Collector.received / 1e6:.1f} MB.")


main()
