//! The rules as a book that is written, read back and looked up: what the admin API and `weir rules …` share.
//!
//! Whoever writes gives a whole set or one rule. The set is loaded as `weir check` would load it; one with errors is
//! refused and the old one stays. What is stored is the text as it was given where that is possible, so that comments
//! survive; a set from several files and the edit of one rule are written out anew where that is not possible.

mod draft;
mod edit;
mod error;
mod loading;
mod summary;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use weir_core::clock::SharedClock;
use weir_rules::{
    ActiveRules, Change, Diagnostic, LiveRules, LoadOptions, Loaded, RuleChange, RuleSet, SourceFile,
    Stopped, diff, diff_values,
};
use weir_store::database::{RulesVersion, RulesWrite, StoredStop};
use weir_store::{Database, ErrorKind, StoreError};

pub use self::draft::{Draft, Example, RuleText, Saved};
pub use self::error::ApplyError;

use self::edit::Edit;
pub(crate) use self::loading::blocking;
use self::loading::{diagnostics, load_stored, stored_file};

/// The name that diagnostics give to rules that come from the store.
pub const STORED_NAME: &str = "rules.yaml";
/// How often the edit of one rule is tried again when another writer was faster.
const EDIT_TRIES: usize = 8;

/// Where the rules are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Master {
    /// In these files and folders, with an editor; the store keeps their history.
    Files(Vec<PathBuf>),
    /// In the store, through this book.
    Store,
}

/// A set that was put in force.
#[derive(Clone, Debug, Serialize)]
pub struct Applied {
    /// Its number.
    pub epoch: u64,
    /// What it changed, rule by rule.
    pub changes: Vec<Change>,
    /// What is doubtful about it.
    pub warnings: Vec<Diagnostic>,
}

impl Applied {
    /// The same with the warnings of one rule alone: who wrote that rule has not asked about the others.
    fn about(mut self, rule: &str) -> Self {
        self.warnings.retain(|warning| warning.rule.as_deref() == Some(rule));
        self
    }
}

/// What a write carries beside the rules.
struct Note<'a> {
    author: &'a str,
    action: &'static str,
    expected_epoch: Option<u64>,
    /// Stands before the summary of what changed.
    prefix: String,
}

impl<'a> Note<'a> {
    fn new(author: &'a str, action: &'static str, expected_epoch: Option<u64>) -> Self {
        Self { author, action, expected_epoch, prefix: String::new() }
    }
}

/// A set and its text.
struct Candidate {
    loaded: Loaded,
    text: String,
}

/// The rules in the store.
struct Stored {
    epoch: u64,
    text: String,
    rules: RuleSet,
}

/// The book of rules. Clones share it.
#[derive(Clone)]
pub struct Rulebook {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    live: Option<Arc<LiveRules>>,
    master: Master,
    clock: SharedClock,
    /// Held from reading the store to swapping the live rules, so that an older set never replaces a newer one.
    writing: Mutex<()>,
}

impl Rulebook {
    /// The book over a store. With `live`, what is written is in force on this node at once; the other nodes
    /// follow by the feed of changes and [`Self::reload_from_store`].
    #[must_use]
    pub fn new(database: Database, live: Option<Arc<LiveRules>>, master: Master, clock: SharedClock) -> Self {
        Self { inner: Arc::new(Inner { database, live, master, clock, writing: Mutex::new(()) }) }
    }

    /// Where the rules are written.
    #[must_use]
    pub fn master(&self) -> &Master {
        &self.inner.master
    }

    /// Replaces the whole set. The text that is in force already changes nothing and makes no epoch.
    ///
    /// # Errors
    /// See [`ApplyError`]; the old set stays in force.
    pub async fn apply(
        &self,
        files: &[SourceFile],
        author: &str,
        expected_epoch: Option<u64>,
    ) -> Result<Applied, ApplyError> {
        self.must_be_master()?;
        let candidate = self.candidate(files.to_vec()).await?;
        let _writing = self.inner.writing.lock().await;
        let before = self.replaceable().await?;
        self.put_in_force(candidate, &before, &Note::new(author, "rules.apply", expected_epoch)).await
    }

