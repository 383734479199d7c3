//! Where go the messages of a server that belong to no request: to whoever of the client listens, and until somebody
//! does, to a short memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::mcp::frame::{Frame, Kind};
use crate::mcp::link::{OUTLET_FRAMES_MAX, Outlet};

/// How many messages are kept while nobody listens; then the oldest goes.
const KEPT_MAX: usize = 32;

/// Who of one client listens.
#[derive(Clone, Default)]
pub(crate) struct Hub(Arc<Mutex<Listeners>>);

#[derive(Default)]
struct Listeners {
    /// The stream that was opened for such messages.
    general: Option<Outlet>,
    /// The streams of open requests, the youngest last.
    requests: Vec<(u64, Outlet)>,
    count: u64,
    kept: VecDeque<Frame>,
}

/// A request's stream; gone from the hub when dropped.
pub(crate) struct Listening {
    hub: Hub,
    number: u64,
}

impl Hub {
    fn lock(&self) -> std::sync::MutexGuard<'_, Listeners> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the stream for messages that belong to no request; an older one ends. What was kept comes first.
    pub(crate) fn listen(&self) -> mpsc::Receiver<Frame> {
        let (outlet, frames) = mpsc::channel(OUTLET_FRAMES_MAX.max(KEPT_MAX));
        let mut listeners = self.lock();
        for frame in listeners.kept.drain(..) {
            let _ = outlet.try_send(frame);
        }
        listeners.general = Some(outlet);
        frames
    }

    /// Whether such a stream is open.
    pub(crate) fn is_listened_to(&self) -> bool {
        self.lock().general.as_ref().is_some_and(|outlet| !outlet.is_closed())
    }

    /// Ends that stream.
    pub(crate) fn end(&self) {
        self.lock().general = None;
    }

    /// Adds the stream of a request.
    pub(crate) fn request(&self, outlet: &Outlet) -> Listening {
        let mut listeners = self.lock();
        listeners.count += 1;
        let number = listeners.count;
        listeners.requests.push((number, outlet.clone()));
        Listening { hub: self.clone(), number }
    }

    /// Hands on a message. What wants an answer goes to a request's stream first: the client reads that for certain.
    pub(crate) fn tell(&self, frame: Frame) {
        let mut listeners = self.lock();
        let asks = matches!(frame.kind(), Kind::Request { .. });
        let general = listeners.general.clone();
        let youngest = listeners.requests.last().map(|(_, outlet)| outlet.clone());
        let order = if asks { [youngest, general] } else { [general, youngest] };
        let mut frame = frame;
        for outlet in order.into_iter().flatten() {
            match outlet.try_send(frame) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back)) => {
                    frame = back
                }
            }
        }
        if listeners.kept.len() >= KEPT_MAX {
            listeners.kept.pop_front();
        }
        listeners.kept.push_back(frame);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.hub.lock().requests.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: usize, request: bool) -> Frame {
        let id = if request { format!(",\"id\":{n}") } else { String::new() };
        Frame::read(format!("{{\"jsonrpc\":\"2.0\",\"method\":\"m{n}\"{id}}}").into()).unwrap()
    }

    fn heard(frames: &mut mpsc::Receiver<Frame>) -> Vec<String> {
        std::iter::from_fn(|| frames.try_recv().ok())
            .filter_map(|f| f.method().map(ToOwned::to_owned))
            .collect()
    }

    #[test]
    fn the_last_messages_are_kept_until_somebody_listens() {
        let hub = Hub::default();
        (0..KEPT_MAX + 2).for_each(|n| hub.tell(frame(n, false)));
        let mut general = hub.listen();
        assert_eq!(heard(&mut general).first().map(String::as_str), Some("m2"));
        let (outlet, mut request) = mpsc::channel(4);
        let listening = hub.request(&outlet);
        hub.tell(frame(1, false));
        hub.tell(frame(2, true));
        assert_eq!(
            (heard(&mut general), heard(&mut request)),
            (vec!["m1".to_owned()], vec!["m2".to_owned()])
        );
        drop(listening);
        hub.tell(frame(3, true));
        assert_eq!(heard(&mut general), ["m3"]);
        assert!(hub.is_listened_to());
        drop(general);
        assert!(!hub.is_listened_to());
    }
}
