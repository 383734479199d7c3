//! What comes after the event that ends a stream. Of it only what says once more that it has ended is passed on: anything
//! else no client reads, and a provider's words of an error must not reach one.

use bytes::{Bytes, BytesMut};

/// Lines that only end a stream.
const ENDS: [&[u8]; 5] = [b"", b":", b"data: [DONE]", b"data:[DONE]", b"event: done"];

/// How much of a line is kept, in bytes: more than the longest of these.
const LINE_BYTES_MAX: usize = 16;

/// Reads what comes after the end.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    line: Vec<u8>,
}

impl Tail {
    /// What of a chunk is passed on.
    pub(crate) fn push(&mut self, chunk: &Bytes) -> Bytes {
        let mut out = BytesMut::new();
        for byte in chunk.iter().copied() {
            if !matches!(byte, b'\n' | b'\r') {
                if self.line.len() < LINE_BYTES_MAX {
                    self.line.push(byte);
                }
                continue;
            }
            if self.ends() {
                out.extend_from_slice(&self.line);
                out.extend_from_slice(&[byte]);
            }
            self.line.clear();
        }
        // The stream may end here.
        if !self.line.is_empty() && self.line.starts_with(b"data") && self.ends() {
            out.extend_from_slice(&self.line);
            self.line.clear();
        }
        out.freeze()
    }

    fn ends(&self) -> bool {
        ENDS.contains(&self.line.as_slice())
    }
}
