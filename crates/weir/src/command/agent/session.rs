//! Sessions of `weir agent`, kept so that they can be resumed: each is a file that only this account can read, below
//! `data_dir`. What was said is in it, which is never in the store.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use weir_config::config::SESSIONS;
use weir_core::Timestamp;
use weir_core::clock::Clock as _;
use weir_core::tool::quoted;
use weir_store::clock::SystemClock;
use weir_tools::agent::{History, Keeper};

use crate::exit::{Failure, say};

/// How large a session may be, in bytes. One that grows beyond it stays as it was kept last.
const SESSION_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a session is kept after its last turn.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// How many sessions are kept; the oldest give way.
const SESSIONS_MAX: usize = 200;

/// What a session's id begins with.
const PREFIX: &str = "agent-";

/// How many characters follow.
const ID_CHARS: usize = 32;

/// The form of the file.
const VERSION: u32 = 1;

/// A session as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    version: u32,
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// The channel of its calls, whose ceiling holds.
    pub channel: String,
    /// The model that was asked.
    pub model: String,
    updated_at: Timestamp,
    /// What was said.
    pub history: History,
}

/// A session that is open: nobody else can resume it meanwhile.
pub struct Session {
    folder: PathBuf,
    id: String,
    user: String,
    channel: String,
    model: String,
    told: AtomicBool,
    /// Locked until this is dropped.
    _lock: File,
}

/// A fresh id.
pub fn new_id() -> String {
    format!("{PREFIX}{:032x}", rand::random::<u128>())
}

fn is_id(id: &str) -> bool {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    id.strip_prefix(PREFIX).is_some_and(|rest| rest.len() == ID_CHARS && rest.bytes().all(is_hex))
}

impl Session {
    /// Opens a new session.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn begin(data_dir: &Path, id: &str, user: &str, channel: &str, model: &str) -> Result<Self, Failure> {
        let folder = data_dir.join(SESSIONS);
        let failed = |error| Failure::dependency(format_args!("sessions in `{}`", folder.display()), error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        forget_old(&folder);
        let lock = lock_file(&folder, id, true).map_err(failed)?;
        lock.try_lock().map_err(|error| failed(io::Error::other(error.to_string())))?;
        Ok(Self {
            folder,
            id: id.to_owned(),
            user: user.to_owned(),
            channel: channel.to_owned(),
            model: model.to_owned(),
            told: AtomicBool::new(false),
            _lock: lock,
        })
    }

    /// Opens a session that was kept, for its user.
    ///
    /// # Errors
    /// There is none of this user, somebody is at it, or its file cannot be read. The file stays as it is.
    pub fn resume(data_dir: &Path, id: &str, user: &str) -> Result<(Self, Kept), Failure> {
        let unknown =
            || Failure::No(format!("there is no session {} of user {} here", quoted(id), quoted(user)));
        if !is_id(id) {
            return Err(unknown());
        }
        let folder = data_dir.join(SESSIONS);
        let file = file_of(&folder, id);
        let cannot = |said: String| {
            Failure::No(format!(
                "the session's file `{}` cannot be used: {said}; it is left as it is",
                file.display()
            ))
        };
        if !file.exists() {
            return Err(unknown());
        }
        // To open a pipe or a device is to wait for it.
        for path in [&file, &folder.join(format!("{id}.lock"))] {
            if path.exists() && !path.is_file() {
                return Err(cannot(format!("`{}` is no plain file", path.display())));
            }
        }
        let lock = lock_file(&folder, id, true).map_err(|error| cannot(error.to_string()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::No(format!(
                    "session {} is in use: another `weir agent` is at it",
                    quoted(id)
                )));
            }
            Err(TryLockError::Error(error)) => return Err(cannot(error.to_string())),
        }
        let bytes = read(&file).map_err(|error| cannot(error.to_string()))?;
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| {
            // The reader's words may quote what was said.
            cannot(format!("it is damaged (line {}, column {})", error.line(), error.column()))
        })?;
        if kept.version != VERSION || kept.id != id {
            return Err(cannot("it is of another version or another session".to_owned()));
        }
        if kept.user != user {
            return Err(unknown());
        }
        let (id, user, channel, model) =
            (kept.id.clone(), kept.user.clone(), kept.channel.clone(), kept.model.clone());
        Ok((Self { folder, id, user, channel, model, told: AtomicBool::new(false), _lock: lock }, kept))
    }

    /// The model that is asked from now on.
    pub fn set_model(&mut self, model: &str) {
        model.clone_into(&mut self.model);
    }

    fn write(&self, history: &History) -> io::Result<()> {
        let kept = Kept {
            version: VERSION,
            id: self.id.clone(),
            user: self.user.clone(),
            channel: self.channel.clone(),
            model: self.model.clone(),
            updated_at: SystemClock.now(),
            history: history.clone(),
        };
        let text = serde_json::to_vec(&kept)?;
        if text.len() > SESSION_BYTES_MAX {
            return Err(io::Error::other(format!(
                "it is longer than {} MiB",
                SESSION_BYTES_MAX / (1024 * 1024)
            )));
        }
        // Written beside it first, so that a full disk leaves what was kept before.
        let beside = self.folder.join(format!("{}.new", self.id));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&text)?;
        file.sync_data()?;
        fs::rename(&beside, file_of(&self.folder, &self.id))
    }
}

