//! Programs that put files where the call does not show it: whatever runs by itself can be among them.

use weir_core::tool::PermissionLevel;
use weir_core::tool::PermissionLevel::{Execute, ReadOnly};

use super::super::super::{later, of_written};
use super::super::{Roots, Word};
use super::{has_option, operands};

/// The endings that packers take off the name of a file.
const UNPACKERS: &[&str] = &["gunzip", "gzip", "bunzip2", "bzip2", "unxz", "xz", "zstd"];

/// Programs that move or link what they are given, so that paths lead elsewhere behind them.
const MOVERS: &[&str] = &["mv", "ln"];

/// The level of what a program places, by its words.
pub(super) fn level(name: &str, words: &[Word], roots: &Roots) -> PermissionLevel {
    let texts = || words.iter().filter_map(Word::text);
    let places = match name {
        // The names are in the archive.
        "tar" => {
            texts().any(|word| has_option(word, "x", &["extract", "get"]))
                || texts().next().is_some_and(|word| !word.starts_with('-') && word.contains('x'))
        }
        "unzip" => !texts().next().is_some_and(lists_archive),
        // The names are made, from a beginning.
        "split" | "csplit" => true,
        _ if UNPACKERS.contains(&name) => {
            let unpacked = |word: &str| word.rsplit_once('.').map(|(stem, _)| of_written(stem, roots));
            return texts().filter_map(unpacked).max().unwrap_or(ReadOnly);
        }
        "mv" | "cp" | "ln" | "install" => return moved(name != "cp" && name != "install", words, roots),
        _ => false,
    };
    if places { Execute } else { ReadOnly }
}

/// Moving, copying or linking: onto or out of a place whose files run by themselves; and a folder, whose files the call does
/// not show, where `folders` says that the program takes them.
pub(super) fn moved(folders: bool, words: &[Word], roots: &Roots) -> PermissionLevel {
    let texts = || words.iter().filter_map(Word::text);
    // The last is where the others go, unless an option names that.
    let targeted = texts().any(|word| word == "--" || has_option(word, "t", &["target-directory"]));
    let target = words.iter().rposition(|word| word.text().is_none_or(|word| !word.starts_with('-')));
    let target = target.filter(|_| !targeted && operands(words) > 1);
    let is_source = |at: usize| Some(at) != target;
    let level = words
        .iter()
        .enumerate()
        .filter_map(|(at, word)| Some(of_moved(word.text()?, folders && is_source(at), roots)));
    let level = level.max().unwrap_or(ReadOnly);
    // One of several may be a link through which the next is reached.
    let through = operands(words) > 2 && texts().any(|word| word.trim_end_matches('/').contains('/'));
    if folders && through && !roots.is_empty() { level.max(Execute) } else { level }
}

/// What one word of a move says: see [`moved`].
fn of_moved(word: &str, folders: bool, roots: &Roots) -> PermissionLevel {
    let value = |word: &str| {
        word.strip_prefix("--")
            .map_or_else(|| word.strip_prefix("-t"), |long| long.split_once('=').map(|(_, value)| value))
            .unwrap_or(word)
            .to_owned()
    };
    later::moved(&value(word), folders, roots)
}

fn lists_archive(option: &str) -> bool {
    option
        .strip_prefix('-')
        .is_some_and(|letters| letters.contains(['l', 't', 'p']) && !letters.contains(['d', '-']))
}

/// Whether a command can move or link something, as far as its words show: by itself, or as the command of a wrapper or
/// of a shell.
pub(in super::super) fn moves(words: &[Word]) -> bool {
    let mover = |text: &str| {
        text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').any(|part| MOVERS.contains(&part))
    };
    let Some(name) = words.first().and_then(Word::text) else { return true };
    let name = name.rsplit('/').next().unwrap_or(name);
    let runs_others = name == "git"
        || super::SHELLS.contains(&name)
        || super::WRAPPERS.iter().any(|(wrapper, _)| *wrapper == name);
    mover(name) || runs_others && words.iter().any(|word| word.text().is_none_or(mover))
}

/// Whether a command opens files by the names that it is given.
pub(in super::super) fn follows_paths(words: &[Word]) -> bool {
    words.first().and_then(Word::text).is_none_or(|name| {
        let name = name.rsplit('/').next().unwrap_or(name);
        !super::NO_PATHS.contains(&name)
    })
}
