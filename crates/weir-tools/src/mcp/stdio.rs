//! `weir mcp -- COMMAND`: one client over weir's own pipes, one server over its.

use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderMap;
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::call::Caller;
use crate::gate::Gate;
use crate::mcp::answer;
use crate::mcp::frame::{FRAME_BYTES_MAX, Frame};
use crate::mcp::lines::{self, Line, Lines};
use crate::mcp::link::{ChildCommand, ChildLink, Link, OUTLET_FRAMES_MAX, Outlet, Sharing, Trouble};
use crate::mcp::session::{Incoming, Session, Shared};

/// How many requests of the client are worked on at a time; further ones are not read until there is room.
const REQUESTS_MAX: usize = 128;

/// What a proxy over pipes is made of.
pub struct Stdio {
    /// The gate.
    pub gate: Gate,
    /// Who calls.
    pub caller: Caller,
    /// The server's name in rules and records.
    pub server: String,
    /// The server.
    pub command: ChildCommand,
}

/// Serves until the client closes its end.
///
/// # Errors
/// The server cannot be started.
pub async fn serve_stdio<R, W>(parts: Stdio, reader: R, writer: W) -> Result<(), Trouble>
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (outlet, frames) = mpsc::channel(OUTLET_FRAMES_MAX);
    let child = ChildLink::new(parts.server.clone(), parts.command, Sharing::OneClient, outlet.clone());
    child.start().await?;
    let shared = Arc::new(Shared::new(parts.gate, &parts.server));
    let session = Session::new(shared, Arc::new(parts.caller), Link::Child(child), Arc::default());
    let writing_ended = CancellationToken::new();
    let ended = writing_ended.clone().drop_guard();
    let weak = Arc::downgrade(&session);
    let writing = tokio::spawn(async move {
        let _ended = ended;
        write(writer, frames, weak).await;
    });
    let tasks = read(&session, reader, &outlet).await;
    tasks.close();
    tokio::select! {
        () = tasks.wait() => {}
        () = writing_ended.cancelled() => {}
        () = tokio::time::sleep(LAST_REQUESTS) => {}
    }
    session.close().await;
    drop(outlet);
    drop(session);
    // It ends with the last who holds the outlet; a client that reads nothing any more must not hold weir.
    let _ = tokio::time::timeout(LAST_ANSWERS, writing).await;
    Ok(())
}

/// How long answers that are under way are still written when the client has closed its end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How long requests that are under way are still worked on then: scripts write their requests and close the pipe.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

async fn read<R: AsyncBufRead + Unpin>(session: &Arc<Session>, reader: R, outlet: &Outlet) -> TaskTracker {
    let room = Arc::new(Semaphore::new(REQUESTS_MAX));
    let tasks = TaskTracker::new();
    let mut lines = Lines::new(reader, FRAME_BYTES_MAX);
    while let Ok(Some(line)) = lines.next().await {
        let frame = match frame(line) {
            Ok(frame) => frame,
            Err(refused) => {
                let _ = outlet.send(*refused).await;
                continue;
            }
        };
        let incoming = Incoming { frame, outlet: outlet.clone(), headers: HeaderMap::new() };
        let Some(answering) = session.take(incoming).await else { continue };
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { break };
        let outlet = outlet.clone();
        tasks.spawn(async move {
            if let Some(answer) = answering.await {
                let _ = outlet.send(answer.frame).await;
            }
            drop(place);
        });
    }
    tasks
}

/// Reads a message, or says what is wrong with it.
fn frame(line: Line) -> Result<Frame, Box<Frame>> {
    match line {
        Line::Whole(bytes) => Frame::read(bytes)
            .map_err(|error| Box::new(answer::error("null", error.code(), &error.to_string()))),
        Line::TooLong { id, .. } => {
            let said = format!("the message is longer than {} MiB", FRAME_BYTES_MAX / (1024 * 1024));
            Err(Box::new(answer::error(id.as_deref().unwrap_or("null"), -32600, &said)))
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut frames: mpsc::Receiver<Frame>,
    session: std::sync::Weak<Session>,
) {
    while let Some(frame) = frames.recv().await {
        if let Some(session) = session.upgrade() {
            session.hears(&frame);
        }
        if lines::write(&mut writer, frame.bytes()).await.is_err() {
            return;
        }
    }
}
