//! Whether a path lies within the allowed roots, with every link on the way resolved.

use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

use weir_config::config::Tools;

/// Parts of a path that are followed; a longer one is outside.
const PARTS_MAX: usize = 256;

/// The allowed roots.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    /// Resolved, as far as they exist.
    roots: Vec<PathBuf>,
    /// weir's own files and folders, which are closed wherever the roots lie. Resolved, as far as they exist.
    own: Vec<PathBuf>,
    /// Takes the first path that was asked for and lies outside, where somebody wants to know.
    refused: Option<Arc<OnceLock<String>>>,
}

impl Roots {
    /// Resolves the roots. One that does not exist yet is kept as it is written.
    #[must_use]
    pub fn new(roots: &[PathBuf]) -> Self {
        Self { roots: resolved(roots), own: Vec::new(), refused: None }
    }

    /// The roots of a configuration, in which weir's own files are closed.
    #[must_use]
    pub fn of(tools: &Tools) -> Self {
        Self { own: resolved(&tools.own_files), ..Self::new(&tools.allowed_roots) }
    }

    /// Whether a resolved path is one of weir's own files, or in one of its own folders.
    #[must_use]
    pub fn is_own(&self, resolved: &Path) -> bool {
        self.own.iter().any(|own| resolved.starts_with(own))
    }

    /// Whether weir's own files lie somewhere below a path, as a tool is given it: what takes a folder as a whole would
    /// take them along.
    #[must_use]
    pub fn hold_own_below(&self, path: &str) -> bool {
        !self.own.is_empty()
            && self.locate(path).is_some_and(|folder| self.own.iter().any(|own| own.starts_with(&folder)))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// Where a relative path starts: at the first root.
    #[must_use]
    pub fn base(&self) -> Option<&Path> {
        self.roots.first().map(PathBuf::as_path)
    }

    /// Whether a path, as a tool is given it, lies within one of the roots once its links are resolved. A relative one
    /// starts at the first root; one in another's home, through a link that leads nowhere, or of weir's own lies outside.
    #[must_use]
    pub fn contain(&self, path: &str) -> bool {
        let inside = self.locate(path).is_some();
        if let Some(refused) = self.refused.as_ref().filter(|_| !inside) {
            // The first is kept.
            let _ = refused.set(path.to_owned());
        }
        inside
    }

    /// The same roots, which note the first path that they refuse.
    pub(super) fn noting(&self, refused: &Arc<OnceLock<String>>) -> Self {
        Self { refused: Some(Arc::clone(refused)), ..self.clone() }
    }

    /// The same roots, and the folder that holds a path outside of them. `None`: the path is weir's own, or leads nowhere.
    pub(super) fn opened_for(&self, path: &str) -> Option<Self> {
        let resolved = self.resolved(path)?;
        let folder = resolved.parent().filter(|_| !self.is_own(&resolved))?.to_owned();
        let mut opened = self.clone();
        opened.roots.push(folder);
        Some(opened)
    }

    /// The resolved path, if it lies within one of the roots.
    #[must_use]
    pub fn locate(&self, path: &str) -> Option<PathBuf> {
        let resolved = self.resolved(path)?;
        let inside = self.roots.iter().any(|root| resolved.starts_with(root)) && !self.is_own(&resolved);
        inside.then_some(resolved)
    }

    fn resolved(&self, path: &str) -> Option<PathBuf> {
        let path = path.strip_prefix("file://").unwrap_or(path);
        if path.contains('\0') {
            return None;
        }
        let path = match path.strip_prefix('~') {
            None => PathBuf::from(path),
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                PathBuf::from(std::env::var_os("HOME")?).join(rest.trim_start_matches('/'))
            }
            Some(_) => return None,
        };
        resolve(&self.base()?.join(path))
    }
}

fn resolved(paths: &[PathBuf]) -> Vec<PathBuf> {
    let absolute = |path: &PathBuf| std::path::absolute(path).ok();
    paths.iter().filter_map(absolute).map(|path| resolve(&path).unwrap_or(path)).collect()
}

/// Follows an absolute path part by part as the kernel does: a link is resolved before `..` is taken of it. What does not
/// exist has no links. `None`: a link that leads nowhere, or too many parts.
fn resolve(path: &Path) -> Option<PathBuf> {
    let mut resolved = PathBuf::new();
    for (count, part) in path.components().enumerate() {
        if count >= PARTS_MAX {
            return None;
        }
        match part {
            Component::Prefix(_) | Component::RootDir => resolved.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                resolved.pop();
            }
            Component::Normal(name) => {
                resolved.push(name);
                if resolved.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
                    resolved = resolved.canonicalize().ok()?;
                }
            }
        }
    }
    Some(resolved)
}
