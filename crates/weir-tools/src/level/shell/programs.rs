//! What programs do, as far as it is known. A program that is not listed here may do anything that a program can:
//! `execute`.

mod find;
mod git;
mod known;
mod options;
pub(super) mod places;

use weir_core::tool::PermissionLevel;
use weir_core::tool::PermissionLevel::{Dangerous, Execute, ReadOnly, Write};

use super::super::of_written;
use super::{Roots, Word, classify_nested};
use known::{DANGERS, LISTERS, NO_PATHS, READERS, SHELLS, SUMS, WRAPPER_VALUES, WRAPPERS, WRITERS};

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
        // A name out of a variable, or from a pattern.
        let Some(text) = first.text() else { return Dangerous };
        let Some(name) = program(text) else { return Execute };
        if DANGERS.contains(&name) || name.starts_with("mkfs.") {
            return Dangerous;
        }
        if SHELLS.contains(&name) {
            return self.shell(name, rest);
        }
        if name == "xargs" {
            return self.xargs(rest);
        }
        if let Some((_, own)) = WRAPPERS.iter().find(|(wrapper, _)| *wrapper == name) {
            return self.wrapped(name, rest, *own);
        }
        let known = match name {
            "find" => self.find(rest),
            "fd" => self.find(rest).max(Execute),
            "git" => git::level(rest, self.roots),
            "sed" => sed(rest),
            // Where relative paths start is no longer known behind it.
            "cd" | "pushd" | "popd" if !self.roots.is_empty() => Execute,
            // A second file is written.
            "uniq" if rest.iter().all(|word| word.text().is_some()) && operands(rest) < 2 => ReadOnly,
            _ if READERS.contains(&name) => ReadOnly,
            _ if WRITERS.contains(&name) => Write,
            _ => return Execute,
        };
        let level = known.max(options::level(name, rest)).max(self.outside(name, rest));
        let level = level.max(self.takes_along(name, rest)).max(self.by_paths(name, rest, known));
        level.max(places::level(name, rest, self.roots))
    }

    /// What the words say as paths, roots or none: the environment and the memory of processes, and files that run by
    /// themselves once they are written.
    fn by_paths(&self, name: &str, words: &[Word], known: PermissionLevel) -> PermissionLevel {
        if NO_PATHS.contains(&name) {
            return ReadOnly;
        }
        let changes = known >= Write || matches!(name, "cd" | "pushd");
        let of = |word: &Word| match word {
            Word::Literal(text) => {
                let parts =
                    std::iter::once(text.as_str()).chain(text.split_once('=').map(|(_, value)| value)).chain(
                        text.strip_prefix("-C")
                            .or_else(|| text.strip_prefix("-t"))
                            .filter(|rest| !rest.is_empty()),
                    );
                let level = |part: &str| {
                    of_a_process(part).max(if changes { of_written(part, self.roots) } else { ReadOnly })
                };
                parts.map(level).max().unwrap_or(ReadOnly)
            }
            // Which files it opens is not known; with roots that is dangerous already.
            Word::Value | Word::Pattern if name == "git" => ReadOnly,
            Word::Value => Execute,
            Word::Pattern => ReadOnly,
        };
        words.iter().map(of).max().unwrap_or(ReadOnly)
    }

    /// A program that takes a folder as a whole: what of weir's own lies in it goes along, and so does what links in it
    /// lead to.
    fn takes_along(&self, name: &str, words: &[Word]) -> PermissionLevel {
        if self.roots.is_empty() || matches!(name, "git" | "sed") || NO_PATHS.contains(&name) {
            return ReadOnly;
        }
        let has = |letters: &str, long: &[&str]| {
            words.iter().filter_map(Word::text).any(|word| has_option(word, letters, long))
        };
        let follows = match name {
            "grep" | "egrep" | "fgrep" => has("R", &["dereference-recursive"]),
            "find" => words.iter().filter_map(Word::text).any(|word| matches!(word, "-L" | "-H" | "-follow")),
            "cp" => has("LH", &["dereference"]) && has("rRa", &["recursive", "archive"]),
            "ls" => has("R", &["recursive"]) && has("LH", &["dereference", "dereference-command-line"]),
            // Its first word may be options without a dash.
            "tar" => {
                has("h", &["dereference"])
                    || words.first().and_then(Word::text).is_some_and(|word| word.contains('h'))
            }
            "tree" => has("l", &[]),
            "du" => {
                has("LD", &["dereference", "dereference-args"])
                    || words.iter().filter_map(Word::text).any(|word| word.starts_with("--f"))
            }
            "diff" => has("r", &["recursive"]) && !has("", &["no-dereference"]),
            "zip" => has("r", &["recurse-paths"]) && !has("y", &["symlinks"]),
            // They open what a list names.
            "wc" => words.iter().filter_map(Word::text).any(|word| word.starts_with("--f")),
            _ if SUMS.contains(&name) => words
                .iter()
                .filter_map(Word::text)
                .any(|word| word.starts_with("--c") || !word.starts_with("--") && has_option(word, "c", &[])),
            _ => false,
        };
        // Without a path it looks below where it is.
        let everywhere = matches!(name, "grep" | "egrep" | "fgrep")
            && has("rR", &["recursive", "dereference-recursive"])
            && operands(words) < 2;
        let whole = || words.iter().filter_map(Word::text).any(|word| self.roots.hold_own_below(word));
        let takes = !LISTERS.contains(&name) && (whole() || everywhere && self.roots.hold_own_below("."));
        if follows || takes { Dangerous } else { ReadOnly }
    }

    /// A program for files that is told a path outside the roots, or one that cannot be known.
    fn outside(&self, name: &str, words: &[Word]) -> PermissionLevel {
        let leads_out = |word: &Word| match word {
            Word::Literal(_) if matches!(name, "echo" | "printf") => false,
            Word::Literal(word) => word_leaves(word, self.roots),
            Word::Value => !NO_PATHS.contains(&name),
            Word::Pattern => true,
        };
        if !self.roots.is_empty() && words.iter().any(leads_out) { Dangerous } else { ReadOnly }
    }

    /// `sh -c TEXT` is what the text is; a shell that reads its commands from elsewhere may do anything.
    fn shell(&self, name: &str, words: &[Word]) -> PermissionLevel {
        let is_c = |word: &Word| {
            word.text().is_some_and(|w| w.starts_with('-') && !w.starts_with("--") && w.ends_with('c'))
        };
        let is_option = |word: &Word| word.text().is_some_and(|word| word.starts_with('-'));
        // Other options, and words behind the text, change what it means; so does another shell.
        let plain = matches!(name, "sh" | "bash" | "dash")
            && words.len() == 2
            && words.first().and_then(Word::text).is_some_and(|option| matches!(option, "-c" | "-lc"));
        let floor = if plain { ReadOnly } else { Execute };
        match words.iter().position(is_c).map(|at| words.get(at + 1)) {
            Some(Some(Word::Literal(text))) => floor.max(classify_nested(text, self.roots, self.depth + 1)),
            Some(_) => Dangerous,
            // A script, whose text is not known; or, without one, whatever is fed to it.
            None if self.fed || words.iter().all(is_option) => Dangerous,
            None if name == "busybox" => floor.max(self.nested(words)),
            None => Execute,
        }
    }

    /// `xargs COMMAND` runs the command with words that come from elsewhere, so that little is known of it.
    fn xargs(&self, words: &[Word]) -> PermissionLevel {
        let command = behind_options(words, WRAPPER_VALUES);
        let mut command = command.to_vec();
        if command.is_empty() {
            return Execute;
        }
        command.push(Word::Value);
        self.nested(&command).max(Execute)
    }

    /// `timeout 5 COMMAND`, `env A=1 COMMAND`: the command counts. Options of the wrapper can act as well.
    fn wrapped(&self, wrapper: &str, words: &[Word], own: usize) -> PermissionLevel {
        let mut rest = behind_options(words, WRAPPER_VALUES);
        let options = words.get(..words.len().saturating_sub(rest.len())).unwrap_or_default();
        let mut floor = options::level(wrapper, options);
        if wrapper == "env" {
            while let Some((name, _)) =
                rest.first().and_then(Word::text).and_then(|word| word.split_once('='))
            {
                floor = floor.max(if is_loading_variable(name) { Dangerous } else { Execute });
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        let split =
            |word: &Word| word.text().is_some_and(|word| word.contains('S') || word.starts_with("--s"));
        if wrapper == "env" && options.iter().any(split) {
            return Dangerous;
        }
        let own_words = rest.get(..own).unwrap_or_default();
        if own_words.iter().any(|word| word.text().is_none()) {
            floor = floor.max(Execute);
        }
        match rest.get(own..).unwrap_or_default() {
            // `env` by itself shows the whole environment.
            [] if wrapper == "env" => floor.max(Execute),
            [] => floor,
            inner => floor.max(self.inner(inner, self.fed)),
        }
    }

    fn nested(&self, words: &[Word]) -> PermissionLevel {
        self.inner(words, true)
    }

    fn inner(&self, words: &[Word], fed: bool) -> PermissionLevel {
        if self.depth >= super::NESTED_MAX || words.is_empty() {
            return Dangerous;
        }
        Invocation { words, roots: self.roots, fed, depth: self.depth + 1 }.level()
    }
}

/// The words behind a wrapper's own options and their values.
fn behind_options<'w>(words: &'w [Word], valued: &[&str]) -> &'w [Word] {
    let mut rest = words;
    while let Some((word, behind)) = rest.split_first() {
        let Some(word) = word.text() else { break };
        if !word.starts_with('-') || word.len() < 2 {
            break;
        }
        rest = if valued.contains(&word) { behind.get(1..).unwrap_or_default() } else { behind };
        if word == "--" {
            break;
        }
    }
    rest
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

