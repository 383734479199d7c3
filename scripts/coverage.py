"""Reads an lcov report: lines run by tests, of each crate and of what has changed since a commit.

Usage: coverage.py LCOV [BASE]. Exits with 1 when a pure crate is below 90 per cent or the changed lines are below 80.
"""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

PURE = ("weir-core", "weir-rules", "weir-dialect", "weir-config")
PURE_PERCENT_MIN = 90.0
CHANGED_PERCENT_MIN = 80.0


def read_lcov(path):
    """File, relative to the repository -> line -> whether it was run."""
    files, lines = {}, {}
    for record in Path(path).read_text().splitlines():
        if record.startswith("SF:"):
            name = Path(record[3:])
            relative = name.relative_to(Path.cwd()) if name.is_absolute() else name
            lines = files.setdefault(str(relative), {})
        elif record.startswith("DA:"):
            number, count = record[3:].split(",")[:2]
            lines[int(number)] = lines.get(int(number), False) or int(count) > 0
    return files


def changed_lines(base):
    """File -> the lines that were added or changed since the commit."""
    diff = subprocess.run(
        ["git", "diff", "--unified=0", "--no-color", base, "--", "crates"], capture_output=True, text=True, check=True
    )
    changed, current = defaultdict(set), None
    for line in diff.stdout.splitlines():
        if line.startswith("+++ "):
            current = line[6:]
        elif found := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            start, count = int(found[1]), int(found[2] or 1)
            changed[current].update(range(start, start + count))
    return changed


def percent(flags):
    return 100.0 * sum(flags) / len(flags) if flags else 100.0


def crates_below_minimum(files):
    by_crate = defaultdict(list)
    for name, lines in files.items():
        parts = Path(name).parts
        # Tests are run by definition: counting them would flatter.
        if parts[0] == "crates" and "tests" not in parts and Path(name).name != "tests.rs":
            by_crate[parts[1]].extend(lines.values())
    failed = False
    for crate, flags in sorted(by_crate.items()):
        too_low = crate in PURE and percent(flags) < PURE_PERCENT_MIN
        failed |= too_low
        print(f"{crate:14} {percent(flags):6.1f} % of {len(flags):6} lines{'  TOO LOW' if too_low else ''}")
    return failed


def changes_below_minimum(files, base):
    flags = []
    for name, numbers in changed_lines(base).items():
        lines = files.get(name, {})
        flags.extend(lines[number] for number in numbers if number in lines)
    too_low = percent(flags) < CHANGED_PERCENT_MIN
    print(f"{'changed':14} {percent(flags):6.1f} % of {len(flags):6} lines{'  TOO LOW' if too_low else ''}")
    return too_low


def default_base():
    known = subprocess.run(["git", "rev-parse", "--verify", "--quiet", "origin/main"], capture_output=True)
    return "origin/main" if known.returncode == 0 else "HEAD~1"


def main():
    files = read_lcov(sys.argv[1])
    base = sys.argv[2] if len(sys.argv) > 2 and sys.argv[2] else default_base()
    failed = [crates_below_minimum(files), changes_below_minimum(files, base)]
    sys.exit(1 if any(failed) else 0)


main()
