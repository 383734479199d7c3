//! What programs do, as far as it is known. A program that is not listed here may do anything that a program can:
//! `execute`.

mod known;

use weir_core::tool::PermissionLevel;
use weir_core::tool::PermissionLevel::{Dangerous, Execute, ReadOnly, Write};

use super::{Roots, Word, classify_nested};
use known::{DANGERS, EXCEPTIONS, READERS, SHELLS, WRAPPER_VALUES, WRAPPERS, WRITERS};

/// What is run, and how.
pub(super) struct Invocation<'i> {
    pub(super) words: &'i [Word],
    pub(super) roots: &'i Roots,
    /// Whether it reads what others write.
    pub(super) fed: bool,
    pub(super) depth: usize,
}

impl Invocation<'_> {
    pub(super) fn level(&self) -> PermissionLevel {
        // Only assignments or redirects, which are looked at by themselves.
        let Some((first, rest)) = self.words.split_first() else { return ReadOnly };
        // A name out of a variable.
        let Some(name) = first.as_deref().and_then(program) else {
            return if first.is_none() { Dangerous } else { Execute };
        };
        if DANGERS.contains(&name) || name.starts_with("mkfs.") {
            return Dangerous;
        }
        if SHELLS.contains(&name) {
            return self.shell(rest);
        }
        if let Some((_, own)) = WRAPPERS.iter().find(|(wrapper, _)| *wrapper == name) {
            return self.wrapped(name, rest, *own);
        }
        let known = match name {
            "find" | "fd" => self.find(rest),
            "git" => git(rest),
            "sed" => sed(rest),
            "awk" | "gawk" | "mawk" | "nawk" | "rg" => Execute,
            _ if READERS.contains(&name) => ReadOnly,
            _ if WRITERS.contains(&name) => Write,
            _ => return Execute,
        };
        known.max(exception(name, rest)).max(self.outside(rest))
    }

    /// A file program that is told a path outside the roots.
    fn outside(&self, words: &[Word]) -> PermissionLevel {
        let leaves = |word: &Word| match word.as_deref() {
            Some(word) => leaves(word.rsplit_once('=').map_or(word, |(_, value)| value), self.roots),
            None => false,
        };
        if words.iter().any(leaves) { Dangerous } else { ReadOnly }
    }

    /// `sh -c TEXT` is what the text is; a shell that reads its commands from elsewhere may do anything.
    fn shell(&self, words: &[Word]) -> PermissionLevel {
        let is_c = |word: &Word| {
            word.as_deref().is_some_and(|w| w.starts_with('-') && !w.starts_with("--") && w.ends_with('c'))
        };
        match words.iter().position(is_c).map(|at| words.get(at + 1)) {
            Some(Some(Some(text))) => {
                // It may still run a program that the person did not mean: the shell's own start files.
                classify_nested(text, self.roots, self.depth + 1)
            }
            Some(_) => Dangerous,
            // A script, whose text is not known; or, without one, whatever is fed to it.
            None if self.fed || words.iter().all(|w| w.as_deref().is_some_and(|w| w.starts_with('-'))) => {
                Dangerous
            }
            None => Execute,
        }
    }

    /// `timeout 5 COMMAND`, `env A=1 COMMAND`, `xargs COMMAND`: the command counts, and it gets words from elsewhere.
    fn wrapped(&self, wrapper: &str, words: &[Word], own: usize) -> PermissionLevel {
        let mut rest = words;
        let mut own = own;
        let mut floor = ReadOnly;
        while let Some((word, behind)) = rest.split_first() {
            let Some(word) = word.as_deref() else { break };
            if wrapper == "env"
                && (word == "-S" || word.starts_with("--split-string") || word.starts_with("-S"))
            {
                return Dangerous;
            }
            if word.starts_with('-') && word.len() > 1 {
                let takes = WRAPPER_VALUES.contains(&word) && !(wrapper == "env" && word == "-i");
                rest = if takes { behind.get(1..).unwrap_or_default() } else { behind };
            } else if wrapper == "env" && word.contains('=') {
                let name = word.split('=').next().unwrap_or_default();
                floor = floor.max(if is_loading_variable(name) { Dangerous } else { ReadOnly });
                rest = behind;
            } else if own > 0 {
                own -= 1;
                rest = behind;
            } else {
                break;
            }
        }
        if rest.is_empty() {
            return floor;
        }
        if self.depth >= super::NESTED_MAX {
            return Dangerous;
        }
        let fed = self.fed || wrapper == "xargs";
        let inner = Invocation { words: rest, roots: self.roots, fed, depth: self.depth + 1 };
        // Of what xargs adds, paths are not known.
        let unknown = if wrapper == "xargs" && !self.roots.is_empty() && inner.level() >= Write {
            Execute
        } else {
            floor
        };
        floor.max(inner.level()).max(unknown)
    }

    /// `find` looks, unless an action of it writes, deletes or runs something.
    fn find(&self, words: &[Word]) -> PermissionLevel {
        let mut level = ReadOnly;
        for (at, word) in words.iter().enumerate() {
            level = level.max(match word.as_deref() {
                Some("-delete") => Dangerous,
                Some("-fprint" | "-fprintf" | "-fls" | "-fprint0") => Write,
                Some("-exec" | "-execdir" | "-ok" | "-okdir" | "-x" | "--exec" | "-X" | "--exec-batch") => {
                    let behind = words.get(at + 1..).unwrap_or_default();
                    let end = behind.iter().position(|w| matches!(w.as_deref(), Some(";" | "+")));
                    let inner = behind.get(..end.unwrap_or(behind.len())).unwrap_or_default();
                    self.nested(inner)
                }
                // An option out of a variable could be any of these.
                None => Execute,
                Some(_) => ReadOnly,
            });
        }
        level
    }

    fn nested(&self, words: &[Word]) -> PermissionLevel {
        if self.depth >= super::NESTED_MAX || words.is_empty() {
            return Dangerous;
        }
        Invocation { words, roots: self.roots, fed: true, depth: self.depth + 1 }.level()
    }
}