    /// Puts the rule files in force where they are the master: the store keeps their history, and the epoch grows
    /// only when their text has changed. A store that cannot be used does not keep them from coming into force.
    ///
    /// # Errors
    /// `Diagnostics`: the old set stays in force.
    pub async fn install_from_files(
        &self,
        files: &[SourceFile],
        author: &str,
    ) -> Result<Applied, ApplyError> {
        let candidate = self.candidate(files.to_vec()).await?;
        let _writing = self.inner.writing.lock().await;
        // Before the rules: what is stopped must not be enforced for a moment.
        if let Err(error) = self.follow_stops().await {
            tracing::error!(%error, "which rules are stopped could not be read; those known already stay stopped");
        }
        match self.replaceable().await {
            Ok(before) => {
                self.put_in_force(candidate, &before, &Note::new(author, "rules.install", None)).await
            }
            Err(ApplyError::Store(error)) => Ok(self.install_unstored(candidate, &error)),
            Err(other) => Err(other),
        }
    }

    fn install_unstored(&self, candidate: Candidate, error: &StoreError) -> Applied {
        tracing::error!(%error, "the rules are in force, but the store could not keep their history");
        let Loaded { rules, warnings } = candidate.loaded;
        let Some(live) = &self.inner.live else { return Applied { epoch: 0, changes: Vec::new(), warnings } };
        let before = live.load();
        let changes = diff(&before.rules, &rules);
        let epoch = if changes.is_empty() { before.epoch } else { before.epoch.saturating_add(1) };
        live.swap(rules, epoch);
        Applied { epoch, changes, warnings }
    }

    /// Puts in force what the store holds: at the start, and when the feed says that the rules changed. With files
    /// as master these are only the stops.
    ///
    /// # Errors
    /// `Store`, or `Diagnostics` for a stored set that this version cannot load; the old set stays in force.
    pub async fn reload_from_store(&self) -> Result<u64, ApplyError> {
        let _writing = self.inner.writing.lock().await;
        let Some(live) = &self.inner.live else {
            return Ok(self.inner.database.rules_current().await?.epoch);
        };
        self.follow_stops().await?;
        if matches!(self.inner.master, Master::Files(_)) {
            return Ok(live.peek().epoch);
        }
        let current = self.inner.database.rules_current().await?;
        if current.epoch != live.peek().epoch {
            let loaded = self.load(vec![stored_file(current.text)]).await?;
            live.swap(loaded.rules, current.epoch);
            tracing::info!(epoch = current.epoch, "the rules of the store are in force");
        }
        Ok(current.epoch)
    }

    /// The rules in force: those of this node, or without one those of the store.
    ///
    /// # Errors
    /// `Store`, or `Diagnostics` for a stored set that this version cannot load.
    pub async fn current(&self) -> Result<Arc<ActiveRules>, ApplyError> {
        match &self.inner.live {
            Some(live) => Ok(live.load()),
            None => {
                let stored = self.stored().await?;
                Ok(Arc::new(ActiveRules::new(stored.rules, stored.epoch)))
            }
        }
    }

    /// The epoch and the text of the set in force, as a file that loads to the same rules.
    ///
    /// # Errors
    /// `Store`.
    pub async fn export(&self) -> Result<(u64, String), ApplyError> {
        let current = self.inner.database.rules_current().await?;
        match &self.inner.live {
            // Files whose history the store could not keep: what is in force is what counts.
            Some(live)
                if live.peek().epoch != current.epoch && matches!(self.inner.master, Master::Files(_)) =>
            {
                let active = live.load();
                Ok((active.epoch, active.rules.to_yaml()))
            }
            _ if current.text.is_empty() => Ok((current.epoch, RuleSet::default().to_yaml())),
            _ => Ok((current.epoch, current.text)),
        }
    }

    /// The sets that were in force, newest first, without their texts.
    ///
    /// # Errors
    /// `Store`.
    pub async fn history(&self, limit: u32) -> Result<Vec<RulesVersion>, ApplyError> {
        Ok(self.inner.database.rules_history(limit).await?)
    }

