//! Files within the allowed roots.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;
use weir_core::tool::quoted;

use super::walk::walk;
use super::{Outcome, read, search};
use crate::level::Roots;

/// How long a file may be that is read or written, in bytes.
pub(super) const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How many entries a list shows.
const LISTED_MAX: usize = 2_000;

/// How long the made part of a name is for what is written beside a file, in characters.
const BESIDE_CHARS: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArgs {
    #[serde(default = "here")]
    path: String,
    #[serde(default = "one")]
    depth: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadArgs {
    path: String,
    #[serde(default = "one")]
    from_line: usize,
    lines: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteArgs {
    path: String,
    content: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EditArgs {
    path: String,
    old: String,
    new: String,
}

fn here() -> String {
    ".".to_owned()
}

const fn one() -> usize {
    1
}

/// Runs a tool for files on a thread that may wait for the disk.
pub(super) async fn run(roots: Roots, tool: String, args: Json) -> Outcome {
    let run = move || match tool.as_str() {
        "list_files" => list(&roots, read(args)?),
        "read_file" => read_file(&roots, &read(args)?),
        "search_files" => search::search(&roots, &read(args)?),
        "write_file" => write(&roots, &read(args)?),
        "edit_file" => edit(&roots, &read(args)?),
        other => Err(format!("weir has no tool {}", quoted(other))),
    };
    tokio::task::spawn_blocking(run).await.unwrap_or_else(|_| Err("the tool failed".to_owned()))
}

/// Where a path leads, if that is within the roots.
pub(super) fn locate(roots: &Roots, path: &str) -> Result<PathBuf, String> {
    if roots.is_empty() {
        return Err("no folder is open to tools: the operator sets `tools.allowed_roots`".to_owned());
    }
    roots.locate(path).ok_or_else(|| {
        format!(
            "{} is outside the allowed roots (`tools.allowed_roots`), leads nowhere, or is weir's own",
            quoted(path)
        )
    })
}

fn said(path: &str, error: &std::io::Error) -> String {
    format!("{}: {error}", quoted(path))
}

fn list(roots: &Roots, args: ListArgs) -> Outcome {
    let folder = locate(roots, &args.path)?;
    let mut text = String::new();
    let mut shown = 0;
    let more = walk(&folder, args.depth, |found| {
        shown += 1;
        if shown <= LISTED_MAX {
            let mark = if found.kind.is_dir() {
                "/"
            } else if found.kind.is_symlink() {
                "@"
            } else {
                ""
            };
            text.push_str(&format!("{}{mark}\n", found.name));
        }
        shown <= LISTED_MAX
    });
    if more.map_err(|error| said(&args.path, &error))? {
        text.push_str("[there is more: list a folder in it]\n");
    }
    Ok(if text.is_empty() { "(empty)".to_owned() } else { text })
}

/// The text of a file; one that is no plain file, too long or no text is refused.
pub(super) fn text_of(path: &Path, name: &str) -> Outcome {
    // A pipe would be waited for before it could be looked at.
    let plain = fs::metadata(path).map_err(|error| said(name, &error))?.is_file();
    if !plain {
        return Err(format!("{} is no plain file", quoted(name)));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| said(name, &error))?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| said(name, &error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{} is longer than {} MiB", quoted(name), FILE_BYTES_MAX / (1024 * 1024)));
    }
    String::from_utf8(bytes).map_err(|_| format!("{} is no text in UTF-8", quoted(name)))
}

fn read_file(roots: &Roots, args: &ReadArgs) -> Outcome {
    let text = text_of(&locate(roots, &args.path)?, &args.path)?;
    if args.from_line <= 1 && args.lines.is_none() {
        return Ok(text);
    }
    let lines = text.split_inclusive('\n').skip(args.from_line.saturating_sub(1));
    Ok(lines.take(args.lines.unwrap_or(usize::MAX)).collect())
}

fn write(roots: &Roots, args: &WriteArgs) -> Outcome {
    let path = locate(roots, &args.path)?;
    put(&path, &args.path, &args.content)?;
    Ok(format!("Wrote {} bytes to {}.", args.content.len(), quoted(&args.path)))
}

fn edit(roots: &Roots, args: &EditArgs) -> Outcome {
    let path = locate(roots, &args.path)?;
    let text = text_of(&path, &args.path)?;
    let name = quoted(&args.path);
    if args.old.is_empty() {
        return Err("`old` must not be empty".to_owned());
    }
    match text.matches(&args.old).count() {
        0 => Err(format!("{name} does not contain `old`: read the file and quote it exactly")),
        1 => {
            put(&path, &args.path, &text.replacen(&args.old, &args.new, 1))?;
            Ok(format!("Replaced one passage of {name}."))
        }
        times => Err(format!("{name} contains `old` {times} times: quote more of what is around it")),
    }
}

/// Writes beside the file first, so that a full disk leaves the old content.
fn put(path: &Path, name: &str, content: &str) -> Result<(), String> {
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("the content is longer than {} MiB", FILE_BYTES_MAX / (1024 * 1024)));
    }
    let failed = |error: std::io::Error| said(name, &error);
    let old = match fs::metadata(path) {
        Ok(old) if !old.is_file() => return Err(format!("{} is no plain file", quoted(name))),
        Ok(old) => Some(old.permissions()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let folder = path.parent().ok_or_else(|| format!("{} is no file", quoted(name)))?;
    fs::create_dir_all(folder).map_err(failed)?;
    let number = format!("{:032x}", rand::random::<u128>());
    let beside = folder.join(format!(".weir-{}", number.get(..BESIDE_CHARS).unwrap_or(&number)));
    let written = File::create_new(&beside)
        .and_then(|mut file| file.write_all(content.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| old.map_or(Ok(()), |permissions| fs::set_permissions(&beside, permissions)))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        // What cannot be taken away now is in the way of nothing.
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}