/// `sed` can write files and run programs from within its script; with `-n` and a plain print or substitution it looks.
fn sed(words: &[Word]) -> PermissionLevel {
    let mut level = ReadOnly;
    let mut script = None;
    for word in words {
        match word.text() {
            Some("-n" | "-E" | "-r" | "-s" | "-z" | "--quiet" | "--silent" | "--regexp-extended") => {}
            Some("-i" | "--in-place") => level = level.max(Write),
            Some(option) if option.starts_with('-') => return Execute,
            text if script.is_none() => script = Some(text.is_some_and(is_plain_sed)),
            Some(_) => {}
            // It could be an option.
            None => return Execute,
        }
    }
    if script == Some(true) { level } else { Execute }
}

/// Addresses with `p`, `d` or `q`, or a substitution with the flags g, i and p only.
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
    false
}

/// How many words are no options, or values of some.
fn operands(words: &[Word]) -> usize {
    words.iter().filter_map(Word::text).filter(|word| !word.starts_with('-') || *word == "-").count()
}

/// Whether a word has one of these options: a letter among others, or a long one.
fn has_option(word: &str, letters: &str, long: &[&str]) -> bool {
    match word.strip_prefix("--") {
        Some(name) => long.contains(&name.split('=').next().unwrap_or_default()),
        None => word.strip_prefix('-').is_some_and(|word| word.contains(|c| letters.contains(c))),
    }
}

