//! Backtests that run or ran in this process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use weir_core::{Boundary, DecisionId};
use weir_rules::Diagnostic;
use weir_rules::replay::Report;
use weir_store::Database;

use super::run::{Asked, Progress, run};

/// Backtests that run at a time: each keeps a processor busy, and up to about 200 megabytes.
pub(crate) const RUNNING_MAX: usize = 2;

/// Backtests that are remembered, those that run included. The oldest that has ended is forgotten first.
const KEPT_MAX: usize = 20;

/// Where a backtest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    /// Records are replayed.
    Running,
    /// All were.
    Done,
    /// Somebody stopped it; the report says what was seen until then.
    Stopped,
    /// The store failed.
    Failed,
}

/// One backtest.
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) started_at: Timestamp,
    pub(crate) by: String,
    pub(crate) since: Timestamp,
    pub(crate) until: Option<Timestamp>,
    pub(crate) boundary: Option<Boundary>,
    pub(crate) rules: usize,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) progress: Progress,
    ended: Mutex<Option<Ended>>,
}

#[derive(Clone)]
pub(crate) struct Ended {
    pub(crate) state: JobState,
    pub(crate) report: Option<Arc<Report>>,
    /// Why it failed, in words for the caller.
    pub(crate) error: Option<String>,
}

impl Job {
    pub(crate) fn state(&self) -> JobState {
        self.ended().as_ref().map_or(JobState::Running, |ended| ended.state)
    }

    pub(crate) fn outcome(&self) -> Option<Ended> {
        self.ended().clone()
    }

    fn ended(&self) -> MutexGuard<'_, Option<Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Too many run already.
#[derive(Debug)]
pub(crate) struct Busy;

/// The backtests of this process.
#[derive(Default)]
pub(crate) struct Jobs {
    jobs: Mutex<VecDeque<Arc<Job>>>,
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.list().iter().for_each(|job| job.progress.stop());
    }
}

impl Jobs {
    /// Starts a backtest in the background.
    pub(crate) fn start(
        &self,
        database: Database,
        asked: Asked,
        warnings: Vec<Diagnostic>,
        by: &str,
        now: Timestamp,
    ) -> Result<Arc<Job>, Busy> {
        let job = Arc::new(Job {
            id: format!("bt_{}", DecisionId::new(now, rand::random()).to_hex()),
            started_at: now,
            by: by.to_owned(),
            since: asked.since,
            until: asked.until,
            boundary: asked.boundary,
            rules: asked.rules.rules().len(),
            warnings,
            progress: Progress::default(),
            ended: Mutex::new(None),
        });
        let mut jobs = self.lock();
        if jobs.iter().filter(|job| job.state() == JobState::Running).count() >= RUNNING_MAX {
            return Err(Busy);
        }
        if jobs.len() >= KEPT_MAX
            && let Some(oldest) = jobs.iter().position(|job| job.state() != JobState::Running)
        {
            jobs.remove(oldest);
        }
        jobs.push_back(Arc::clone(&job));
        drop(jobs);
        let runs = Arc::clone(&job);
        tokio::spawn(async move {
            let ended = match run(&database, asked, &runs.progress).await {
                Ok(report) => {
                    let state = if report.complete { JobState::Done } else { JobState::Stopped };
                    Ended { state, report: Some(Arc::new(report)), error: None }
                }
                Err(error) => {
                    tracing::error!(%error, backtest = %runs.id, "a backtest could not go on");
                    let said = "the store could not be read; the log says why".to_owned();
                    Ended { state: JobState::Failed, report: None, error: Some(said) }
                }
            };
            *runs.ended() = Some(ended);
        });
        Ok(job)
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Job>> {
        self.lock().iter().find(|job| job.id == id).cloned()
    }

    /// The newest first.
    pub(crate) fn list(&self) -> Vec<Arc<Job>> {
        self.lock().iter().rev().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
