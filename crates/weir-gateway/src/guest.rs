//! Paths on the data plane that are another boundary's, such as `/mcp/{server}`: the gateway knows who calls, and nothing
//! of what is asked.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use weir_core::record::{IdentityFacts, Stats};
use weir_dialect::Refusal;
use weir_telemetry::Trace;

use crate::answer;
use crate::body::ResponseBody;
use crate::exchange::{Exchange, Stage};
use crate::pipeline::{Arrived, admit, identity_facts};

/// What a guest answers with.
pub type GuestBody = UnsyncBoxBody<Bytes, Infallible>;

/// Serves paths that are not the gateway's own. It sees requests with a valid key only, and records them itself.
pub trait Guest: Send + Sync {
    /// Whether a path is the guest's.
    fn serves(&self, path: &str) -> bool;

    /// Serves a request.
    fn serve(&self, request: Request<Incoming>, visitor: Visitor) -> BoxFuture<'static, Response<GuestBody>>;
}

/// Who sent a request to a guest.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The identity that the caller is judged as.
    pub identity: IdentityFacts,
    /// Counters over its earlier requests.
    pub stats: Stats,
    /// The channel that the key's record names.
    pub channel: Option<String>,
    /// The request's place in a trace, where there are traces.
    pub trace: Option<Trace>,
}

/// Hands a request to the guest, if its caller may come in.
pub(crate) async fn serve(
    mut exchange: Exchange,
    arrived: Arrived,
    body: Incoming,
    guest: &dyn Guest,
) -> Response<ResponseBody> {
    if let Err(refusal) = admit(&mut exchange, &arrived.caller, arrived.origin.address).await {
        return answer::refuse(exchange, Stage::Admit, &refusal);
    }
    let Some(key) = arrived.caller.key() else {
        return answer::refuse(exchange, Stage::Identify, &Refusal::ToolServerKey);
    };
    let channel = key.owner.channel.clone();
    identity_facts(&mut exchange, &arrived).await;
    exchange.draft.facts.stats = exchange.inner.cache.stats_read(&exchange.draft.identity, exchange.at).await;
    let visitor = Visitor {
        identity: std::mem::take(&mut exchange.draft.facts.identity),
        stats: std::mem::take(&mut exchange.draft.facts.stats),
        channel,
        trace: exchange.draft.watched.trace,
    };
    let request = Request::from_parts(arrived.head, body);
    let response = guest.serve(request, visitor).await;
    answer::of_guest(exchange, response)
}
