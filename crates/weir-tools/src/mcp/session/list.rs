//! Lists of tools, the client's and weir's own.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use super::*;

/// How many pages of a list are read.
const PAGES_MAX: usize = 100;

/// How long reading a whole list may take.
const LIST_DEADLINE: Duration = Duration::from_secs(20);

/// So often at most a list is read again because a tool is not in it.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What is remembered of lists.
#[derive(Default)]
pub(crate) struct Listings {
    /// The server has said that its tools are others now.
    stale: AtomicBool,
    /// When weir last read the whole list by itself.
    last: tokio::sync::Mutex<Option<Instant>>,
    requests: AtomicU64,
}

impl Listings {
    /// Takes note of what a server says of its tools.
    pub(crate) fn hear(&self, frame: &Frame) {
        if frame.method() == Some("notifications/tools/list_changed") {
            self.stale.store(true, Ordering::Release);
        }
    }
}

impl Session {
    /// A list that the client asks for, with what it may see.
    pub(crate) async fn list(self: Arc<Self>, incoming: Incoming) -> BoxFuture<'static, Answer> {
        let id = incoming.frame.id().unwrap_or_default().to_owned();
        let waiting = self.begin(incoming).await;
        async move {
            let answered = match waiting {
                Ok(waiting) => {
                    tokio::time::timeout(REQUEST_DEADLINE, waiting).await.unwrap_or(Err(Trouble::Stuck))
                }
                Err(trouble) => Err(trouble),
            };
            let shown = match answered {
                Ok(answer) => self.shown(answer).await,
                Err(trouble) => Err(trouble),
            };
            shown.unwrap_or_else(|trouble| answer::trouble(&id, &self.shared.server, &trouble).into())
        }
        .boxed()
    }

    async fn shown(&self, answer: Answer) -> Result<Answer, Trouble> {
        let Some(result) = answer.frame.result() else { return Ok(answer) };
        let page = Page::read(result, &self.shared.server).map_err(Trouble::Malformed)?;
        self.shared.tools.learn(&page).await;
        let visible: HashSet<String> = self.visible();
        Ok(Answer { frame: page.shown(&answer.frame, &visible), status: answer.status })
    }

    fn visible(&self) -> HashSet<String> {
        let seen = self.shared.gate.list(&self.caller, Some(&self.shared.server));
        seen.iter().map(|definition| definition.name.clone()).collect()
    }

    /// Makes sure that a tool is known before a call of it is judged. A client need not list before it calls, and the
    /// server may have said that its tools changed.
    pub(crate) async fn look_up(&self, tool: &str, asked: &Asked<'_>) -> Result<(), Trouble> {
        let stale = self.listing.stale.load(Ordering::Acquire);
        if !stale && self.shared.tools.knows(tool).await {
            return Ok(());
        }
        // One at a time: who waited finds it done.
        let mut last = self.listing.last.lock().await;
        let again = last.is_none_or(|at| at.elapsed() >= LOOK_AGAIN);
        if !self.listing.stale.swap(false, Ordering::AcqRel)
            && (!again || self.shared.tools.knows(tool).await)
        {
            return Ok(());
        }
        let read = tokio::time::timeout(LIST_DEADLINE, self.read_list(asked)).await;
        let read = read.unwrap_or(Err(Trouble::Stuck));
        match &read {
            Ok(()) => *last = Some(Instant::now()),
            Err(_) => self.listing.stale.store(true, Ordering::Release),
        }
        read
    }

    async fn read_list(&self, asked: &Asked<'_>) -> Result<(), Trouble> {
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let id = format!("\"weir-list-{}\"", self.listing.requests.fetch_add(1, Ordering::Relaxed));
            let frame = request(&id, asked.meta, cursor.as_deref());
            let headers = crate::mcp::headers::of_list(asked.headers);
            let waiting = self.link.begin(Outgoing { frame, outlet: asked.outlet.clone(), headers }).await?;
            let answer = waiting.await?;
            let Some(result) = answer.frame.result() else {
                return Err(Trouble::Malformed("it does not list its tools".to_owned()));
            };
            let page = Page::read(result, &self.shared.server).map_err(Trouble::Malformed)?;
            self.shared.tools.learn(&page).await;
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

/// What a request of weir's own takes from the client's.
pub(crate) struct Asked<'a> {
    pub(crate) meta: &'a Value,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) outlet: &'a Outlet,
}

/// `tools/list`, saying of the client what it said of itself.
fn request(id: &str, meta: &Value, cursor: Option<&str>) -> Frame {
    let mut params = serde_json::Map::new();
    if let Value::Object(members) = meta {
        let mut members = members.clone();
        members.remove("progressToken");
        params.insert("_meta".to_owned(), members.into());
    }
    if let Some(cursor) = cursor {
        params.insert("cursor".to_owned(), cursor.into());
    }
    let params = json!(params).to_string();
    Frame::request(id, "tools/list", &params)
}