    /// One set of the history, with its text.
    ///
    /// # Errors
    /// `UnknownEpoch`, `Store`.
    pub async fn version(&self, epoch: u64) -> Result<RulesVersion, ApplyError> {
        self.inner.database.rules_version(epoch).await?.ok_or(ApplyError::UnknownEpoch(epoch))
    }

    /// Puts a set of the history in force again, under a new epoch.
    ///
    /// # Errors
    /// See [`ApplyError`]; the set in force stays.
    pub async fn rollback(
        &self,
        epoch: u64,
        author: &str,
        expected_epoch: Option<u64>,
    ) -> Result<Applied, ApplyError> {
        self.must_be_master()?;
        let version = self.version(epoch).await?;
        let text = version.text.unwrap_or_default();
        let candidate = self.candidate(vec![stored_file(text)]).await?;
        let _writing = self.inner.writing.lock().await;
        let before = self.replaceable().await?;
        let mut note = Note::new(author, "rules.rollback", expected_epoch);
        note.prefix = format!("rolled back to epoch {epoch}: ");
        self.put_in_force(candidate, &before, &note).await
    }

    /// Takes over which rules the stop-loss has stopped, on whichever node.
    async fn follow_stops(&self) -> Result<(), ApplyError> {
        let Some(live) = &self.inner.live else { return Ok(()) };
        let stored = self.inner.database.rule_stops().await?.into_iter();
        live.set_stops(
            stored
                .map(|StoredStop { stop, resumed_at, .. }| Stopped {
                    rule: stop.rule.into(),
                    version: stop.version.into(),
                    resumed: resumed_at.is_some(),
                })
                .collect(),
        );
        Ok(())
    }

    /// What the stop-loss has stopped, the newest first, those that were lifted among them.
    ///
    /// # Errors
    /// `Store`.
    pub async fn stops(&self) -> Result<Vec<StoredStop>, ApplyError> {
        Ok(self.inner.database.rule_stops().await?)
    }

    /// Enforces a rule again that the stop-loss has stopped; also where the rules are written in files. The same version
    /// is not stopped again.
    ///
    /// # Errors
    /// `UnknownRule`, `NotStopped`, and as [`Self::current`].
    pub async fn resume(&self, id: &str, author: &str) -> Result<StoredStop, ApplyError> {
        let active = self.current().await?;
        let rule = active.rules.get(id).ok_or_else(|| ApplyError::UnknownRule(id.to_owned()))?;
        let lifted = self.inner.database.rule_resume(id, &rule.version, author, self.now()).await?;
        if lifted {
            tracing::info!(rule = id, author, "a rule that the stop-loss had stopped is enforced again");
            let _writing = self.inner.writing.lock().await;
            self.follow_stops().await?;
        }
        let stops = self.stops().await?.into_iter();
        let mut of_rule =
            stops.filter(|stored| stored.stop.rule == id && *stored.stop.version == *rule.version);
        of_rule.next().filter(|_| lifted).ok_or_else(|| ApplyError::NotStopped(id.to_owned()))
    }

    /// What is wrong or doubtful about a set, which is put nowhere.
    pub async fn check(&self, files: &[SourceFile]) -> Vec<Diagnostic> {
        match self.load_given(files.to_vec()).await {
            Ok(loaded) => loaded.warnings,
            Err(ApplyError::Diagnostics(diagnostics)) => diagnostics,
            Err(_) => Vec::new(),
        }
    }

    /// What a set would change of the one in force.
    ///
    /// # Errors
    /// `Diagnostics`, `Store`.
    pub async fn compare(&self, files: &[SourceFile]) -> Result<Vec<Change>, ApplyError> {
        let loaded = self.load_given(files.to_vec()).await?;
        Ok(diff(&self.current().await?.rules, &loaded.rules))
    }

    /// One rule of the set in force, with its keys as a rule file has them.
    ///
    /// # Errors
    /// `UnknownRule`, and as [`Self::current`].
    pub async fn get(&self, id: &str) -> Result<Value, ApplyError> {
        let active = self.current().await?;
        let rule = active.rules.get(id).ok_or_else(|| ApplyError::UnknownRule(id.to_owned()))?;
        Ok(edit::to_json(rule))
    }

