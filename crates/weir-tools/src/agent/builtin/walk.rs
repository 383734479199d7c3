//! Walking through folders: bounded, in order, without following links.

use std::fs;
use std::path::{Path, PathBuf};

/// How many entries are looked at in one call.
const ENTRIES_MAX: usize = 20_000;

/// Something that was found.
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Relative to where the walk began, in text.
    pub(super) name: String,
    pub(super) kind: fs::FileType,
}

/// Looks at everything below `from`, `depth` folders deep, by name; stops early when `see` says so. True: there was more
/// than is looked at.
pub(super) fn walk(from: &Path, depth: usize, mut see: impl FnMut(&Found) -> bool) -> std::io::Result<bool> {
    let mut open = vec![(from.to_owned(), 1_usize)];
    let mut seen = 0_usize;
    let mut first = true;
    while let Some((folder, at)) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if first => return Err(error),
            // One folder that may not be read does not hide the others.
            Err(_) => continue,
        };
        first = false;
        let room = ENTRIES_MAX.saturating_sub(seen);
        let mut found: Vec<fs::DirEntry> = entries.filter_map(Result::ok).take(room + 1).collect();
        if found.len() > room {
            return Ok(true);
        }
        seen += found.len();
        found.sort_by_key(fs::DirEntry::file_name);
        let mut below = Vec::new();
        for entry in found {
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            let name = path.strip_prefix(from).unwrap_or(&path).to_string_lossy().into_owned();
            let found = Found { path, name, kind };
            if !see(&found) {
                return Ok(true);
            }
            if kind.is_dir() && at < depth {
                below.push((found.path, at + 1));
            }
        }
        open.extend(below.into_iter().rev());
    }
    Ok(false)
}
