//! Answers that come compressed though weir asks for them as they are: opened piece by piece, so that they can be read
//! on the way like any other. What cannot be opened is passed on as it came.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::{Body as _, Frame};

use crate::body::BrokenOff;
use crate::client::PooledBody;

/// How much is opened at once, in bytes. A thousand times as much can come of it.
const STEP_BYTES: usize = 2048;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    Deflate,
}

impl Encoding {
    /// The encoding that these headers name, if it is one that is opened. They no longer name it then.
    pub(crate) fn take(headers: &mut HeaderMap) -> Option<Self> {
        let named = headers.get(CONTENT_ENCODING)?.to_str().ok()?.trim();
        let encoding = match named.to_ascii_lowercase().as_str() {
            "identity" | "" => None,
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            _ => return None,
        };
        headers.remove(CONTENT_ENCODING);
        encoding.inspect(|_| {
            headers.remove(CONTENT_LENGTH);
        })
    }

    /// Whether a body of this encoding begins with this byte: some say that they compress and do not.
    const fn begins_with(self, byte: u8) -> bool {
        match self {
            Self::Gzip => byte == 0x1f,
            // The method in the lower half, and a window of at most 32 KiB.
            Self::Deflate => byte & 0x0f == 8 && byte >> 4 <= 7,
        }
    }
}

/// A compressed body, opened as it comes.
pub(crate) struct EncodedBody {
    body: PooledBody,
    encoding: Encoding,
    opener: Option<Opener>,
    /// What has come and is not opened yet.
    waiting: VecDeque<Bytes>,
    ended: bool,
}

enum Opener {
    /// It is not compressed.
    AsItIs,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Deflate(Box<ZlibDecoder<Vec<u8>>>),
}

impl EncodedBody {
    pub(crate) fn new(body: PooledBody, encoding: Encoding) -> Self {
        Self { body, encoding, opener: None, waiting: VecDeque::new(), ended: false }
    }

    pub(crate) fn poll_opened(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        loop {
            while let Some(piece) = self.next_piece() {
                match self.open(&piece) {
                    Ok(opened) if opened.is_empty() => {}
                    Ok(opened) => return Poll::Ready(Some(Ok(Frame::data(opened)))),
                    Err(_) => return self.broke(),
                }
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.waiting.push_back(data);
                    }
                }
                Some(Err(_)) => return self.broke(),
                None => {
                    self.ended = true;
                    return match self.finish() {
                        Ok(rest) if rest.is_empty() => Poll::Ready(None),
                        Ok(rest) => Poll::Ready(Some(Ok(Frame::data(rest)))),
                        Err(_) => self.broke(),
                    };
                }
            }
        }
    }

    fn broke(&mut self) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.ended = true;
        self.waiting.clear();
        Poll::Ready(Some(Err(BrokenOff)))
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        let first = self.waiting.front_mut()?;
        let piece = first.split_to(first.len().min(STEP_BYTES));
        if !first.has_remaining() {
            self.waiting.pop_front();
        }
        Some(piece)
    }

    fn open(&mut self, piece: &Bytes) -> io::Result<Bytes> {
        let Some(first) = piece.first() else { return Ok(Bytes::new()) };
        let encoding = self.encoding;
        let opener = self.opener.get_or_insert_with(|| Opener::of(encoding, *first));
        match opener {
            Opener::AsItIs => Ok(piece.clone()),
            Opener::Gzip(decoder) => {
                decoder.write_all(piece)?;
                decoder.flush()?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
            Opener::Deflate(decoder) => {
                decoder.write_all(piece)?;
                decoder.flush()?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
        }
    }

    /// The end: what is missing shows here.
    fn finish(&mut self) -> io::Result<Bytes> {
        match &mut self.opener {
            None | Some(Opener::AsItIs) => Ok(Bytes::new()),
            Some(Opener::Gzip(decoder)) => {
                decoder.try_finish()?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
            Some(Opener::Deflate(decoder)) => {
                decoder.try_finish()?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
        }
    }
}

impl Opener {
    fn of(encoding: Encoding, first: u8) -> Self {
        match encoding {
            _ if !encoding.begins_with(first) => Self::AsItIs,
            Encoding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Encoding::Deflate => Self::Deflate(Box::new(ZlibDecoder::new(Vec::new()))),
        }
    }
}

/// Whether an answer is compressed in a way that is not opened.
pub(crate) fn is_closed(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_ENCODING)
}
