//! Whether the files that weir was started from have changed, by content.
//!
//! File events miss a rename over the file and the switched links of a mounted ConfigMap, so the files are looked
//! at once a second. They are read again only when their state on the disk differs, or is so young that a second
//! write could hide behind it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use weir_core::Timestamp;

use crate::files::{self, Absent, Stamp};

/// How old a file's last change must be, in seconds, before an equal state proves an equal content: change times
/// are as coarse as the system's tick, on a network file system as coarse as a second.
const SETTLED_S: i64 = 2;

/// What is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// The configuration and the files it reads.
    pub files: Vec<PathBuf>,
    /// Rule files and folders, as listed.
    pub rules: Vec<PathBuf>,
}

/// The content that was last seen.
#[derive(Debug, Default)]
pub struct Watch {
    watched: Watched,
    stamps: Vec<Stamp>,
    content: BTreeMap<PathBuf, Content>,
}

/// SHA-256 of a file's text, or of the reason why it has none.
type Content = [u8; 32];

impl Watch {
    /// Watches these from now on. Call it before they are loaded, so that no change can fall between. What was
    /// watched before keeps the content that was seen.
    pub fn set(&mut self, watched: Watched) {
        let mut before = std::mem::take(&mut self.content);
        for path in paths(&watched) {
            let content = before.remove(&path).unwrap_or_else(|| content(&path));
            self.content.insert(path, content);
        }
        self.watched = watched;
        self.stamps.clear();
    }

    /// Whether the content differs from what was seen last; what is seen now is the last from then on.
    pub fn changed(&mut self, now: Timestamp) -> bool {
        let paths = paths(&self.watched);
        let stamps: Vec<Stamp> = paths.iter().map(|path| Stamp::of(path)).collect();
        if stamps == self.stamps && settled(&stamps, now) {
            return false;
        }
        self.stamps = stamps;
        let seen: BTreeMap<PathBuf, Content> = paths.into_iter().map(with_content).collect();
        let changed = seen != self.content;
        self.content = seen;
        changed
    }
}

fn settled(stamps: &[Stamp], now: Timestamp) -> bool {
    let youngest = stamps.iter().filter_map(Stamp::changed_at).max();
    youngest.is_none_or(|at| now.as_second() - at > SETTLED_S)
}

fn paths(watched: &Watched) -> Vec<PathBuf> {
    let mut paths = watched.files.clone();
    match files::list(&watched.rules, Absent::FolderIsEmpty) {
        Ok(listing) => paths.extend(listing.files),
        // Watched as they are: when they come to be readable, that is a change.
        Err(unreadable) => paths.extend(unreadable.into_iter().map(|u| u.path)),
    }
    paths
}

fn with_content(path: PathBuf) -> (PathBuf, Content) {
    let content = content(&path);
    (path, content)
}

fn content(path: &Path) -> Content {
    let mut hasher = Sha256::new();
    match files::read(path) {
        Ok(text) => hasher.update(text),
        Err(unreadable) => hasher.update(format!("unreadable: {unreadable}")),
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn now() -> Timestamp {
        use weir_core::clock::Clock as _;
        weir_store::clock::SystemClock.now()
    }

    fn later() -> Timestamp {
        now() + jiff::SignedDuration::from_secs(3600)
    }

    #[test]
    fn only_a_change_of_content_counts() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules");
        let file = folder.path().join("weir.yaml");
        fs::create_dir(&rules).unwrap();
        fs::write(&file, "a").unwrap();
        let mut watch = Watch::default();
        watch.set(Watched { files: vec![file.clone()], rules: vec![rules.clone()] });
        assert!(!watch.changed(now()));

        fs::write(&file, "b").unwrap();
        assert!(watch.changed(now()), "same length, same tick");
        assert!(!watch.changed(now()));

        fs::write(&file, "b").unwrap();
        assert!(!watch.changed(now()), "written again with the same text");

        fs::write(rules.join("new.yaml"), "rules: []").unwrap();
        assert!(watch.changed(now()), "a new file in a folder");
        assert!(!watch.changed(later()));

        fs::write(rules.join("notes.txt"), "x").unwrap();
        assert!(!watch.changed(later()), "no rule file");

        fs::write(folder.path().join("other"), "rules: [1]").unwrap();
        fs::rename(folder.path().join("other"), rules.join("new.yaml")).unwrap();
        assert!(watch.changed(later()), "renamed over");

        fs::remove_file(&file).unwrap();
        assert!(watch.changed(later()), "gone");
        fs::write(&file, "b").unwrap();
        assert!(watch.changed(later()), "back");
    }
}
