//! Rule files on the disk: which ones a list of files and folders means, and their texts.
//!
//! Folders stand for the `*.yaml` and `*.yml` below them, by path. Order is that of the list.

use std::fs::{self, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use weir_core::words::size;

/// How large one rule file may be, in bytes: above what a hundred thousand rules take.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How deep folders may lie in folders. A loop of symbolic links ends here.
const FOLDER_DEPTH_MAX: usize = 32;

/// What a listed path that does not exist means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// In a configuration: a folder is an empty one, with a warning; a file is an error.
    FolderIsEmpty,
    /// On the command line: always an error, since `weir rules apply ./ruels` must not empty the store.
    IsError,
}

/// The files that a list means.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Every file, in order, once.
    pub files: Vec<PathBuf>,
    /// Listed folders that do not exist and count as empty.
    pub absent_folders: Vec<PathBuf>,
}

/// A listed path could not be read.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {error}", path.display())]
pub struct Unreadable {
    /// The path as it was listed, or the one below it.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

/// Expands files and folders to files, and says which paths cannot be read: a listed file that does not exist, a folder
/// that cannot be walked.
pub fn list(paths: &[PathBuf], absent: Absent) -> (Listing, Vec<Unreadable>) {
    let mut listing = Listing::default();
    let mut unreadable = Vec::new();
    for path in paths {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                let before = listing.files.len();
                walk(path, 0, &mut listing.files, &mut unreadable);
                if let Some(added) = listing.files.get_mut(before..) {
                    added.sort();
                }
            }
            Ok(_) => listing.files.push(path.clone()),
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && absent == Absent::FolderIsEmpty
                    && !is_rule_file(path) =>
            {
                listing.absent_folders.push(path.clone());
            }
            Err(error) => unreadable.push(Unreadable { path: path.clone(), error }),
        }
    }
    keep_first(&mut listing.files);
    (listing, unreadable)
}

/// A file that is listed beside its folder is read once.
fn keep_first(files: &mut Vec<PathBuf>) {
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
}

fn is_rule_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Hidden entries are left out: a mounted ConfigMap keeps its files a second time below `..data`.
fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>, unreadable: &mut Vec<Unreadable>) {
    if depth > FOLDER_DEPTH_MAX {
        let why = format!("folders lie more than {FOLDER_DEPTH_MAX} deep; is there a loop of links?");
        unreadable.push(Unreadable { path: folder.to_owned(), error: io::Error::other(why) });
        return;
    }
    let entries = match visible_entries(folder) {
        Ok(entries) => entries,
        Err(error) => return unreadable.push(Unreadable { path: folder.to_owned(), error }),
    };
    for path in entries {
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => walk(&path, depth + 1, files, unreadable),
            Ok(found) if found.is_file() && is_rule_file(&path) => files.push(path),
            Ok(_) => {}
            Err(error) if is_rule_file(&path) => unreadable.push(Unreadable { path, error }),
            Err(_) => {}
        }
    }
}

fn visible_entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// Reads a text file.
///
/// # Errors
/// It is not there, too large, or not UTF-8.
pub fn read(path: &Path) -> Result<String, Unreadable> {
    let attempt = || {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("larger than {}", size(FILE_BYTES_MAX))));
        }
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            io::Error::new(io::ErrorKind::InvalidData, format!("not UTF-8 at byte {at}"))
        })
    };
    attempt().map_err(|error| Unreadable { path: path.to_owned(), error })
}

/// What tells one state of a file from another without reading it. Any write moves the change time, which no
/// program can set; replacing the file by another moves the inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    path: PathBuf,
    state: Option<[i64; 6]>,
}

impl Stamp {
    /// The file's present state; a file that is not there has one too.
    pub fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), state: fs::metadata(path).ok().map(|found| state(&found)) }
    }

    /// When the file last changed, in seconds since the epoch.
    pub fn changed_at(&self) -> Option<i64> {
        self.state.map(|[.., seconds, _]| seconds)
    }
}

#[cfg(unix)]
fn state(found: &Metadata) -> [i64; 6] {
    use std::os::unix::fs::MetadataExt as _;
    let whole = |n: u64| i64::from_ne_bytes(n.to_ne_bytes());
    [
        whole(found.dev()),
        whole(found.ino()),
        whole(found.size()),
        found.mtime(),
        found.ctime(),
        found.ctime_nsec(),
    ]
}

#[cfg(test)]
mod tests;
