#!/usr/bin/env python3
"""Shows a weir that was built to be profiled what its work is, so that the compiler may know which way is taken often: requests
of all protocols, streamed and not, with 10,000 rules, a key and records; refusals and failures, which are seldom, in their share.
The provider is a second weir with the simulated one, so that nothing but Python is needed.

    scripts/train.py path/to/weir [requests, 12000]
"""

import http.client
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

from running import Weir

KEY = "sk-training"
THREADS = 16
MODELS = ["echo", "error-429", "error-400"]
WORDS = "the river goes on past the mill and under the bridge where nobody waits for it any longer ".split()
HERE = pathlib.Path(__file__).resolve().parent


def text(number):
    """Words of a length that differs from request to request."""
    return " ".join(WORDS[(number + at) % len(WORDS)] for at in range(20 + number * 37 % 200))


def request(number):
    """A request's path, headers and body. Two of eight are not chat, one of twenty goes wrong."""
    stream = number % 3 == 0
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json", "user-agent": "training/1.0"}
    model = "m/echo"
    if number % 20 == 19:
        wrong = number // 20 % 4
        model = ["m/error-429", "m/error-400", "m/nowhere", "m/echo"][wrong]
        if wrong == 3:
            headers["user-agent"] = "scraper-7/ of pages"
    messages = [{"role": "user", "content": text(number)}]
    if number % 8 == 6:
        return "/v1/responses", headers, {"model": model, "input": text(number), "stream": stream}
    if number % 8 == 7:
        headers["anthropic-version"] = "2023-06-01"
        return "/v1/messages", headers, {
            "model": model, "max_tokens": 1000, "messages": messages, "stream": stream}
    return "/v1/chat/completions", headers, {"model": model, "messages": messages, "stream": stream}


def ask(url, numbers, statuses):
    """Sends its share of the requests over one connection after the other, as clients do."""
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=60)
    for count, number in enumerate(numbers, 1):
        path, headers, body = request(number)
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
        if count % 50 == 0:
            connection.close()
    connection.close()


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: train.py WEIR [requests]")
    binary = os.path.abspath(sys.argv[1])
    requests = int(sys.argv[2]) if len(sys.argv) > 2 else 12_000
    # Without the pause before a second try.
    once = {"retries": {"attempts": 1}}
    with tempfile.TemporaryDirectory() as folder:
        rules = pathlib.Path(folder) / "rules.yaml"
        with rules.open("w") as file:
            subprocess.run([sys.executable, HERE.parent / "bench/gateway/rules.py", "10000"], stdout=file, check=True)
        # One of them refuses, and none of them waits.
        with rules.open("a") as file:
            file.write("  - {id: trained, on: request, when: 'request.user_agent.startsWith(\"scraper-7/\")', then: block}\n")
        quiet = {"telemetry": {"log": "warn"}, "failures": once}
        sim = {"keys": [{"key": KEY, "user": "weir"}], "providers": [{"name": "sim", "simulated": True}]}
        statuses = []
        # An orderly end writes the profile.
        with Weir(binary, folder, "upstream", {**quiet, **sim}) as upstream:
            config = {
                "providers": [{
                    "name": "upstream", "base_url": f"{upstream.url}/v1", "api_key": KEY,
                    "apis": ["chat_completions", "responses", "messages"]}],
                "models": [
                    {"id": f"m/{name}", "provider": "upstream", "upstream_model": f"sim/{name}",
                     "price": {"input": 1.0, "output": 2.0}} for name in MODELS],
                "keys": [{"key": KEY, "user": "training", "plan": "pro"}],
                "rules": [str(rules)]}
            with Weir(binary, folder, "weir", {**quiet, **config}) as weir:
                threads = [
                    threading.Thread(target=ask, args=(weir.url, range(share, requests, THREADS), statuses))
                    for share in range(THREADS)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    print(f"train: {len(statuses)} requests, by status: {counts}")
    if len(statuses) != requests or counts.get(200, 0) < requests * 0.9:
        sys.exit("train: too many requests went wrong for a profile of weir's usual work")


main()
