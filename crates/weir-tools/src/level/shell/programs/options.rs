//! Options of programs, some of whose options can act. Only those listed are harmless: another one, an abbreviation, or a
//! word that is not known before it runs is `execute`.

use weir_core::tool::PermissionLevel;
use weir_core::tool::PermissionLevel::{Dangerous, Execute, ReadOnly};

use super::super::Word;

/// The harmless options of one program.
pub(super) struct Options {
    /// Letters without a value, which may stand together.
    pub(super) flags: &'static str,
    /// Letters with a value, in the same word or the next.
    pub(super) valued: &'static str,
    /// Long ones; a value may follow behind `=`.
    pub(super) long: &'static [&'static str],
}

const fn only(flags: &'static str, valued: &'static str, long: &'static [&'static str]) -> Options {
    Options { flags, valued, long }
}

/// Programs with options that can act, in the order of the alphabet.
const TABLE: &[(&[&str], Options)] = &[
    (&["bunzip2", "bzip2", "gunzip", "gzip", "unxz", "xz", "zstd"], only("cdfkqtv0123456789", "", &[])),
    (&["bzcat", "xzcat", "zcat", "locale", "tty", "uuidgen", "column", "w", "who"], only("", "", &[])),
    (
        &["command", "nohup", "builtin", "exec", "setsid", "chronic", "unbuffer", "taskset", "env"],
        only("", "", &[]),
    ),
    // Other options copy folders, make links, or make up the names of what they write.
    (
        &["cp"],
        only(
            "finpuvT",
            "t",
            &[
                "force",
                "interactive",
                "no-clobber",
                "verbose",
                "update",
                "preserve",
                "target-directory",
                "no-target-directory",
            ],
        ),
    ),
    (&["csplit", "split"], only("dks", "abln", &[])),
    (&["date"], only("uR", "dI", &["utc", "iso-8601", "rfc-3339", "date"])),
    (
        &["diff"],
        only("abBdeiNnqrstTuwy0123456789", "UC", &["brief", "color", "recursive", "unified", "side-by-side"]),
    ),
    (&["file"], only("bikhNprs", "", &["brief", "mime", "mime-type", "mime-encoding"])),
    (
        &["install", "mkdir", "mkfifo", "chmod"],
        only("dDpvcfR", "mgo", &["parents", "verbose", "mode", "recursive"]),
    ),
    (&["ionice"], only("", "cn", &[])),
    (&["less", "more"], only("NSRFXnMi", "", &[])),
    (
        &["ln"],
        only(
            "finrsvT",
            "t",
            &[
                "symbolic",
                "force",
                "no-dereference",
                "relative",
                "verbose",
                "target-directory",
                "no-target-directory",
            ],
        ),
    ),
    (
        &["mv"],
        only(
            "finuvT",
            "t",
            &[
                "force",
                "interactive",
                "no-clobber",
                "verbose",
                "update",
                "target-directory",
                "no-target-directory",
            ],
        ),
    ),
    (&["nice"], only("", "n", &[])),
    (
        &["sort"],
        only(
            "bdfghMnRrVcCmsuz",
            "kt",
            &["numeric-sort", "reverse", "unique", "key", "field-separator", "version-sort"],
        ),
    ),
    (&["stdbuf"], only("", "ioe", &[])),
    (
        &["tar"],
        only("cxtvfzjJpk", "C", &["list", "extract", "create", "file", "gzip", "verbose", "directory"]),
    ),
    (&["time"], only("p", "", &[])),
    (&["timeout"], only("", "ks", &["signal", "kill-after", "preserve-status", "foreground"])),
    (&["tree"], only("adfilpsughDFtrxNqQCASJXnv", "LIP", &["dirsfirst", "noreport", "prune", "du"])),
    (&["unzip", "zip"], only("ojlnpqtvrd9", "", &[])),
];

/// What the options of a program are worth.
pub(super) fn level(program: &str, words: &[Word]) -> PermissionLevel {
    let special = special(program, words);
    let Some((_, known)) = TABLE.iter().find(|(programs, _)| programs.contains(&program)) else {
        return special;
    };
    special.max(if known.hold(words) { ReadOnly } else { Execute })
}

