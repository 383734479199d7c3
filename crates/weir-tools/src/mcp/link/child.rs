//! A server over its pipes. Three tasks serve one life of it: one writes, one reads, one waits for its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use serde_json::value::RawValue;
use tokio::io::BufReader;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::backoff::Backoff;
use super::pending::{Pending, Slot};
use super::process::{ChildCommand, Process};
use super::{HANDSHAKE_DEADLINE, Handshake, Outgoing, Outlet, Trouble, WRITE_DEADLINE, Waiting};
use crate::mcp::frame::{FRAME_BYTES_MAX, Frame, IdKey, Kind, Malformed};
use crate::mcp::lines::{self, Line, Lines};
use crate::mcp::rewrite::{self, Numbers};

/// How many messages wait for a server that takes them slowly.
const INPUT_FRAMES_MAX: usize = 4;

/// How much of a server's output is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// How long what a dead server has written is still read: a program that it left behind may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Whose requests go over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// One client's: its ids are kept, and its handshake is said again after a restart.
    OneClient,
    /// Many clients', of the protocol without sessions: ids and progress tokens are made unique on the way.
    Many,
}

/// A server that is a program.
#[derive(Clone)]
pub(crate) struct ChildLink(Arc<Inner>);

struct Inner {
    name: String,
    command: ChildCommand,
    sharing: Sharing,
    /// Where go messages that belong to no request.
    general: Outlet,
    state: Mutex<State>,
    numbers: Numbers,
    handshake: std::sync::Mutex<Handshake>,
}

#[derive(Default)]
struct State {
    life: Option<Life>,
    backoff: Backoff,
}

/// One life of the server.
#[derive(Clone)]
struct Life {
    input: mpsc::Sender<Bytes>,
    pending: Pending,
    /// Ends the server.
    stop: CancellationToken,
    /// Set when the server is gone.
    over: CancellationToken,
    since: Instant,
    /// Dropping the last of these ends the server, too.
    _alive: Arc<DropGuard>,
}

impl ChildLink {
    /// A link that starts the server on first use. `name` is for the log.
    pub(crate) fn new(name: String, command: ChildCommand, sharing: Sharing, general: Outlet) -> Self {
        Self(Arc::new(Inner {
            name,
            command,
            sharing,
            general,
            state: Mutex::default(),
            numbers: Numbers::default(),
            handshake: std::sync::Mutex::default(),
        }))
    }

    /// Starts the server now.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) async fn start(&self) -> Result<(), Trouble> {
        self.0.life(false).await.map(drop)
    }

    pub(crate) async fn begin(&self, request: Outgoing) -> Result<Waiting, Trouble> {
        let opening = request.frame.method() == Some("initialize");
        let life = self.0.life(!opening).await?;
        let (slot, frame) = self.0.open(&life.pending, request)?;
        let sent_id = frame.id().unwrap_or_default().to_owned();
        let taken_back = TakenBack { life: life.clone(), id: sent_id, slot };
        send(&life, frame.bytes().clone()).await?;
        if life.over.is_cancelled() {
            // It died after the look and before the place was taken: nobody else would tell.
            return Err(Trouble::Ended);
        }
        let inner = Arc::clone(&self.0);
        Ok(async move {
            let mut waiting = taken_back;
            let answer = waiting.slot.answer().await?;
            inner.note(&frame);
            Ok(answer.into())
        }
        .boxed())
    }

    pub(crate) async fn notify(&self, frame: &Frame) -> Result<(), Trouble> {
        // A server that has died is not started for what it need not answer.
        let life = self.0.state.lock().await.life.clone();
        let life = life.filter(|life| !life.over.is_cancelled()).ok_or(Trouble::Ended)?;
        self.0.note(frame);
        send(&life, frame.bytes().clone()).await
    }

    pub(crate) async fn forget(&self, id: &IdKey) {
        if let Some(life) = &self.0.state.lock().await.life {
            life.pending.forget(id);
        }
    }

    pub(crate) async fn close(&self) {
        let life = self.0.state.lock().await.life.take();
        let Some(life) = life else { return };
        life.stop.cancel();
        life.over.cancelled().await;
    }
}

async fn send(life: &Life, bytes: Bytes) -> Result<(), Trouble> {
    match tokio::time::timeout(WRITE_DEADLINE, life.input.send(bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Trouble::Ended),
        Err(_) => Err(Trouble::Stuck),
    }
}