/// What a path shows of processes: what lies in `/proc` besides the machine's own figures holds environments and memory.
pub(super) fn of_a_process(path: &str) -> PermissionLevel {
    const FIGURES: [&str; 9] =
        ["cpuinfo", "meminfo", "version", "loadavg", "uptime", "stat", "mounts", "filesystems", "partitions"];
    let mut parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    let proc = path.starts_with('/') && parts.next() == Some("proc");
    let figures = proc && parts.next().is_some_and(|part| FIGURES.contains(&part)) && parts.next().is_none();
    let up = path.contains("..") && path.split('/').any(|part| part == "proc");
    let environ = path.rsplit('/').next() == Some("environ");
    if proc && !figures || up || environ { Execute } else { ReadOnly }
}

/// As [`of_a_process`], of a pattern or braces as they are written: what it may become is what counts.
pub(super) fn of_a_pattern(raw: &str) -> PermissionLevel {
    const MARKS: [char; 4] = ['*', '?', '[', '{'];
    if !raw.contains(MARKS) {
        return ReadOnly;
    }
    let plain: String = raw.chars().filter(|c| !matches!(c, '"' | '\'' | '\\')).collect();
    let named = plain.split(['/', '{', '}', ',']).any(|part| part == "proc");
    // The first part of an absolute path, or any behind `..`, that a pattern can make `proc`.
    let first = |path: &str| {
        path.strip_prefix('/')
            .is_some_and(|rest| rest.split('/').find(|p| !p.is_empty()).is_some_and(|p| p.contains(MARKS)))
    };
    let open = plain.split(['{', ',']).any(first) || first(&plain) || plain.contains("..");
    if named || open { Execute } else { ReadOnly }
}

/// Variables that hold no keys: the shell's own, and where and how one works.
pub(super) fn is_harmless_variable(name: &str) -> bool {
    const NAMES: [&str; 30] = [
        "HOME",
        "PWD",
        "OLDPWD",
        "USER",
        "LOGNAME",
        "SHELL",
        "PATH",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TERM",
        "TMPDIR",
        "TZ",
        "HOSTNAME",
        "HOSTTYPE",
        "OSTYPE",
        "MACHTYPE",
        "UID",
        "EUID",
        "PPID",
        "SHLVL",
        "RANDOM",
        "SECONDS",
        "LINENO",
        "COLUMNS",
        "LINES",
        "EDITOR",
        "BASH_VERSION",
        "EPOCHSECONDS",
        "DISPLAY",
    ];
    NAMES.contains(&name)
}

/// Files that are none.
pub(super) fn is_harmless_device(path: &str) -> bool {
    matches!(
        path,
        "/dev/null" | "/dev/stdin" | "/dev/stdout" | "/dev/stderr" | "/dev/zero" | "/dev/tty" | "-"
    )
}

/// How long an option may be, in bytes, when roots are set.
const OPTION_BYTES_MAX: usize = 128;

/// Whether a word is a path that leads out of the roots. Any word can name a link that does.
pub(super) fn leaves(word: &str, roots: &Roots) -> bool {
    !roots.is_empty() && !is_harmless_device(word) && !roots.contain(word)
}

/// Whether a word of a command holds a path that leads out: all of it, what is behind a `=`, or any end of an option.
fn word_leaves(word: &str, roots: &Roots) -> bool {
    if roots.is_empty() {
        return false;
    }
    let values = || word.match_indices(['=', ':']).filter_map(|(at, _)| word.get(at + 1..));
    if !word.starts_with('-') || word.starts_with("--") {
        return leaves(word, roots) || values().take(8).any(|value| leaves(value, roots));
    }
    word.len() > OPTION_BYTES_MAX
        || word.char_indices().skip(1).any(|(at, _)| word.get(at..).is_some_and(|end| leaves(end, roots)))
}

/// Variables that say how things are shown, with a value that is no path.
pub(super) fn only_shows(name: &str, value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '@');
    matches!(name, "LC_ALL" | "LANG" | "NO_COLOR" | "COLUMNS" | "TERM" | "TZ") && value.chars().all(plain)
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
