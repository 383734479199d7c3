//! `git`, by its command and the options of that. What is not listed may run hooks, helpers, pagers or editors, or use the
//! network.

use weir_core::tool::PermissionLevel;
use weir_core::tool::PermissionLevel::{Dangerous, Execute, ReadOnly, Write};

use super::super::{Roots, Word};
use super::options::Options;

/// Options of the commands that only look.
const LOOKS: Options = Options {
    flags: "pnsuzvabwqriclthEFP0123456789",
    valued: "nUSGLM",
    long: &[
        "oneline",
        "stat",
        "numstat",
        "shortstat",
        "graph",
        "all",
        "name-only",
        "name-status",
        "cached",
        "staged",
        "porcelain",
        "short",
        "branch",
        "color",
        "no-color",
        "decorate",
        "no-decorate",
        "patch",
        "no-patch",
        "pretty",
        "format",
        "abbrev",
        "abbrev-commit",
        "abbrev-ref",
        "author",
        "committer",
        "grep",
        "since",
        "until",
        "after",
        "before",
        "follow",
        "first-parent",
        "merges",
        "no-merges",
        "reverse",
        "summary",
        "max-count",
        "skip",
        "date",
        "unified",
        "word-diff",
        "ignore-all-space",
        "ignore-space-change",
        "diff-filter",
        "find-renames",
        "no-renames",
        "show-toplevel",
        "show-prefix",
        "git-dir",
        "is-inside-work-tree",
        "verify",
        "exclude-standard",
        "others",
        "modified",
        "deleted",
        "untracked-files",
        "ignored",
        "list",
        "verbose",
        "contains",
        "merged",
        "no-merged",
        "sort",
        "count",
        "tags",
        "remotes",
        "always",
        "dirty",
        "long",
        "line-number",
        "ignore-case",
        "fixed-strings",
        "files-with-matches",
        "extended-regexp",
        "word-regexp",
        "untracked",
        "no-ext-diff",
        "no-textconv",
        "left-right",
        "topo-order",
        "date-order",
        "raw",
        "full-index",
        "minimal",
        "patience",
        "histogram",
        "quiet",
        "show-current",
        "is-ancestor",
        "heads",
        "symbolic-full-name",
        "points-at",
        "column",
        "ahead-behind",
    ],
};

/// Options of the commands that change files or the repository.
const CHANGES: Options = Options {
    flags: "Aauvnqbcrfdsx0123456789lkmM",
    valued: "mbcB",
    long: &[
        "all",
        "update",
        "amend",
        "no-edit",
        "no-verify",
        "allow-empty",
        "message",
        "create",
        "cached",
        "staged",
        "soft",
        "mixed",
        "keep-index",
        "include-untracked",
        "dry-run",
        "quiet",
        "verbose",
        "check",
        "stat",
        "index",
        "track",
        "worktree",
        "source",
        "author",
        "date",
        "signoff",
        "list",
        "initial-branch",
        "bare",
        "delete",
        "force",
    ],
};

/// The level of `git` with these words behind it.
pub(super) fn level(words: &[Word], roots: &Roots) -> PermissionLevel {
    let mut at = 0;
    let mut floor = ReadOnly;
    while let Some(word) = words.get(at).and_then(Word::text).filter(|word| word.starts_with('-')) {
        match word {
            // Paths behind it start elsewhere.
            "-C" => {
                floor = floor.max(if roots.is_empty() { ReadOnly } else { Execute });
                at += 2;
            }
            "--no-pager" | "-P" | "--no-optional-locks" | "--version" => at += 1,
            // Configuration, from here or from another repository, can name programs.
            "-c" | "--config-env" | "--git-dir" | "--work-tree" | "--exec-path" | "--namespace" => {
                floor = Execute;
                at += 2;
            }
            _ => {
                floor = Execute;
                at += 1;
            }
        }
    }
    let rest = words.get(at + 1..).unwrap_or_default();
    floor.max(match words.get(at) {
        None => ReadOnly,
        Some(Word::Literal(command)) => {
            destroys(command, rest).unwrap_or_else(|| command_level(command, rest, roots))
        }
        Some(_) => Dangerous,
    })
}

/// What cannot be taken back.
fn destroys(command: &str, rest: &[Word]) -> Option<PermissionLevel> {
    let texts = || rest.iter().filter_map(Word::text);
    let has =
        |options: &[&str]| texts().any(|word| options.contains(&word.split('=').next().unwrap_or_default()));
    let destroys = match command {
        "branch" | "tag" | "remote" | "stash" => {
            has(&["-D", "-d", "--delete"])
                || command == "stash"
                    && rest.first().and_then(Word::text).is_some_and(|w| matches!(w, "drop" | "clear"))
        }
        "reset" => has(&["--hard"]),
        "clean" | "filter-branch" | "filter-repo" | "update-ref" | "reflog" | "gc" | "prune" => true,
        "push" => {
            has(&["-f", "--force", "--force-with-lease", "--delete", "-d", "--mirror", "--prune"])
                || texts().any(|word| word.starts_with('+') || word.starts_with(':'))
        }
        "checkout" | "restore" | "switch" => has(&["-f", "--force", "--discard-changes", "--", "."]),
        _ => false,
    };
    destroys.then_some(Dangerous)
}

fn command_level(command: &str, rest: &[Word], roots: &Roots) -> PermissionLevel {
    let looks = LOOKS.hold(rest);
    let bare = rest.iter().all(|word| {
        word.text().is_some_and(|word| {
            matches!(word, "-a" | "-r" | "-v" | "-vv" | "-l")
                || word.starts_with("--") && !word.starts_with("--set")
        })
    });
    let changes = CHANGES.hold(rest);
    match command {
        "status" | "rev-parse" | "ls-files" | "ls-tree" | "blame" | "describe" | "cat-file" | "shortlog"
        | "rev-list" | "name-rev" | "merge-base" | "show-ref" | "for-each-ref" | "count-objects"
        | "version" | "log" | "diff" | "show" | "grep"
            if looks =>
        {
            ReadOnly
        }
        "branch" | "tag" | "remote" if bare && looks => ReadOnly,
        "remote"
            if !matches!(
                rest.first().and_then(Word::text),
                Some("add" | "remove" | "rename" | "set-url")
            ) =>
        {
            Execute
        }
        "mv" if changes => Write.max(super::places::moved(true, rest, roots)),
        // What brings files into the work tree can bring any, and what moves a reference runs hooks.
        "add" | "rm" | "init" | "remote" if changes => Write,
        _ => Execute,
    }
}