/// A request that waits; when it is dropped unanswered the server is told to stop.
struct TakenBack {
    life: Life,
    id: String,
    slot: Slot,
}

impl Drop for TakenBack {
    fn drop(&mut self) {
        if self.slot.leave() && !self.life.over.is_cancelled() {
            // A server that takes no messages would not hear it in time either.
            let _ = self.life.input.try_send(rewrite::cancelled(&self.id));
        }
    }
}

impl Inner {
    fn note(&self, frame: &Frame) {
        if self.sharing == Sharing::OneClient {
            self.handshake.lock().unwrap_or_else(std::sync::PoisonError::into_inner).note(frame);
        }
    }

    fn open(&self, pending: &Pending, request: Outgoing) -> Result<(Slot, Frame), Trouble> {
        let asked = rewrite::asked(&request.frame);
        let sent = match self.sharing {
            Sharing::OneClient => request.frame,
            Sharing::Many => self.numbers.numbered(&request.frame),
        };
        let sent_asked = rewrite::asked(&sent);
        let sent_token = sent_asked.1.as_deref().map(IdKey::of);
        let slot = pending.open(&IdKey::of(&sent_asked.0), sent_token, asked, request.outlet)?;
        Ok((slot, sent))
    }

    /// The server, started if need be; with `again` the client's handshake is repeated to a new one.
    async fn life(self: &Arc<Self>, again: bool) -> Result<Life, Trouble> {
        let mut state = self.state.lock().await;
        if let Some(life) = state.life.take() {
            if !life.over.is_cancelled() {
                state.life = Some(life.clone());
                return Ok(life);
            }
            state.backoff.died(life.since.elapsed(), Instant::now());
        }
        if let Some(wait) = state.backoff.wait(Instant::now()) {
            return Err(Trouble::Down(wait));
        }
        match self.started(again).await {
            Ok(life) => {
                state.life = Some(life.clone());
                Ok(life)
            }
            Err(trouble) => {
                state.backoff.died(Duration::ZERO, Instant::now());
                Err(trouble)
            }
        }
    }

    async fn started(self: &Arc<Self>, again: bool) -> Result<Life, Trouble> {
        let mut process = self.command.start().map_err(|error| {
            tracing::warn!(server = %self.name, %error, "a tool server could not be started");
            Trouble::Unreachable(format!("it could not be started ({})", error.kind()))
        })?;
        let (stdin, stdout) = process
            .stdin
            .take()
            .zip(process.stdout.take())
            .ok_or_else(|| Trouble::Unreachable("no pipes".to_owned()))?;
        let (input, messages) = mpsc::channel(INPUT_FRAMES_MAX);
        let (over, stop) = (CancellationToken::new(), CancellationToken::new());
        let life = Life {
            input,
            pending: Pending::default(),
            stop: stop.clone(),
            over: over.clone(),
            since: Instant::now(),
            _alive: Arc::new(stop.clone().drop_guard()),
        };
        let ears = Ears { inner: Arc::clone(self), pending: life.pending.clone() };
        tokio::spawn(live(ears, process, (stdin, messages), stdout, over, stop));
        if again {
            let repeated = self.shake_hands(&life);
            tokio::time::timeout(HANDSHAKE_DEADLINE, repeated).await.unwrap_or(Err(Trouble::Stuck))?;
        }
        Ok(life)
    }

    /// Says again to a new server what the client said to the old one.
    async fn shake_hands(&self, life: &Life) -> Result<(), Trouble> {
        let said = self.handshake.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let Some(initialize) = said.initialize else { return Ok(()) };
        tracing::info!(server = %self.name, "a tool server was started again");
        self.ask(life, initialize).await?;
        if let Some(initialized) = said.initialized {
            send(life, initialized.bytes().clone()).await?;
        }
        match said.log_level {
            Some(level) => self.ask(life, level).await,
            None => Ok(()),
        }
    }

    async fn ask(&self, life: &Life, frame: Frame) -> Result<(), Trouble> {
        let frame = frame.with_id(&self.numbers.own_id());
        let id = frame.id().unwrap_or_default().to_owned();
        let mut slot = life.pending.open(&IdKey::of(&id), None, (id, None), self.general.clone())?;
        send(life, frame.bytes().clone()).await?;
        slot.answer().await.map(drop)
    }
}

