//! `find`: what it does with what it finds.

use weir_core::tool::PermissionLevel;
use weir_core::tool::PermissionLevel::{Dangerous, Execute, ReadOnly, Write};

use super::super::Word;
use super::Invocation;

/// Tests and actions that only look.
const HARMLESS: &[&str] = &[
    "-name",
    "-iname",
    "-path",
    "-ipath",
    "-wholename",
    "-iwholename",
    "-regex",
    "-iregex",
    "-regextype",
    "-type",
    "-maxdepth",
    "-mindepth",
    "-size",
    "-mtime",
    "-mmin",
    "-ctime",
    "-cmin",
    "-atime",
    "-amin",
    "-newer",
    "-newermt",
    "-empty",
    "-print",
    "-print0",
    "-printf",
    "-ls",
    "-prune",
    "-quit",
    "-o",
    "-or",
    "-a",
    "-and",
    "-not",
    "-user",
    "-group",
    "-perm",
    "-links",
    "-inum",
    "-samefile",
    "-readable",
    "-writable",
    "-executable",
    "-depth",
    "-xdev",
    "-mount",
    "-true",
    "-false",
    "-daystart",
    "-noleaf",
    "-P",
    "-xtype",
    "--",
    "-",
];

impl Invocation<'_> {
    /// `find` looks, unless an action of it writes, deletes or runs something.
    pub(super) fn find(&self, words: &[Word]) -> PermissionLevel {
        let mut level = ReadOnly;
        let mut at = 0;
        while let Some(word) = words.get(at) {
            at += 1;
            level = level.max(match word.text() {
                Some("-delete") => Dangerous,
                Some("-fprint" | "-fprintf" | "-fls" | "-fprint0") => Write,
                Some("-exec" | "-execdir" | "-ok" | "-okdir" | "-x" | "--exec" | "-X" | "--exec-batch") => {
                    let behind = words.get(at..).unwrap_or_default();
                    let end = behind.iter().position(|w| matches!(w.text(), Some(";" | "+")));
                    let inner = behind.get(..end.unwrap_or(behind.len())).unwrap_or_default();
                    at += inner.len();
                    // Of what is found, links may lead anywhere.
                    let floor = if self.roots.is_empty() { ReadOnly } else { Execute };
                    self.found(inner).max(floor)
                }
                Some(option) if option.starts_with('-') && !is_harmless(option) => Execute,
                // An option out of a variable could be any of these.
                None => Execute,
                Some(_) => ReadOnly,
            });
        }
        level
    }

    /// What is run on each: a path that begins as the search does, so that it is no option; but part of a word can be
    /// anything.
    fn found(&self, words: &[Word]) -> PermissionLevel {
        let filled = |word: &Word| match word.text() {
            Some(text) if text != "{}" && text.contains("{}") => Word::Value,
            _ => word.clone(),
        };
        self.nested(&words.iter().map(filled).collect::<Vec<Word>>())
    }
}

fn is_harmless(option: &str) -> bool {
    HARMLESS.contains(&option) || option.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
}
