//! The tools of MCP servers, for a turn. The gate is told of a server's list before a model is, and again when the server
//! says that it has changed.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;
use weir_config::config::{McpServer, McpTransport};
use weir_rules::tool::Permitted;

use super::offer::Executor;
use crate::gate::Gate;
use crate::mcp::frame::{Frame, Kind};
use crate::mcp::link::{
    ChildCommand, ChildLink, HttpLink, Link, OUTLET_FRAMES_MAX, Outgoing, Outlet, Sharing, Trouble,
    http_client,
};
use crate::mcp::listing::{Page, ServerTools};
use crate::outcome::Executed;

/// The version of the protocol that is asked for; an earlier one is taken.
const VERSION: &str = "2025-11-25";

/// How many pages of a list are read.
const PAGES_MAX: usize = 100;

/// How long a server may take to shake hands and to list its tools.
const READY_DEADLINE: Duration = Duration::from_secs(30);

/// The version of the protocol, over HTTP.
const VERSION_HEADER: &str = "mcp-protocol-version";

/// A connected server.
pub struct McpTools {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    link: Link,
    outlet: Outlet,
    tools: ServerTools,
    requests: AtomicU64,
    headers: HeaderMap,
}

impl McpTools {
    /// Connects to a server of the configuration and tells the gate of its tools. Commands run in `folder`.
    ///
    /// # Errors
    /// It cannot be started or reached, or does not speak the protocol.
    pub async fn connect(gate: &Gate, server: &McpServer, folder: &Path) -> Result<Self, Trouble> {
        let connecting = Self::connected(gate, server, folder);
        tokio::time::timeout(READY_DEADLINE, connecting).await.unwrap_or(Err(Trouble::Stuck))
    }

    async fn connected(gate: &Gate, server: &McpServer, folder: &Path) -> Result<Self, Trouble> {
        let (outlet, said) = mpsc::channel(OUTLET_FRAMES_MAX);
        let name = server.name.clone();
        let link = match &server.transport {
            McpTransport::Command(command) => {
                let command = ChildCommand::configured(command, Some(folder.to_owned()));
                Link::Child(ChildLink::new(name.clone(), command, Sharing::OneClient, outlet.clone()))
            }
            McpTransport::Url(url) => {
                Link::Http(HttpLink::new(name.clone(), http_client(), url.clone(), outlet.clone()))
            }
        };
        let mut inner = Inner {
            tools: ServerTools::new(&name, gate.clone()),
            name,
            link,
            outlet,
            requests: AtomicU64::new(1),
            headers: HeaderMap::new(),
        };
        inner.shake_hands().await?;
        inner.list().await?;
        let inner = Arc::new(inner);
        tokio::spawn(listen(Arc::downgrade(&inner), said));
        Ok(Self { inner })
    }

    /// Ends the connection, and the server if weir started it.
    pub async fn close(&self) {
        self.inner.link.close().await;
    }
}

impl Executor for McpTools {
    fn run<'a>(&'a self, permitted: Permitted) -> BoxFuture<'a, Executed<String>> {
        let tool = permitted.tool().to_owned();
        let params = json!({"name": tool, "arguments": permitted.into_args().into_value()});
        async move {
            match self.inner.request("tools/call", &params).await {
                Ok(result) => read(&result),
                Err(trouble) => {
                    Executed::failed(String::new(), format!("tool server `{}`: {trouble}", self.inner.name))
                }
            }
        }
        .boxed()
    }
}

impl Inner {
    async fn request(&self, method: &str, params: &Json) -> Result<Json, Trouble> {
        let id = self.requests.fetch_add(1, Ordering::Relaxed).to_string();
        let frame = Frame::request(&id, method, &params.to_string());
        let request = Outgoing { frame, outlet: self.outlet.clone(), headers: self.headers.clone() };
        let answer = self.link.begin(request).await?.await?;
        match answer.frame.result() {
            Some(result) => {
                serde_json::from_str(result).map_err(|error| Trouble::Malformed(error.to_string()))
            }
            None => Err(Trouble::Malformed(format!("it answers `{method}` with an error"))),
        }
    }

    async fn shake_hands(&mut self) -> Result<(), Trouble> {
        let client = json!({"name": "weir", "version": env!("CARGO_PKG_VERSION")});
        let params = json!({"protocolVersion": VERSION, "capabilities": {}, "clientInfo": client});
        let answer = self.request("initialize", &params).await?;
        let version = answer.get("protocolVersion").and_then(Json::as_str).unwrap_or(VERSION);
        if let Ok(version) = HeaderValue::from_str(version) {
            self.headers.insert(VERSION_HEADER, version);
        }
        let ready = bytes::Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        let ready = Frame::read(ready).map_err(|error| Trouble::Malformed(error.to_string()))?;
        self.link.notify(&ready, &self.headers).await
    }

    async fn list(&self) -> Result<(), Trouble> {
        let mut params = json!({});
        for _ in 0..PAGES_MAX {
            let list = self.request("tools/list", &params).await?.to_string();
            let page = Page::read(&list, &self.name).map_err(Trouble::Malformed)?;
            self.tools.learn(&page).await;
            match page.next {
                Some(next) => params = json!({"cursor": next}),
                None => break,
            }
        }
        Ok(())
    }

    /// Answers what the server asks: that it is heard. weir offers it nothing else.
    async fn answer(&self, frame: &Frame) {
        let Some(id) = frame.id() else { return };
        let answer = match frame.method() {
            Some("ping") => Frame::answer(id, "result", "{}"),
            _ => Frame::answer(id, "error", r#"{"code":-32601,"message":"this client does not offer that"}"#),
        };
        if let Err(error) = self.link.notify(&answer, &self.headers).await {
            tracing::debug!(server = %self.name, %error, "an answer could not be sent");
        }
    }
}

/// Hears what a server says by itself, as long as somebody uses it.
async fn listen(inner: Weak<Inner>, mut said: mpsc::Receiver<Frame>) {
    while let Some(frame) = said.recv().await {
        let Some(inner) = inner.upgrade() else { return };
        if matches!(frame.kind(), Kind::Request { .. }) {
            inner.answer(&frame).await;
        } else if frame.method() == Some("notifications/tools/list_changed") {
            let listed = tokio::time::timeout(READY_DEADLINE, inner.list()).await;
            if let Ok(Err(error)) = listed {
                tracing::warn!(server = %inner.name, %error, "the changed list of tools cannot be read");
            }
        }
    }
}

/// The result of a call as a text.
fn read(result: &Json) -> Executed<String> {
    let blocks = result.get("content").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let mut texts: Vec<String> = blocks.iter().map(block).collect();
    if let Some(structured) = result.get("structuredContent").filter(|_| blocks.is_empty()) {
        texts.push(structured.to_string());
    }
    let text = texts.join("\n");
    match result.get("isError").and_then(Json::as_bool) {
        Some(true) => Executed::failed(text, "the tool reported an error"),
        _ => Executed::ok(text),
    }
}

/// One block of a result; what is no text is told by its kind.
fn block(block: &Json) -> String {
    let text = |member: &str| block.get(member).and_then(Json::as_str);
    match (text("type"), text("text"), block.pointer("/resource/text").and_then(Json::as_str)) {
        (Some("text"), Some(text), _) | (Some("resource"), _, Some(text)) => text.to_owned(),
        (Some("resource_link"), ..) => text("uri").unwrap_or_default().to_owned(),
        (kind, ..) => format!("[{} that cannot be shown here]", kind.unwrap_or("something")),
    }
}