impl Keeper for Session {
    fn keep(&self, history: &History) {
        if let Err(error) = self.write(history)
            && !self.told.swap(true, Ordering::Relaxed)
        {
            say(format_args!("warning: the session is not kept from here on: {error}"));
        }
    }
}

fn file_of(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.json"))
}

fn lock_file(folder: &Path, id: &str, create: bool) -> io::Result<File> {
    let path = folder.join(format!("{id}.lock"));
    OpenOptions::new().write(true).create(create).truncate(false).mode(0o600).open(path)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = SESSION_BYTES_MAX as u64;
    File::open(file)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() > SESSION_BYTES_MAX {
        return Err(io::Error::other("it is too long"));
    }
    Ok(bytes)
}

/// Removes sessions that are too old or too many. One that somebody is at stays, and so does what cannot be removed.
fn forget_old(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut sessions: Vec<(SystemTime, String)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            // A turn that was killed before its first words leaves a lock and no session.
            let id = name.strip_suffix(".json").or_else(|| name.strip_suffix(".lock"))?;
            is_id(id).then_some((entry.metadata().ok()?.modified().ok()?, id.to_owned()))
        })
        .collect();
    sessions.sort_by(|a, b| b.cmp(a));
    let mut seen = std::collections::BTreeSet::new();
    sessions.retain(|(_, id)| seen.insert(id.clone()));
    let oldest = SystemTime::from(SystemClock.now()).checked_sub(KEPT).unwrap_or(SystemTime::UNIX_EPOCH);
    for (place, (at, id)) in sessions.iter().enumerate() {
        if place < SESSIONS_MAX && *at >= oldest {
            continue;
        }
        let Ok(lock) = lock_file(folder, id, false) else { continue };
        if lock.try_lock().is_ok() {
            for end in ["json", "new", "lock"] {
                // What is not there need not be removed.
                let _ = fs::remove_file(folder.join(format!("{id}.{end}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use weir_tools::agent::Api;

    fn history(text: &str) -> History {
        History {
            api: Api::Messages,
            items: vec![serde_json::json!({"role": "user", "content": text})],
            waiting: Vec::new(),
        }
    }

    fn said(result: Result<(Session, Kept), Failure>) -> String {
        match result {
            Ok(_) => panic!("it was resumed"),
            Err(Failure::No(said)) => said,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_session_is_its_users_alone_and_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let id = new_id();
        let session = Session::begin(folder.path(), &id, "ada", "web", "m").unwrap();
        session.keep(&history("hello"));
        let file = folder.path().join(SESSIONS).join(format!("{id}.json"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(said(Session::resume(folder.path(), &id, "ada")).contains("in use"));
        drop(session);
        assert!(said(Session::resume(folder.path(), &id, "bob")).contains("there is no session"));
        let (session, kept) = Session::resume(folder.path(), &id, "ada").unwrap();
        assert_eq!(
            (kept.channel.as_str(), kept.model.as_str(), &kept.history),
            ("web", "m", &history("hello"))
        );
        assert!(said(Session::resume(folder.path(), &id, "ada")).contains("in use"));
        drop(session);
        for id in ["agent-x", "../admin-token", "", &new_id(), &id.to_uppercase()] {
            assert!(said(Session::resume(folder.path(), id, "ada")).contains("there is no session"), "{id}");
        }
    }

    #[test]
    fn a_damaged_file_is_told_without_its_words_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let id = new_id();
        Session::begin(folder.path(), &id, "ada", "web", "m").unwrap().keep(&history("secret words"));
        let file = folder.path().join(SESSIONS).join(format!("{id}.json"));
        let whole = fs::read_to_string(&file).unwrap();
        for damaged in [
            whole[..whole.len() / 2].to_owned(),
            "{}".to_owned(),
            String::new(),
            whole.replace("\"version\":1", "\"version\":9"),
        ] {
            fs::write(&file, &damaged).unwrap();
            let said = said(Session::resume(folder.path(), &id, "ada"));
            assert!(said.contains("left as it is") && !said.contains("secret"), "{said}");
            assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
        }
        fs::write(&file, whole).unwrap();
        assert!(Session::resume(folder.path(), &id, "ada").is_ok());
    }

    #[test]
    fn what_is_no_plain_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let id = new_id();
        let at = folder.path().join(SESSIONS);
        fs::create_dir_all(&at).unwrap();
        for end in ["json", "lock"] {
            fs::write(at.join(format!("{id}.json")), "{}").unwrap();
            let file = at.join(format!("{id}.{end}"));
            drop(fs::remove_file(&file));
            assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
            let said = said(Session::resume(folder.path(), &id, "ada"));
            assert!(said.contains("no plain file"), "{end}: {said}");
            fs::remove_file(&file).unwrap();
        }
    }

    #[test]
    fn sessions_are_bounded_in_size_number_and_age() {
        let folder = tempfile::tempdir().unwrap();
        let id = new_id();
        let session = Session::begin(folder.path(), &id, "ada", "web", "m").unwrap();
        session.keep(&history("small"));
        session.keep(&history(&"x".repeat(SESSION_BYTES_MAX)));
        drop(session);
        let (open, kept) = Session::resume(folder.path(), &id, "ada").unwrap();
        assert_eq!(kept.history, history("small"));
        let at = folder.path().join(SESSIONS);
        let count = || {
            fs::read_dir(&at)
                .unwrap()
                .filter(|e| e.as_ref().unwrap().path().extension().unwrap() == "json")
                .count()
        };
        for _ in 0..SESSIONS_MAX + 3 {
            let id = new_id();
            fs::write(at.join(format!("{id}.json")), "{}").unwrap();
            fs::write(at.join(format!("{id}.lock")), "").unwrap();
        }
        let aged = new_id();
        for end in ["json", "lock"] {
            let file = File::create(at.join(format!("{aged}.{end}"))).unwrap();
            file.set_modified(SystemTime::from(SystemClock.now()) - KEPT - Duration::from_secs(60)).unwrap();
        }
        drop(Session::begin(folder.path(), &new_id(), "ada", "web", "m").unwrap());
        assert!(count() <= SESSIONS_MAX + 1, "{}", count());
        assert!(!at.join(format!("{aged}.json")).exists());
        assert!(at.join(format!("{id}.json")).exists(), "one that is open stays");
        drop(open);
    }
}
