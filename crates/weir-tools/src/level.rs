//! The level of one call, from its arguments: shell commands as a shell reads them, paths with their links resolved.
//!
//! What is found here is a floor: it raises the level of a call above its tool's own, and never lowers it. Rules may
//! raise it further.

mod paths;
mod roles;
mod shell;

use std::path::PathBuf;

use serde_json::Value as Json;
use weir_core::tool::{Arguments, PermissionLevel};

pub use paths::Roots;
pub use roles::Roles;
pub use shell::{COMMAND_BYTES_MAX, classify_argv, classify_command};

/// Paths of one call that are looked at; one with more is `dangerous`.
const PATHS_MAX: usize = 1_000;

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

/// A path outside the allowed roots makes a call of a tool for files `dangerous`. Where no roots are configured nothing
/// is said of paths.
fn of_paths(args: &Arguments, roles: Roles, roots: &Roots) -> PermissionLevel {
    if roots.is_empty() {
        return PermissionLevel::None;
    }
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
    let stays = |path: &&str| roots.contain(path) && !hides(path);
    let inside = paths.len() <= PATHS_MAX && paths.iter().all(stays);
    if inside { PermissionLevel::None } else { PermissionLevel::Dangerous }
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
