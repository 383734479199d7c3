//! A provider's answer, passed on chunk by chunk and read on the way.
//!
//! Whatever ends it, the client is told in its own protocol, and the exchange is completed with what was seen.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as _, Frame};
use tokio::time::Instant;
use weir_core::redact::{redact, without_secrets};
use weir_dialect::failure::{Phase, TransportFault, Via};
use weir_dialect::refusal::stream_error;
use weir_dialect::{Dialect, Observed, Prompts, Refusal};

use crate::alarm::Alarm;
use crate::answer;
use crate::body::{BrokenOff, UpstreamBody};
use crate::cut::first_event;
use crate::exchange::Exchange;
use crate::failed::{self, Failed, Tried};
use crate::pipeline;
use crate::reading::{Piece, Reading, told};
use crate::trouble::Trouble;

/// The `error_type` of a defect of weir's own.
const DEFECT_TYPE: &str = "temporarily_unavailable";

type Polled = Poll<Option<Result<Frame<Bytes>, BrokenOff>>>;

/// A provider's answer on its way.
pub(crate) struct PassBody {
    body: UpstreamBody,
    /// What was read of the body before it was decided to pass it on.
    begun: Option<Piece>,
    reading: Reading,
    exchange: Option<Exchange>,
    call: Call,
    idle: Duration,
    last_at: Instant,
    alarm: Alarm,
    ended: bool,
    /// Whether something of the answer has gone to the client.
    begins: bool,
}

/// The call that is being answered.
pub(crate) struct Call {
    pub(crate) tried: Tried,
    /// The status of the answer's head.
    pub(crate) status: u16,
    /// The request's headers, where a rule on failures reads them.
    pub(crate) headers: Option<HeaderMap>,
    /// Its prompts, likewise.
    pub(crate) prompts: Prompts,
}

impl PassBody {
    /// Passes on what comes after `begun`, which has been read already.
    pub(crate) fn new(
        body: UpstreamBody,
        begun: Option<Piece>,
        reading: Reading,
        exchange: Exchange,
        call: Call,
    ) -> Self {
        let idle = exchange.settings.config.limits.upstream.idle;
        Self {
            body,
            begun,
            reading,
            alarm: exchange.alarm.clone(),
            exchange: Some(exchange),
            call,
            idle,
            last_at: Instant::now(),
            ended: false,
            begins: false,
        }
    }

