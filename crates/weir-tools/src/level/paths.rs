//! Whether a path lies within the allowed roots, with every link on the way resolved.

use std::path::{Component, Path, PathBuf};

/// Parts of a path that are followed; a longer one is outside.
const PARTS_MAX: usize = 256;

/// The allowed roots.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    /// Resolved, as far as they exist.
    roots: Vec<PathBuf>,
}

impl Roots {
    /// Resolves the roots. One that does not exist yet is kept as it is written.
    #[must_use]
    pub fn new(roots: &[PathBuf]) -> Self {
        let absolute = |root: &PathBuf| std::path::absolute(root).ok();
        let roots = roots.iter().filter_map(absolute).map(|root| resolve(&root).unwrap_or(root)).collect();
        Self { roots }
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
    /// starts at the first root; one in another's home, or through a link that leads nowhere, lies outside.
    #[must_use]
    pub fn contain(&self, path: &str) -> bool {
        self.locate(path).is_some()
    }

    /// The resolved path, if it lies within one of the roots.
    #[must_use]
    pub fn locate(&self, path: &str) -> Option<PathBuf> {
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
        let resolved = resolve(&self.base()?.join(path))?;
        self.roots.iter().any(|root| resolved.starts_with(root)).then_some(resolved)
    }
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