    /// Adds one rule at the end, and says its id. `text` is the rule alone, in YAML or JSON.
    ///
    /// # Errors
    /// `RuleExists`, and see [`ApplyError`].
    pub async fn add(
        &self,
        text: &str,
        author: &str,
        expected_epoch: Option<u64>,
    ) -> Result<(String, Applied), ApplyError> {
        let (id, edit) = self.read_rule(text).await?;
        let note = Note::new(author, "rules.add", expected_epoch);
        let applied = self.edit(Edit::Add(edit), &note).await?.about(&id);
        Ok((id, applied))
    }

    /// Puts one rule in the place of the one with this id. `text` is the rule alone, in YAML or JSON, with the same
    /// id.
    ///
    /// # Errors
    /// `UnknownRule`, and see [`ApplyError`].
    pub async fn put(
        &self,
        id: &str,
        text: &str,
        author: &str,
        expected_epoch: Option<u64>,
    ) -> Result<Applied, ApplyError> {
        let (new_id, rule) = self.read_rule(text).await?;
        if new_id != id {
            return Err(ApplyError::Diagnostics(vec![edit::other_id(id, new_id)]));
        }
        let note = Note::new(author, "rules.put", expected_epoch);
        Ok(self.edit(Edit::Replace(id.to_owned(), rule), &note).await?.about(id))
    }

    /// Removes one rule.
    ///
    /// # Errors
    /// `UnknownRule`, and see [`ApplyError`].
    pub async fn delete(
        &self,
        id: &str,
        author: &str,
        expected_epoch: Option<u64>,
    ) -> Result<Applied, ApplyError> {
        self.edit(Edit::Remove(id.to_owned()), &Note::new(author, "rules.delete", expected_epoch)).await
    }

    /// One rule that is to be stored, with its id.
    async fn read_rule(&self, text: &str) -> Result<(String, edit::NewRule), ApplyError> {
        self.must_be_master()?;
        self.read_alone(text).await
    }

    /// Loads one rule by itself, so that its diagnostics have the places of the text that was sent.
    async fn read_alone(&self, text: &str) -> Result<(String, edit::NewRule), ApplyError> {
        let loaded = self.load_given(vec![edit::alone(text)]).await.map_err(|error| match error {
            ApplyError::Diagnostics(found) => {
                ApplyError::Diagnostics(found.into_iter().map(edit::as_sent).collect())
            }
            other => other,
        })?;
        let [rule] = loaded.rules.rules() else {
            return Err(ApplyError::Diagnostics(vec![edit::not_one_rule(loaded.rules.rules().len())]));
        };
        Ok((rule.id.to_string(), edit::NewRule { text: text.to_owned(), json: edit::to_json(rule) }))
    }