/// The name of a program: bare, or in one of the system's folders. `None`: another file, which may be anything.
fn program(word: &str) -> Option<&str> {
    match word.rsplit_once('/') {
        None => Some(word),
        Some((
            "/bin" | "/usr/bin" | "/sbin" | "/usr/sbin" | "/usr/local/bin" | "/opt/homebrew/bin",
            name,
        )) => Some(name),
        // A danger stays one, wherever it lies.
        Some((_, name)) if DANGERS.contains(&name) => Some(name),
        Some(_) => None,
    }
}

fn exception(name: &str, words: &[Word]) -> PermissionLevel {
    let mut level = ReadOnly;
    for word in words.iter().flatten() {
        let option = word.split('=').next().unwrap_or_default();
        for (program, exceptional, raised) in EXCEPTIONS {
            if *program == name && *exceptional == option {
                level = level.max(*raised);
            }
        }
    }
    level
}

/// `sed` can write files and run programs from within its script; with `-n` and a plain print or substitution it looks.
fn sed(words: &[Word]) -> PermissionLevel {
    let mut level = ReadOnly;
    for word in words {
        level = level.max(match word.as_deref() {
            None => Execute,
            Some(word) if word.starts_with("-i") || word.starts_with("--in-place") => Write,
            Some(word) if word.starts_with('-') => ReadOnly,
            Some(script) if is_plain_sed(script) => ReadOnly,
            Some(_) => Execute,
        });
    }
    level
}

/// Addresses with `p`, `d` or `q`, a substitution with the flags g, i and p only, or a file's name.
fn is_plain_sed(script: &str) -> bool {
    let address = script.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ',' | '$' | ' '));
    if matches!(address, "p" | "d" | "q") {
        return true;
    }
    if let Some(rest) = address.strip_prefix('s')
        && let Some(mark) = rest.chars().next().filter(|mark| mark.is_ascii_punctuation() && *mark != '\\')
    {
        let parts: Vec<&str> = rest.split(mark).collect();
        return matches!(parts.as_slice(), ["", _, _, flags] if flags.chars().all(|c| matches!(c, 'g' | 'i' | 'I' | 'p')));
    }
    // A path: no sed command has a name like this.
    script.contains('.') && script.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '/' | '-' | '_'))
}

