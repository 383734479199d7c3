#!/usr/bin/env python3
"""What weir adds to a call of an MCP tool: over stdio and over HTTP, against the same server without weir.

Usage: scripts/bench-mcp.py BINARY [CALLS]. The server is sdk-tests/mcp/conformance-server.mjs; each way is asked in turns, so
that a busy machine troubles all alike. Printed are the medians and the 99th percentiles in milliseconds.
"""

import http.client
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What lies in the venv starts the real one, which would live on when its starter is ended.
NODE = subprocess.check_output(
    [os.environ.get("WEIR_MCP_NODE", str(ROOT / ".cache/venv/bin/node")), "-p", "process.execPath"], text=True
).strip()
MODULES = pathlib.Path(os.environ.get("WEIR_MCP_NODE_MODULES", ROOT / ".cache/node"))
SERVER = MODULES / "conformance-server.mjs"
KEY = "bench-key"
TURN = 50


def message(number, method, params):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
CALL = {"name": "test_simple_text", "arguments": {"a": "x" * 100}}


class Pipes:
    def __init__(self, command, folder):
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.number = 0
        self.ask("initialize", INITIALIZE)

    def ask(self, method, params):
        self.number += 1
        self.process.stdin.write(message(self.number, method, params) + "\n")
        self.process.stdin.flush()
        while True:
            answer = json.loads(self.process.stdout.readline())
            if answer.get("id") == self.number:
                assert "result" in answer and not answer["result"].get("isError"), answer
                return

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


class Http:
    def __init__(self, address, path, key=None):
        self.connection, self.path, self.number = http.client.HTTPConnection(address), path, 0
        self.connection.connect()
        # Head and body are two packets, and the second would wait for the acknowledgement of the first.
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        if key:
            self.headers["authorization"] = f"Bearer {key}"
        self.headers["mcp-session-id"] = self.ask("initialize", INITIALIZE)

    def ask(self, method, params):
        self.number += 1
        self.connection.request("POST", self.path, message(self.number, method, params), self.headers)
        answer = self.connection.getresponse()
        body = answer.read()
        assert answer.status == 200 and b'"result"' in body and b'"isError":true' not in body, body
        return answer.getheader("mcp-session-id")

    def close(self):
        self.connection.close()


def ready(process, word):
    for line in process.stdout:
        if line.startswith(word):
            return line
    raise SystemExit(f"bench-mcp: `{word}` did not come")


def measure(ways, calls):
    times = {name: [] for name in ways}
    for turn in range(calls // TURN + 1):
        for name, way in ways.items():
            for _ in range(TURN):
                begun = time.perf_counter()
                way.ask("tools/call", CALL)
                if turn:  # the first turn warms up
                    times[name].append((time.perf_counter() - begun) * 1000)
    return times


def main():
    binary, calls = os.path.realpath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    shutil.copy(ROOT / "sdk-tests/mcp/conformance-server.mjs", SERVER)
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [NODE, str(SERVER), "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        url = ready(server, "ready ").split()[1]
        servers = [{"name": "pipe", "command": [NODE, str(SERVER)]}, {"name": "http", "url": url}]
        config = {
            "listen": {"data": "127.0.0.1:0", "admin": "127.0.0.1:0"},
            "keys": [{"key": KEY, "user": "bench"}],
            "tools": {"mcp_servers": servers},
            "rules": [],
        }
        pathlib.Path(folder, "weir.yaml").write_text(json.dumps(config), encoding="utf-8")
        weir = subprocess.Popen(
            [binary, "serve", "--config", "weir.yaml"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        data = ready(weir, "weir ready ").split("data=http://")[1].split()[0]
        direct = url.removeprefix("http://").split("/")[0]
        ways = {
            "stdio, direct": Pipes([NODE, str(SERVER)], folder),
            "stdio, weir mcp": Pipes([binary, "mcp", "--config", "weir.yaml", "--", NODE, str(SERVER)], folder),
            "http, direct": Http(direct, "/mcp"),
            "http, weir before HTTP": Http(data, "/mcp/http", KEY),
            "http, weir before a program": Http(data, "/mcp/pipe", KEY),
        }
        try:
            for name, times in measure(ways, calls).items():
                quantiles = statistics.quantiles(times, n=100)
                print(f"{name:28} median {statistics.median(times):6.3f} ms   p99 {quantiles[98]:6.3f} ms   n {len(times)}")
        finally:
            for way in ways.values():
                way.close()
            for process in (weir, server):
                process.terminate()
                process.wait(10)


if __name__ == "__main__":
    main()