    /// Passes on what has come. A defect of weir's own ends the answer in the client's protocol.
    pub(crate) fn poll_pass(&mut self, cx: &mut Context<'_>) -> Polled {
        catch_unwind(AssertUnwindSafe(|| self.poll_read(cx))).unwrap_or_else(|_| self.defective())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Polled {
        if let Some(piece) = self.begun.take()
            && let Some(polled) = self.piece(piece)
        {
            return polled;
        }
        while !self.ended {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.last_at = Instant::now();
                    // Trailers are of the connection to the provider and end here.
                    let Ok(chunk) = frame.into_data() else { continue };
                    let piece = self.reading.read(chunk);
                    if let Some(polled) = self.piece(piece) {
                        return polled;
                    }
                }
                Poll::Ready(Some(Err(BrokenOff))) => {
                    return self.broke(TransportFault::Reset, "the provider's answer broke off");
                }
                Poll::Ready(None) => return self.end(),
                Poll::Pending => {
                    if self.alarm.poll_until(self.last_at + self.idle, cx).is_ready() {
                        let cause = "the provider sent nothing for `limits.upstream.idle`";
                        return self.broke(TransportFault::Timeout, cause);
                    }
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(None)
    }

    /// What the client is sent for a piece, if it is anything.
    fn piece(&mut self, piece: Piece) -> Option<Polled> {
        match piece {
            Piece::Good(chunk) if chunk.is_empty() => None,
            Piece::Good(chunk) => {
                if !std::mem::replace(&mut self.begins, true)
                    && let Some(exchange) = &mut self.exchange
                {
                    exchange.draft.watched.first_chunk();
                }
                Some(data(if self.reading.has_failed() { self.clean(chunk) } else { chunk }))
            }
            Piece::Error { before, rest } => Some(self.error_within(before, rest)),
        }
    }

    fn end(&mut self) -> Polled {
        if let Some(rest) = self.reading.end() {
            return self.error_within(Bytes::new(), rest);
        }
        let seen = self.reading.usage.observed();
        if !seen.finished && seen.error.is_none() && !self.reading.is_closed() {
            return self.broke(TransportFault::Reset, "the provider's answer ended before it was complete");
        }
        self.ended = true;
        self.complete();
        Poll::Ready(None)
    }

    /// The provider says within its answer that it has failed.
    fn error_within(&mut self, before: Bytes, rest: Bytes) -> Polled {
        let seen = self.reading.usage.observed();
        let body = if self.reading.is_stray() {
            rest.clone()
        } else if !self.reading.usage.is_error_of_choice()
            && self.reading.events
            && !self.reading.within_event()
            && !rest.is_empty()
        {
            first_event(&rest)
        } else {
            told(&seen)
        };
        let trouble = Trouble {
            body,
            cause: "the provider told of an error within its answer",
            ..self.trouble(TransportFault::None)
        };
        let Some(failed) = self.classify(trouble) else { return Poll::Ready(None) };
        if self.reading.events && self.is_ours_to_tell(&failed, &rest) {
            return self.end_in_words(before, &failed, &seen);
        }
        // The provider's own words reach the client, and whatever it sends after them.
        let mut sent = BytesMut::from(&before[..]);
        let rest = self.clean(rest);
        sent.extend_from_slice(&self.reading.renamed(rest));
        if sent.is_empty() {
            return self.end();
        }
        data(sent.freeze())
    }

    /// Without what looks like a secret, the keys that took part, and the names of the platform's accounts.
    fn clean(&self, said: Bytes) -> Bytes {
        let Ok(text) = std::str::from_utf8(&said) else { return said };
        let known = without_secrets(text, &failed::secrets(&self.call.tried, self.call.headers.as_ref()));
        let clean: Bytes = match redact(&known) {
            Cow::Owned(clean) => clean.into(),
            Cow::Borrowed(_) => match known {
                Cow::Owned(clean) => clean.into(),
                Cow::Borrowed(_) => said.clone(),
            },
        };
        if self.call.tried.target.byok { clean } else { answer::without_names(&clean) }
    }

    /// weir itself has failed.
    fn defective(&mut self) -> Polled {
        if self.ended {
            return Poll::Ready(None);
        }
        let seen = self.reading.usage.observed();
        if let Some(exchange) = &mut self.exchange {
            exchange.draft.result.error_type = Some(DEFECT_TYPE.to_owned());
        }
        if self.reading.events {
            return self.end_with(Bytes::new(), &pipeline::defect(), &seen);
        }
        self.ended = true;
        self.complete();
        Poll::Ready(Some(Err(BrokenOff)))
    }

    /// Ends a stream that broke with the protocol's own terminal event; a body that is no stream is cut off, which its
    /// declared length tells the client.
    fn broke(&mut self, fault: TransportFault, cause: &'static str) -> Polled {
        let seen = self.reading.usage.observed();
        if seen.error.is_some() {
            // Classified before, and told by the provider itself.
            self.ended = true;
            self.complete();
            return Poll::Ready(if self.reading.events { None } else { Some(Err(BrokenOff)) });
        }
        let trouble = Trouble { body: self.reading.take_held(), cause, ..self.trouble(fault) };
        let Some(failed) = self.classify(trouble) else { return Poll::Ready(None) };
        if self.reading.events {
            return self.end_in_words(Bytes::new(), &failed, &seen);
        }
        self.ended = true;
        self.complete();
        Poll::Ready(Some(Err(BrokenOff)))
    }

    fn trouble(&self, fault: TransportFault) -> Trouble {
        let (via, phase) =
            if self.reading.events { (Via::Sse, Phase::Stream) } else { (Via::Http, Phase::Body) };
        Trouble { status: self.call.status, via, fault, phase, ..Trouble::default() }
    }

    fn classify(&mut self, trouble: Trouble) -> Option<Failed> {
        let exchange = self.exchange.as_mut()?;
        // The request's body is not kept for as long as an answer streams.
        let Call { tried, headers, prompts, .. } = &self.call;
        let request = failed::Request { headers: headers.as_ref(), prompts, said: None };
        let failed = failed::classify(exchange, trouble, tried, &request);
        failed::ended(exchange, failed.failure.class());
        Some(failed)
    }

    /// Whether the client is told in weir's words: but for a key of its own, and under the seed's prefixes, where the
    /// provider's pass if they are an event of the protocol; the platform's account and a quarantine show nowhere.
    fn is_ours_to_tell(&self, failed: &Failed, said: &[u8]) -> bool {
        let Some(exchange) = &self.exchange else { return false };
        let hidden = exchange.draft.result.abuse_downgraded_from.is_some();
        let theirs = exchange.dialect == Dialect::Seed || self.call.tried.target.byok;
        let accounts =
            failed.failure.is_the_platforms_account() || answer::tells_of_the_platform(failed, said);
        let unreadable = self.reading.is_stray() || self.reading.usage.is_error_in_prose();
        hidden || !theirs || accounts || unreadable
    }

    fn end_in_words(&mut self, before: Bytes, failed: &Failed, seen: &Observed) -> Polled {
        let Some(refusal) = self.exchange.as_ref().map(|exchange| failed.refusal(exchange)) else {
            return Poll::Ready(None);
        };
        self.end_with(before, &refusal, seen)
    }

    fn end_with(&mut self, before: Bytes, refusal: &Refusal, seen: &Observed) -> Polled {
        self.ended = true;
        let Some(exchange) = &self.exchange else { return Poll::Ready(None) };
        let seen = Observed { mid_event: self.reading.within_event(), ..seen.clone() };
        let request_id = &exchange.draft.result.request_id;
        let reading = &self.reading;
        let event =
            stream_error(reading.kind, refusal, &exchange.id, request_id, &reading.asked_model, &seen);
        self.complete();
        if before.is_empty() {
            return data(event);
        }
        data([before, event].concat().into())
    }

    fn complete(&mut self) {
        let Some(mut exchange) = self.exchange.take() else { return };
        exchange.observed(&self.reading.usage.observed());
        exchange.draft.complete = true;
    }
}

fn data(bytes: Bytes) -> Polled {
    Poll::Ready(Some(Ok(Frame::data(bytes))))
}

impl Drop for PassBody {
    fn drop(&mut self) {
        // The client went away: what was seen until now is still recorded.
        if let Some(exchange) = &mut self.exchange {
            exchange.observed(&self.reading.usage.observed());
        }
    }
}