fn git(words: &[Word]) -> PermissionLevel {
    let mut at = 0;
    while let Some(Some(word)) = words.get(at) {
        match word.as_str() {
            // Configuration from the command line can name programs.
            "-c" | "--config-env" | "--exec-path" => return Execute,
            "-C" | "--git-dir" | "--work-tree" => at += 2,
            option if option.starts_with('-') => at += 1,
            _ => break,
        }
    }
    let Some(Some(command)) = words.get(at) else {
        return if at < words.len() { Dangerous } else { ReadOnly };
    };
    let rest = words.get(at + 1..).unwrap_or_default();
    let has = |options: &[&str]| {
        rest.iter().flatten().any(|word| options.contains(&word.split('=').next().unwrap_or_default()))
    };
    let bare = rest.iter().all(|word| word.as_deref().is_some_and(|word| word.starts_with('-')));
    match command.as_str() {
        "status" | "rev-parse" | "ls-files" | "ls-tree" | "blame" | "describe" | "cat-file" | "shortlog"
        | "rev-list" | "name-rev" | "merge-base" | "show-ref" | "for-each-ref" | "count-objects"
        | "version" | "help" => ReadOnly,
        "log" | "diff" | "show" if has(&["--output", "--ext-diff"]) => Execute,
        "log" | "diff" | "show" => ReadOnly,
        "grep" if has(&["-O", "--open-files-in-pager"]) => Execute,
        "grep" => ReadOnly,
        "branch" | "tag" | "remote" | "stash" if has(&["-D", "-d", "--delete"]) => Dangerous,
        "branch" | "tag" | "remote" if bare => ReadOnly,
        "stash" if matches!(rest.first(), Some(Some(word)) if word == "drop" || word == "clear") => Dangerous,
        "reset" if has(&["--hard"]) => Dangerous,
        "clean" | "filter-branch" | "filter-repo" | "update-ref" | "reflog" | "gc" | "prune" => Dangerous,
        "push" if has(&["-f", "--force", "--force-with-lease", "--delete", "-d", "--mirror", "--prune"]) => {
            Dangerous
        }
        "push" if rest.iter().flatten().any(|word| word.starts_with('+') || word.starts_with(':')) => {
            Dangerous
        }
        "checkout" | "restore" | "switch" if has(&["-f", "--force", "--discard-changes", "--", "."]) => {
            Dangerous
        }
        "add" | "commit" | "checkout" | "switch" | "restore" | "reset" | "mv" | "rm" | "branch" | "tag"
        | "stash" | "init" | "notes" | "apply" | "remote" => Write,
        // Hooks, helpers, other programs, the network.
        _ => Execute,
    }
}

/// Files that are none.
pub(super) fn is_harmless_device(path: &str) -> bool {
    matches!(
        path,
        "/dev/null" | "/dev/stdin" | "/dev/stdout" | "/dev/stderr" | "/dev/zero" | "/dev/tty" | "-"
    )
}

/// Whether a word is a path that leads out of the roots. A word that does not look like one stays.
pub(super) fn leaves(word: &str, roots: &Roots) -> bool {
    let looks_like_path =
        word.starts_with('/') || word.starts_with('~') || word.split('/').any(|part| part == "..");
    // A link within the roots may lead out as well.
    let may_be = looks_like_path || word.contains('/');
    !roots.is_empty() && may_be && !is_harmless_device(word) && !roots.contain(word)
}

/// Variables that change what a program's name means, or what a program loads.
pub(super) fn is_loading_variable(name: &str) -> bool {
    const NAMES: [&str; 16] = [
        "PATH",
        "BASH_ENV",
        "ENV",
        "IFS",
        "SHELL",
        "PS4",
        "PROMPT_COMMAND",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PERL5LIB",
        "PERL5OPT",
        "RUBYOPT",
        "NODE_OPTIONS",
        "EDITOR",
        "PAGER",
        "HOME",
    ];
    NAMES.contains(&name) || name.starts_with("LD_") || name.starts_with("DYLD_") || name.starts_with("GIT_")
}
