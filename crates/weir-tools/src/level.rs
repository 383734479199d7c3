//! The level of one call, from its arguments: shell commands as a shell reads them, paths with their links resolved.
//!
//! What is found here is a floor: it raises the level of a call above its tool's own, and never lowers it. Rules may
//! raise it further.

mod later;
mod paths;
mod roles;
mod shell;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use serde_json::Value as Json;
use weir_core::tool::{Arguments, PermissionLevel};

pub use paths::Roots;
pub use roles::Roles;
pub use shell::{COMMAND_BYTES_MAX, classify_argv, classify_command};

/// Paths of one call that are looked at; one with more is `dangerous`.
const PATHS_MAX: usize = 1_000;

/// Folders that are thought of as opened for one call.
const OPENED_MAX: usize = 4;

/// The least level of a call of this tool with these arguments.
#[must_use]
pub fn of_call(tool: &str, args: &Arguments, roots: &Roots) -> PermissionLevel {
    let roles = Roles::of(tool);
    let mut level = PermissionLevel::None;
    if let Some(names) = roles.command {
        level = level.max(of_command(args, names, roots));
    }
    if roles.paths {
        level = level.max(of_paths(args, roles, roots));
    }
    level
}

/// A path of a call that lies outside the allowed roots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// The path, as the call gives it; the first of several.
    pub path: String,
    /// The least level of the call if the folders that hold such paths were allowed roots; `None`: one cannot be.
    pub opened: Option<PermissionLevel>,
}

/// The path that makes a call `dangerous` because it lies outside the allowed roots, if one does.
#[must_use]
pub fn outside(tool: &str, args: &Arguments, roots: &Roots) -> Option<Outside> {
    let judged = |roots: &Roots| {
        let refused = Arc::new(OnceLock::new());
        let level = of_call(tool, args, &roots.noting(&refused));
        (level, refused.get().cloned())
    };
    if roots.is_empty() {
        return None;
    }
    let (PermissionLevel::Dangerous, Some(path)) = judged(roots) else { return None };
    let (mut next, mut open) = (path.clone(), roots.clone());
    for _ in 0..OPENED_MAX {
        let Some(opened) = open.opened_for(&next) else { break };
        match judged(&opened) {
            (level, None) => return Some(Outside { path, opened: Some(level) }),
            (_, Some(refused)) => (next, open) = (refused, opened),
        }
    }
    Some(Outside { path, opened: None })
}

/// A shell tool runs what one of these arguments says. Without any of them nobody knows what it would run.
fn of_command(args: &Arguments, names: &[&str], roots: &Roots) -> PermissionLevel {
    let given: Vec<&Json> = names.iter().filter_map(|name| args.get(name)).collect();
    if given.is_empty() {
        return PermissionLevel::Dangerous;
    }
    let levels = given.into_iter().map(|command| match command {
        Json::String(text) => classify_command(text, roots),
        Json::Array(words) => {
            let words: Option<Vec<&str>> = words.iter().map(Json::as_str).collect();
            words.map_or(PermissionLevel::Dangerous, |words| classify_argv(&words, roots))
        }
        _ => PermissionLevel::Dangerous,
    });
    levels.max().unwrap_or(PermissionLevel::Dangerous)
}

/// A path outside the allowed roots makes a call of a tool for files `dangerous`; where no roots are configured nothing is
/// said of that. Writing what runs by itself later is running it.
fn of_paths(args: &Arguments, roles: Roles, roots: &Roots) -> PermissionLevel {
    let mut paths = Vec::new();
    let mut patches = Vec::new();
    for (name, value) in args.iter() {
        if roles::is_path_argument(name) || roles.globs && name == "pattern" {
            collect_texts(value, &mut paths);
        } else if roles.patches {
            collect_texts(value, &mut patches);
        }
    }
    paths.extend(patches.iter().flat_map(|patch| patch.lines()).filter_map(patched));
    // Braces in a pattern hide where it leads.
    let hides = |path: &str| {
        path.split_once('{').is_some_and(|(_, braces)| {
            let end = braces.rfind('}').unwrap_or(braces.len());
            let inner = braces.get(..end).unwrap_or_default();
            inner.contains(['/', '~']) || inner.contains("..")
        })
    };
    if paths.len() > PATHS_MAX {
        return PermissionLevel::Dangerous;
    }
    let later = paths.iter().filter(|_| !roles.only_looks).map(|path| of_written(path, roots));
    let moved = paths.iter().filter(|_| roles.moves).map(|path| later::moved(path, true, roots));
    let later = later.chain(moved).max().unwrap_or(PermissionLevel::None);
    // A tool that takes a folder as a whole takes along what of weir's own lies in it.
    let takes = |path: &str| !roles.lists && roots.hold_own_below(path);
    let stays = |path: &&str| roots.contain(path) && !hides(path) && !takes(path);
    let whole = paths.is_empty() && roles.searches && takes(".");
    let inside = roots.is_empty() || paths.iter().all(stays) && !whole;
    if inside { later } else { PermissionLevel::Dangerous }
}

/// The least level of writing to a path, as it is given and as its links lead.
pub(super) fn of_written(path: &str, roots: &Roots) -> PermissionLevel {
    let resolved = roots.locate(path).map(|path| later::written(&path.to_string_lossy()));
    later::written(path).max(resolved.unwrap_or(PermissionLevel::None))
}

/// The file that a line of a patch names: in the form of codex, or in that of `diff -u`.
fn patched(line: &str) -> Option<&str> {
    const HEADERS: [&str; 6] =
        ["*** Add File:", "*** Update File:", "*** Delete File:", "*** Move to:", "+++ ", "--- "];
    let line = line.trim_start();
    let name = HEADERS.iter().find_map(|header| line.strip_prefix(header))?;
    Some(name.split('\t').next().unwrap_or_default().trim()).filter(|name| *name != "/dev/null")
}

/// The texts of a value; a list, and the objects in it, may hold many.
fn collect_texts<'v>(value: &'v Json, texts: &mut Vec<&'v str>) {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Json::String(text) => texts.push(text),
            Json::Array(items) => open.extend(items),
            Json::Object(members) => {
                open.extend(
                    members.iter().filter(|(name, _)| roles::is_path_argument(name)).map(|(_, value)| value),
                );
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
        if texts.len() > PATHS_MAX {
            return;
        }
    }
}

impl From<&[PathBuf]> for Roots {
    fn from(roots: &[PathBuf]) -> Self {
        Self::new(roots)
    }
}

#[cfg(test)]
mod tests;