    async fn edit(&self, edit: Edit, note: &Note<'_>) -> Result<Applied, ApplyError> {
        self.must_be_master()?;
        let _writing = self.inner.writing.lock().await;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.edit_once(edit.clone(), note).await {
                // Another node was faster, and the caller did not say what the edit was based on.
                Err(ApplyError::Conflict { .. }) if note.expected_epoch.is_none() && tries < EDIT_TRIES => {}
                done => return done,
            }
        }
    }

    async fn edit_once(&self, edit: Edit, note: &Note<'_>) -> Result<Applied, ApplyError> {
        let before = self.stored().await?;
        if let Some(expected) = note.expected_epoch.filter(|expected| *expected != before.epoch) {
            tracing::debug!(
                expected,
                current = before.epoch,
                "an edit was based on rules that are not in force"
            );
            return Err(ApplyError::Conflict { current: before.epoch, expected: note.expected_epoch });
        }
        let options = self.load_options();
        let (before, candidate) = blocking(move || {
            let candidate = edit::apply(&before.text, &before.rules, &edit, &options);
            (before, candidate)
        })
        .await;
        let based = Note { expected_epoch: Some(before.epoch), prefix: String::new(), ..*note };
        self.put_in_force(candidate?, &before, &based).await
    }

    /// Stores a set, notes who did it, and swaps the live rules. The caller holds `writing`.
    async fn put_in_force(
        &self,
        candidate: Candidate,
        before: &Stored,
        note: &Note<'_>,
    ) -> Result<Applied, ApplyError> {
        if note.expected_epoch.is_some_and(|expected| expected != before.epoch) {
            return Err(ApplyError::Conflict { current: before.epoch, expected: note.expected_epoch });
        }
        let Candidate { loaded: Loaded { rules, warnings }, text } = candidate;
        let detailed = diff_values(&before.rules, &rules);
        let epoch = if before.epoch > 0 && text == before.text {
            before.epoch
        } else {
            self.store(&text, &detailed, note).await?
        };
        let changes = detailed.into_iter().map(|rule| rule.change).collect();
        if let Some(live) = &self.inner.live {
            live.swap(rules, epoch);
        }
        Ok(Applied { epoch, changes, warnings })
    }

    async fn store(&self, text: &str, changes: &[RuleChange], note: &Note<'_>) -> Result<u64, ApplyError> {
        let rules: Vec<Change> = changes.iter().map(|rule| rule.change.clone()).collect();
        let summary = format!("{}{}", note.prefix, summary::of(&rules));
        let write = RulesWrite {
            text,
            summary: &summary,
            changes: json!(changes),
            author: note.author,
            action: Some(note.action),
            at: self.now(),
            expected_epoch: note.expected_epoch,
        };
        let epoch = match self.inner.database.rules_write(&write).await {
            Ok(epoch) => epoch,
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let current = self.inner.database.rules_current().await?.epoch;
                return Err(ApplyError::Conflict { current, expected: note.expected_epoch });
            }
            Err(error) => return Err(error.into()),
        };
        tracing::info!(epoch, author = note.author, summary, "the rules have changed");
        Ok(epoch)
    }

    fn must_be_master(&self) -> Result<(), ApplyError> {
        match &self.inner.master {
            Master::Store => Ok(()),
            Master::Files(files) => Err(ApplyError::FilesAreMaster(files.clone())),
        }
    }

    /// What the store holds.
    async fn stored(&self) -> Result<Stored, ApplyError> {
        let current = self.inner.database.rules_current().await?;
        let loaded = self.load(vec![stored_file(current.text.clone())]).await?;
        Ok(Stored { epoch: current.epoch, text: current.text, rules: loaded.rules })
    }

    /// What the store holds, to be replaced as a whole: a set that this version cannot load counts as empty.
    async fn replaceable(&self) -> Result<Stored, ApplyError> {
        match self.stored().await {
            Err(ApplyError::Diagnostics(found)) => {
                let current = self.inner.database.rules_current().await?;
                tracing::warn!(
                    epoch = current.epoch,
                    errors = found.len(),
                    "the stored rules cannot be loaded"
                );
                Ok(Stored { epoch: current.epoch, text: current.text, rules: RuleSet::default() })
            }
            other => other,
        }
    }

    async fn candidate(&self, files: Vec<SourceFile>) -> Result<Candidate, ApplyError> {
        let options = self.load_options();
        blocking(move || {
            let loaded = weir_rules::load(&files, &options).map_err(diagnostics)?;
            let text = edit::join(&files, &loaded.rules, &options);
            Ok(Candidate { loaded, text })
        })
        .await
    }

    async fn load(&self, files: Vec<SourceFile>) -> Result<Loaded, ApplyError> {
        let options = self.load_options();
        blocking(move || load_stored(&files, &options)).await
    }

    /// Loads what somebody sent, which must be a rule file even if it is empty.
    async fn load_given(&self, files: Vec<SourceFile>) -> Result<Loaded, ApplyError> {
        let options = self.load_options();
        blocking(move || weir_rules::load(&files, &options).map_err(diagnostics)).await
    }

    fn load_options(&self) -> LoadOptions {
        LoadOptions { now: self.now() }
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }
}