/// Hears what one life of the server says.
#[derive(Clone)]
struct Ears {
    inner: Arc<Inner>,
    pending: Pending,
}

impl Ears {
    async fn hear(&self, line: Line) {
        match line {
            Line::Whole(bytes) => match Frame::read(bytes.clone()) {
                Ok(frame) => self.take(frame).await,
                Err(Malformed::Batch) => {
                    for frame in batch(&bytes) {
                        self.take(frame).await;
                    }
                }
                Err(error) => tracing::debug!(
                    server = %self.inner.name, bytes = bytes.len(), %error,
                    "a line of a tool server's output is no message"
                ),
            },
            Line::TooLong { id, method } => {
                tracing::warn!(
                    server = %self.inner.name, limit_bytes = FRAME_BYTES_MAX,
                    "a message of a tool server is over the limit and was dropped"
                );
                if let Some(id) = id.filter(|_| !method) {
                    self.pending.answer(&IdKey::of(&id), Err(Trouble::TooLong));
                }
            }
        }
    }

    async fn take(&self, frame: Frame) {
        match frame.kind() {
            Kind::Response { .. } => {
                let known = frame.id_key().is_some_and(|id| self.pending.answer(&id, Ok(frame)));
                if !known {
                    tracing::debug!(server = %self.inner.name, "a tool server answered what nobody waits for");
                }
            }
            Kind::Request { .. } | Kind::Notification { .. } => self.pass(frame).await,
        }
    }

    async fn pass(&self, frame: Frame) {
        match self.inner.sharing {
            Sharing::OneClient => {
                let token = rewrite::progress_token(&frame).map(|token| IdKey::of(&token));
                let about = token.and_then(|token| self.pending.by_token(&token)).map(|(outlet, _)| outlet);
                // A client that is gone wants nothing.
                let _ = about.unwrap_or_else(|| self.inner.general.clone()).send(frame).await;
            }
            // One client that reads slowly must not stop the others: what it has no room for is dropped.
            Sharing::Many => {
                if let Some((outlet, frame)) = rewrite::restored(&frame, &self.pending) {
                    let _ = outlet.try_send(frame);
                } else {
                    let _ = self.inner.general.try_send(frame);
                }
            }
        }
    }
}

/// The messages of a batch, which servers of old sent; what is none is left out.
fn batch(bytes: &Bytes) -> Vec<Frame> {
    let elements: Vec<&RawValue> = serde_json::from_slice(bytes).unwrap_or_default();
    let frames = elements.into_iter().map(|raw| Frame::read(bytes.slice_ref(raw.get().as_bytes())));
    frames.filter_map(Result::ok).collect()
}

/// One life of the server, from its start to its end.
async fn live(
    ears: Ears,
    mut process: Process,
    (stdin, messages): (ChildStdin, mpsc::Receiver<Bytes>),
    stdout: ChildStdout,
    over: CancellationToken,
    stop: CancellationToken,
) {
    let writing = tokio::spawn(write(stdin, messages));
    let mut reading = tokio::spawn(read(ears.clone(), stdout));
    tokio::select! {
        () = stop.cancelled() => {
            // Its input is closed, and it may finish what it does.
            writing.abort();
            let _ = writing.await;
            process.end().await;
        }
        () = process.ended() => {
            let _ = tokio::time::timeout(LAST_WORDS, &mut reading).await;
            tracing::warn!(server = %ears.inner.name, "a tool server has ended");
        }
        _ = &mut reading => {
            tracing::warn!(server = %ears.inner.name, "a tool server has closed its output");
            drop(process);
        }
    }
    reading.abort();
    over.cancel();
    ears.pending.fail_all(&Trouble::Ended);
}

async fn write(mut stdin: ChildStdin, mut messages: mpsc::Receiver<Bytes>) {
    while let Some(message) = messages.recv().await {
        if lines::write(&mut stdin, &message).await.is_err() {
            return;
        }
    }
}

async fn read(ears: Ears, stdout: ChildStdout) {
    let mut lines = Lines::new(BufReader::with_capacity(READ_BYTES, stdout), FRAME_BYTES_MAX);
    while let Ok(Some(line)) = lines.next().await {
        ears.hear(line).await;
    }
}
