//! The administrator's token: the configuration's, else one that is made once and kept in the data folder.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use weir_core::secret::Secret;

/// How many random bytes a made token has.
const RANDOM_BYTES: usize = 32;

/// A token and where it comes from.
pub struct AdminToken {
    /// The token.
    pub token: Secret,
    /// The file it is kept in, unless the configuration gives it.
    pub file: Option<PathBuf>,
    /// Whether this start made it, so that it is to be shown, once.
    pub made: bool,
}

/// Takes the configuration's token, else the one in the data folder, which is made if there is none.
///
/// # Errors
/// The file cannot be read or written.
pub fn obtain(configured: Option<&Secret>, data_dir: &Path) -> io::Result<AdminToken> {
    if let Some(token) = configured {
        return Ok(AdminToken { token: token.clone(), file: None, made: false });
    }
    let file = data_dir.join("admin-token");
    match create(&file) {
        Ok(token) => Ok(AdminToken { token, file: Some(file), made: true }),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let text = fs::read_to_string(&file)?;
            let token = text.trim();
            if token.is_empty() {
                return Err(io::Error::other("the file is empty: remove it, and a new token is made"));
            }
            Ok(AdminToken { token: Secret::from(token), file: Some(file), made: false })
        }
        Err(error) => Err(error),
    }
}

/// Writes a fresh token to a file that is not there yet, whole and for its owner only.
fn create(file: &Path) -> io::Result<Secret> {
    if file.exists() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let token = fresh();
    let beside = file.with_file_name(format!("admin-token.{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&beside).and_then(|mut f| {
        writeln!(f, "{token}")?;
        f.sync_all()?;
        // A link fails when the file is there already: of two starts at once, one makes the token.
        fs::hard_link(&beside, file)
    });
    let _ = fs::remove_file(&beside);
    written.map(|()| Secret::from(token))
}

fn fresh() -> String {
    let bytes: [u8; RANDOM_BYTES] = rand::random();
    let mut token = String::from("weir-admin-");
    for byte in bytes {
        token.push_str(&format!("{byte:02x}"));
    }
    token
}

#[cfg(test)]
mod tests {
    use weir_core::secret::expose;

    use super::*;

    #[test]
    fn a_token_is_made_once_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let first = obtain(None, folder.path()).unwrap();
        let second = obtain(None, folder.path()).unwrap();
        assert!(first.made && !second.made);
        assert_eq!(expose(&first.token), expose(&second.token));
        assert_eq!(expose(&first.token).len(), "weir-admin-".len() + 64);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(first.file.unwrap()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn the_configurations_token_wins_and_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let token = obtain(Some(&Secret::from("t")), folder.path()).unwrap();
        assert_eq!(expose(&token.token), "t");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_empty_file_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("admin-token"), "\n").unwrap();
        assert!(obtain(None, folder.path()).is_err());
    }
}
