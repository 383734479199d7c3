"""Tells which lines the tests run, of each crate and of what has changed, and whether that is enough.

Usage: coverage.py LCOV [BASE]. LCOV is a report of cargo-llvm-cov, BASE the commit that a change starts from: where it is
not given, where this branch left origin/main, or main where there is no origin. Exits with 1 when a pure crate or the
changed lines are below their minimum, and says which lines are not run. Tests and what is for tests only are not counted:
they are run by definition. All lines that are not run are written to not-run.txt beside LCOV.
"""

import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

PURE = ("weir-core", "weir-rules", "weir-dialect", "weir-config")
PURE_PERCENT_MIN = 90.0
CHANGED_PERCENT_MIN = 80.0
FOR_TESTS_ONLY = "weir-testkit"
FILES_SHOWN_MAX = 20
RANGES_SHOWN_MAX = 12


def read_lcov(path):
    """File, relative to the repository -> line -> whether it was run."""
    files, lines = {}, {}
    for record in Path(path).read_text().splitlines():
        if record.startswith("SF:"):
            name = Path(record[3:])
            relative = name.relative_to(Path.cwd()) if name.is_relative_to(Path.cwd()) else name
            lines = files.setdefault(str(relative), {})
        elif record.startswith("DA:"):
            number, count = record[3:].split(",")[:2]
            lines[int(number)] = lines.get(int(number), False) or int(count) > 0
    return files


def counts(name):
    """Is this a source file whose lines count?"""
    parts = Path(name).parts
    inside = len(parts) > 3 and parts[0] == "crates" and parts[2] == "src" and parts[1] != FOR_TESTS_ONLY
    return inside and "tests" not in parts and parts[-1] != "tests.rs"


def without_test_modules(name, lines):
    """The lines outside of the file's `#[cfg(test)] mod … { … }`, which the formatter ends with a brace at the margin."""
    path, kept, inside, before = Path(name), dict(lines), False, ""
    if not path.is_file():
        return kept
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        inside = inside or (before == "#[cfg(test)]" and re.match(r"mod \w+ \{", text) is not None)
        if inside:
            kept.pop(number, None)
            inside = text != "}"
        before = text
    return kept


def git(*arguments):
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"coverage: git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def is_commit(name):
    command = ["git", "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def base_of_change(asked):
    """The commit to compare with, and how to call it."""
    if asked and not is_commit(asked):
        sys.exit(f"coverage: BASE={asked} is no commit here; name one, such as BASE=main or BASE=HEAD~3")
    name = asked or next((known for known in ("origin/main", "main", "HEAD~1") if is_commit(known)), "HEAD")
    commit = git("merge-base", name, "HEAD").strip()
    if not asked and commit == git("rev-parse", "HEAD").strip() and is_commit("HEAD~1"):
        # On main itself: its last commit is the change.
        name, commit = "HEAD~1", git("rev-parse", "HEAD~1").strip()
    return commit, f"{name} ({commit[:9]})"


def changed_lines(base):
    """File -> the lines that were added or changed since the commit, by commits and by what is not committed yet."""
    changed, current = defaultdict(set), None
    for line in git("diff", "--unified=0", "--no-color", "--no-ext-diff", base, "--", "crates").splitlines():
        if line.startswith("+++ "):
            current = line[6:]
        elif found := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            start, count = int(found[1]), int(found[2] or 1)
            changed[current].update(range(start, start + count))
    for name in git("ls-files", "--others", "--exclude-standard", "--", "crates").splitlines():
        changed[name].update(range(1, len(Path(name).read_bytes().splitlines()) + 1))
    return changed


def percent(flags):
    return 100.0 * sum(flags) / len(flags) if flags else 100.0


def ranges(numbers):
    """1, 2, 3, 7 -> 1-3, 7."""
    found = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return [f"{first}" if first == last else f"{first}-{last}" for first, last in found]


def not_run(lines):
    return [number for number, run in lines.items() if not run]


def show_worst(files):
    """The files with the most lines that are not run, and these lines."""
    left = {name: not_run(lines) for name, lines in files.items()}
    worst = sorted((name for name in left if left[name]), key=lambda name: -len(left[name]))
    for name in worst[:FILES_SHOWN_MAX]:
        places = ranges(left[name])
        more = f", and {len(places) - RANGES_SHOWN_MAX} more places" if len(places) > RANGES_SHOWN_MAX else ""
        print(f"  {name}: {', '.join(places[:RANGES_SHOWN_MAX])}{more}")
    if len(worst) > FILES_SHOWN_MAX:
        print(f"  and {len(worst) - FILES_SHOWN_MAX} files more")


def show_row(name, flags, minimum):
    low = minimum is not None and percent(flags) < minimum
    least = "" if minimum is None else f"{minimum:.0f} %"
    print(f"{name:16}{len(flags):8}{len(flags) - sum(flags):10}{percent(flags):9.1f} %{least:>9}{'  TOO LOW' if low else ''}")
    return low


def flags_of(files):
    return [run for lines in files.values() for run in lines.values()]


def judge(files, base):
    """Prints the table, and what is missing where it is too low. Says whether everything is high enough."""
    commit, called = base
    by_crate = defaultdict(dict)
    for name, lines in files.items():
        by_crate[Path(name).parts[1]][name] = lines
    changed = {
        name: {number: files[name][number] for number in numbers if number in files[name]}
        for name, numbers in changed_lines(commit).items()
        if name in files
    }
    print(f"{'':16}{'lines':>8}{'not run':>10}{'run':>11}{'at least':>10}")
    low = {}
    for crate in sorted(by_crate, key=lambda crate: (crate not in PURE, crate)):
        if show_row(crate, flags_of(by_crate[crate]), PURE_PERCENT_MIN if crate in PURE else None):
            low[f"{crate}, a pure crate, below {PURE_PERCENT_MIN:.0f} %"] = by_crate[crate]
    show_row("all", flags_of(files), None)
    if show_row("changed", flags_of(changed), CHANGED_PERCENT_MIN):
        low[f"lines changed since {called}, below {CHANGED_PERCENT_MIN:.0f} %"] = changed
    print(f"\nchanged: since {called}; {Counter(map(bool, changed.values()))[True]} files with lines that count")
    for title, missing in low.items():
        print(f"\nNot run: {title}")
        show_worst(missing)
    return not low


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    report = Path(sys.argv[1])
    every = {name: lines for name, lines in read_lcov(report).items() if counts(name)}
    files = {name: without_test_modules(name, lines) for name, lines in every.items()}
    if not flags_of(files):
        sys.exit(f"coverage: {report} tells of no line of this repository: was it made here?")
    listing = report.with_name("not-run.txt")
    listing.write_text("".join(
        f"{name}: {', '.join(ranges(not_run(lines)))}\n" for name, lines in sorted(files.items()) if not_run(lines)
    ))
    enough = judge(files, base_of_change(sys.argv[2] if len(sys.argv) > 2 else ""))
    print(f"\nEvery line that no test runs: {listing}")
    sys.exit(0 if enough else 1)


main()
