#!/usr/bin/env python3
"""Writes a rule file of COUNT rules of mixed, indexable shapes, none of which matches the benchmark's requests."""
import sys

SHAPES = [
    'request.user_agent.contains("scraper-{n}/")',
    'request.ip == "198.51.100.{b}" && request.ja4 == "t13d{n}"',
    'request.country in ["X{b}", "Y{b}"]',
    'identity.org_id == "org-{n}" && stats.requests_1h > {n}',
    'request.model.startsWith("vendor-{n}/")',
    'request.user_agent.endsWith("-bot-{n}")',
    'cidr("10.{a}.{b}.0/24").containsIP(request.ip)',
    'identity.tags.exists(t, t == "tag-{n}")',
    'identity.user_id == "user-{n}" && request.max_tokens > 1000',
    'request.feature == "feature-{n}" || request.editor == "editor-{n}"',
]
ACTIONS = ["log", "rate-limit", "quarantine-1", "quarantine-2", "quarantine-3", "block"]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print("rules:")
    for n in range(count):
        when = SHAPES[n % len(SHAPES)].format(n=n, a=n // 256 % 256, b=n % 256)
        print(f"  - {{id: bench-{n}, on: request, when: '{when}', then: {ACTIONS[n % len(ACTIONS)]}}}")


if __name__ == "__main__":
    main()
