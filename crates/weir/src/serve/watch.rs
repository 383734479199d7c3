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

/// The content that was loaded last, and what has been seen since.
#[derive(Debug, Default)]
pub struct Watch {
    watched: Watched,
    stamps: Vec<Stamp>,
    loaded: Contents,
    /// Another content, seen once: it may be half-written.
    differing: Option<Contents>,
}

/// SHA-256 of a file's text, or of the reason why it has none.
type Content = [u8; 32];

type Contents = BTreeMap<PathBuf, Content>;

impl Watch {
    /// Watches these from now on. Call it before they are loaded, so that no change can fall between. What was
    /// watched before keeps the content that was seen.
    pub fn set(&mut self, watched: Watched) {
        let mut before = std::mem::take(&mut self.loaded);
        for path in paths(&watched) {
            let content = before.remove(&path).unwrap_or_else(|| content(&path));
            self.loaded.insert(path, content);
        }
        self.watched = watched;
        self.stamps.clear();
    }

    /// Takes the present content as loaded. Call it before it is.
    pub fn loading(&mut self) {
        self.loaded = contents(paths(&self.watched));
        self.differing = None;
    }

    /// Whether the content differs from what was loaded, and has been the same at two looks: an editor that writes in
    /// place leaves an empty file for a moment, and an empty configuration is a good one.
    pub fn changed(&mut self, now: Timestamp) -> bool {
        let paths = paths(&self.watched);
        let stamps: Vec<Stamp> = paths.iter().map(|path| Stamp::of(path)).collect();
        if stamps == self.stamps && settled(&stamps, now) && self.differing.is_none() {
            return false;
        }
        self.stamps = stamps;
        let seen = contents(paths);
        let differing = (seen != self.loaded).then_some(seen);
        let stable = differing.is_some() && differing == self.differing;
        self.differing = differing;
        stable
    }
}

fn contents(paths: Vec<PathBuf>) -> Contents {
    paths.into_iter().map(with_content).collect()
}

fn settled(stamps: &[Stamp], now: Timestamp) -> bool {
    let youngest = stamps.iter().filter_map(Stamp::changed_at).max();
    youngest.is_none_or(|at| now.as_second() - at > SETTLED_S)
}

fn paths(watched: &Watched) -> Vec<PathBuf> {
    let mut paths = watched.files.clone();
    let (listing, unreadable) = files::list(&watched.rules, Absent::FolderIsEmpty);
    paths.extend(listing.files);
    // Watched as they are: when they come to be readable, that is a change.
    paths.extend(unreadable.into_iter().map(|u| u.path));
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

    /// Two looks, and loading if they say so.
    fn reloads(watch: &mut Watch, now: Timestamp) -> bool {
        let at_once = watch.changed(now);
        assert!(!at_once, "what was seen once may be half-written");
        let changed = watch.changed(now);
        if changed {
            watch.loading();
        }
        changed
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
        assert!(!reloads(&mut watch, now()));

        fs::write(&file, "b").unwrap();
        assert!(reloads(&mut watch, now()), "same length, same tick");
        assert!(!reloads(&mut watch, now()));

        fs::write(&file, "b").unwrap();
        assert!(!reloads(&mut watch, now()), "written again with the same text");

        fs::write(rules.join("new.yaml"), "rules: []").unwrap();
        assert!(reloads(&mut watch, now()), "a new file in a folder");
        assert!(!reloads(&mut watch, later()));

        fs::write(rules.join("notes.txt"), "x").unwrap();
        assert!(!reloads(&mut watch, later()), "no rule file");

        fs::write(folder.path().join("other"), "rules: [1]").unwrap();
        fs::rename(folder.path().join("other"), rules.join("new.yaml")).unwrap();
        assert!(reloads(&mut watch, later()), "renamed over");

        fs::remove_file(&file).unwrap();
        assert!(reloads(&mut watch, later()), "gone");
        fs::write(&file, "b").unwrap();
        assert!(reloads(&mut watch, later()), "back");
    }

    #[test]
    fn what_is_written_in_pieces_counts_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.yaml");
        fs::write(&file, "a").unwrap();
        let mut watch = Watch::default();
        watch.set(Watched { files: vec![file.clone()], rules: Vec::new() });
        for piece in ["", "b", "bc"] {
            fs::write(&file, piece).unwrap();
            assert!(!watch.changed(now()), "{piece:?}");
        }
        assert!(watch.changed(now()));
        fs::write(&file, "").unwrap();
        assert!(!watch.changed(now()));
        fs::write(&file, "a").unwrap();
        assert!(!watch.changed(later()) && !watch.changed(later()), "back to what was loaded");
    }
}
