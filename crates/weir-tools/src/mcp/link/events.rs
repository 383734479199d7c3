//! The events of a stream of a tool server, with what is needed to go on after a cut: an event's id, and the pause.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};

/// The longest pause before a stream is taken up again that a server can ask for.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How long an event's id may be, in bytes: it is sent back in a header.
const ID_BYTES_MAX: usize = 1024;

/// Reads events from chunks, gathering no more than one.
#[derive(Debug)]
pub(crate) struct Events {
    buffer: BytesMut,
    searched: usize,
    data: BytesMut,
    has_data: bool,
    bytes_max: usize,
    last_id: Option<String>,
    retry: Option<Duration>,
}

/// An event, or a line of one, is over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Events {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            searched: 0,
            data: BytesMut::new(),
            has_data: false,
            bytes_max,
            last_id: None,
            retry: None,
        }
    }

    /// The id of the last event that had one.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// The pause that the server asked for.
    pub(crate) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Takes a chunk.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The data of the next whole event that has any.
    ///
    /// # Errors
    /// It is over the limit.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, TooLong> {
        while let Some(line) = self.line() {
            if let Some(data) = self.take(&line) {
                return Ok(Some(data));
            }
            if self.data.len() > self.bytes_max {
                return Err(TooLong);
            }
        }
        if self.buffer.len() > self.bytes_max { Err(TooLong) } else { Ok(None) }
    }

    /// The next whole line. A `\r` alone ends one only when something follows: the `\n` may be under way.
    fn line(&mut self) -> Option<BytesMut> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(found) = memchr::memchr2(b'\n', b'\r', unsearched) else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = self.searched + found;
        let width = match (self.buffer.get(end), self.buffer.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => 2,
            (Some(b'\r'), None) => {
                self.searched = end;
                return None;
            }
            _ => 1,
        };
        let line = self.buffer.split_to(end);
        self.buffer.advance(width);
        self.searched = 0;
        Some(line)
    }

    fn take(&mut self, line: &[u8]) -> Option<Bytes> {
        if line.is_empty() {
            let has_data = std::mem::take(&mut self.has_data);
            let data = std::mem::take(&mut self.data).freeze();
            // An event without text only brings an id.
            return (has_data && !data.is_empty()).then_some(data);
        }
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.extend_from_slice(b"\n");
                }
                self.data.extend_from_slice(value);
            }
            b"id" => {
                let id = std::str::from_utf8(value).ok().filter(|id| id.len() <= ID_BYTES_MAX);
                self.last_id = id.map(ToOwned::to_owned);
            }
            b"retry" => {
                let ms = std::str::from_utf8(value).ok().and_then(|ms| ms.parse().ok());
                self.retry = ms.map(|ms| Duration::from_millis(ms).min(RETRY_MAX)).or(self.retry);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_the_stream_is_cut() {
        let text = b"id: 7\nretry: 250\ndata: \n\n: note\nevent: message\nid: 8\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\ndata:x\n\n";
        for size in [1, 2, 5, 1000] {
            let mut events = Events::new(100);
            let mut found = Vec::new();
            for chunk in text.chunks(size) {
                events.push(chunk);
                while let Some(data) = events.next().unwrap() {
                    found.push(data);
                }
            }
            assert_eq!(found, ["{\"a\":\n1}", "x"], "{size}");
            assert_eq!((events.last_id(), events.retry()), (Some("8"), Some(Duration::from_millis(250))));
        }
    }

    #[test]
    fn what_is_over_the_limit_is_an_error_and_no_memory() {
        for text in ["data: ".to_owned() + &"x".repeat(200), "data: x\n".repeat(200)] {
            let mut events = Events::new(100);
            events.push(text.as_bytes());
            assert_eq!(events.next(), Err(TooLong));
        }
    }
}