impl Options {
    /// Whether all words are harmless: known options, or no options at all.
    pub(super) fn hold(&self, words: &[Word]) -> bool {
        words.iter().all(|word| word.text().is_some_and(|word| self.has(word)))
    }

    fn has(&self, word: &str) -> bool {
        let Some(option) = word.strip_prefix('-') else { return true };
        if let Some(long) = option.strip_prefix('-') {
            let name = long.split('=').next().unwrap_or_default();
            return long.is_empty() || self.long.contains(&name);
        }
        match option.chars().next() {
            None => true,
            Some(first) if self.valued.contains(first) => true,
            Some(_) => option.chars().all(|letter| self.flags.contains(letter)),
        }
    }
}

/// What no list of options says.
fn special(program: &str, words: &[Word]) -> PermissionLevel {
    let texts = || words.iter().filter_map(Word::text);
    let unknown = words.iter().any(|word| word.text().is_none());
    match program {
        // `-v` evaluates, and so may words out of a variable, which can be `-v`.
        "test" | "["
            if unknown
                || texts().any(|w| matches!(w, "-v" | "-R" | "-o") || w.len() > 1 && w.contains('[')) =>
        {
            Execute
        }
        "printf" => match words.first() {
            Some(Word::Literal(format)) if format == "--" => {
                words.get(1).and_then(Word::text).map_or(Execute, printed)
            }
            Some(word) => word.text().map_or(Execute, printed),
            None => ReadOnly,
        },
        // `ps e` and `ps -E` show environments.
        "ps" if unknown
            || texts().any(|w| {
                w.contains('E') || !w.starts_with('-') && w.contains('e') || w.starts_with("--e")
            }) =>
        {
            Execute
        }
        // Its language reads the environment and other files.
        "jq" if unknown
            || texts().any(|w| {
                ["env", "ENV", "include", "import", "input_filename"].iter().any(|name| w.contains(name))
                    || w.starts_with("-f")
                    || w.starts_with("-L")
                    || w.starts_with("--from-file")
            }) =>
        {
            Execute
        }
        "date" if texts().any(|w| w.starts_with("-s") || w.starts_with("--s")) => Dangerous,
        "date" if texts().any(|w| !w.starts_with('-') && !w.starts_with('+')) => Execute,
        "less" | "more" if texts().any(|w| w.starts_with('+')) => Execute,
        // Old options have no dash.
        "tar"
            if !words
                .first()
                .and_then(Word::text)
                .is_some_and(|w| w.starts_with('-') || w.chars().all(|c| "cxtvfzjJpk".contains(c))) =>
        {
            Execute
        }
        "tar" if texts().any(|w| w.contains("checkpoint") || w.contains("to-comm")) => Dangerous,
        // A mode that is not known can be any.
        "chmod" | "install" if unknown => Dangerous,
        "chmod" | "install" | "mkdir" | "mkfifo" if texts().any(gives_rights) => Dangerous,
        _ => ReadOnly,
    }
}

/// `%n` sets a variable, and `-v` as well.
fn printed(format: &str) -> PermissionLevel {
    let sets = |behind: &str| {
        behind
            .trim_start_matches(|c: char| c.is_ascii_digit() || " -+#.*'hlqjztL".contains(c))
            .starts_with('n')
    };
    let acts = format.starts_with('-') || format.split('%').skip(1).any(sets);
    if acts { Execute } else { ReadOnly }
}

/// Whether a mode sets the bits that give its owner's rights to whoever runs a file.
fn gives_rights(word: &str) -> bool {
    let mode = word.strip_prefix("--mode=").or_else(|| word.strip_prefix("-m")).unwrap_or(word);
    let octal = !mode.is_empty() && mode.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let special = octal && u32::from_str_radix(mode, 8).map_or(true, |mode| mode & 0o6000 != 0);
    let symbolic = mode.split(',').any(|part| {
        part.find(['+', '=']).is_some_and(|at| {
            let (who, bits) = part.split_at(at);
            who.chars().all(|c| "ugoa".contains(c)) && bits.contains('s')
        })
    });
    special || symbolic
}
