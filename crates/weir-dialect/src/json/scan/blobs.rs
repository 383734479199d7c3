//! What in a request is no text, though it is written in letters: images, sounds, files, and what a provider has encrypted
//! for itself. They are told by the place they lie at and the type of the part they lie in; whatever else looks like
//! base64 is text that a model reads.

use super::Scanner;

/// How much a value of base64 counts as text, in bytes: as 1,600 tokens, the most that an image takes with Anthropic.
const BLOB_BYTES: usize = 6_400;

/// How much of the beginning of a value is looked at to tell whether it is base64, in bytes.
const BLOB_SEEN_BYTES: usize = 256;

/// Arrays and objects in one another that are looked into: the protocols need about half of them.
const DEEP_MAX: usize = 24;

/// The members that may hold such a value.
#[derive(Clone, Copy)]
enum Holder {
    Data,
    Url,
    ImageUrl,
    FileData,
    Result,
    Encrypted,
    Signature,
}

const HOLDERS: usize = 7;

impl Holder {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "data" => Self::Data,
            "url" => Self::Url,
            "image_url" => Self::ImageUrl,
            "file_data" => Self::FileData,
            "result" => Self::Result,
            "encrypted_content" => Self::Encrypted,
            "signature" => Self::Signature,
            _ => return None,
        })
    }
}

/// The member that a part of a message lies in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Parts,
    Image,
    Sound,
    Source,
}

impl Within {
    /// Of the members on the way to images, sounds and files. Arguments of tools and schemas are none of them.
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "content" | "file" | "output" | "outputs" | "input_image_mask" => Self::Parts,
            "image_url" | "video_url" => Self::Image,
            "input_audio" | "audio" => Self::Sound,
            "source" => Self::Source,
            _ => return None,
        })
    }
}

/// What is known of an object when all of it has been read. Of members with one name the last counts, as most parsers
/// have it.
#[derive(Default)]
struct Part<'a> {
    kind: &'a str,
    media: &'a str,
    /// By [`Holder`]: what would be left out.
    found: [usize; HOLDERS],
}

impl Part<'_> {
    /// How many bytes of it are no text.
    fn surplus(&self, within: Within) -> usize {
        let is = |kind: &str| self.kind.strip_prefix('"').and_then(|k| k.strip_suffix('"')) == Some(kind);
        let counts = |holder| match holder {
            Holder::Data => match within {
                Within::Sound => true,
                Within::Source => is("base64") && !is_text(self.media.trim_start_matches('"')),
                Within::Parts | Within::Image => is("redacted_thinking"),
            },
            Holder::Url => within == Within::Image || is("image"),
            Holder::ImageUrl | Holder::FileData | Holder::Encrypted => true,
            Holder::Result => is("image_generation_call"),
            Holder::Signature => is("thinking"),
        };
        use Holder::{Data, Encrypted, FileData, ImageUrl, Result, Signature, Url};
        let all = [Data, Url, ImageUrl, FileData, Result, Encrypted, Signature];
        all.into_iter().zip(self.found).filter(|(holder, _)| counts(*holder)).map(|(_, bytes)| bytes).sum()
    }
}

/// How many bytes of a value that is JSON are no text: it is read once more, so only where [`may_be`] said so of a part.
pub(in super::super) fn surplus(value: &str) -> usize {
    let mut scanner = Scanner { controls: false, ..Scanner::new("") };
    (scanner.text, scanner.rest) = (value, value.as_bytes());
    scanner.part(Within::Parts, DEEP_MAX).unwrap_or(0)
}

/// Whether a string that is `length` bytes long and begins so, behind `before`, may be no text.
pub(super) fn may_be(before: &str, begin: &[u8], length: usize) -> bool {
    let name = || before.trim_end().strip_suffix(':')?.trim_end().strip_suffix('"')?.rsplit('"').next();
    length > BLOB_BYTES && is_base64(begin) && name().and_then(Holder::of).is_some()
}

impl<'a> Scanner<'a> {
    /// Reads the value that begins here, and says how many bytes of it are no text. Depth costs stack, so it is bounded.
    fn part(&mut self, within: Within, deep: usize) -> Option<usize> {
        let open = match self.rest.first()? {
            open @ (b'{' | b'[') if deep > 0 => *open,
            _ => return self.value().map(|_| 0),
        };
        self.take(open)?;
        self.blank();
        let close = if open == b'{' { b'}' } else { b']' };
        if self.take(close).is_some() {
            return Some(0);
        }
        let (mut part, mut surplus) = (Part::default(), 0_usize);
        loop {
            let more = match open {
                b'{' => self.member_of(&mut part, deep)?,
                _ => self.part(within, deep.saturating_sub(1))?,
            };
            surplus = surplus.saturating_add(more);
            if !self.goes_on(close)? {
                return Some(surplus.saturating_add(part.surplus(within)));
            }
        }
    }

    fn member_of(&mut self, part: &mut Part<'a>, deep: usize) -> Option<usize> {
        let name = self.quoted()?.plain.unwrap_or_default();
        self.colon()?;
        if let Some(within) = Within::of(name).filter(|_| self.rest.first() != Some(&b'"')) {
            return self.part(within, deep.saturating_sub(1));
        }
        let escapes = self.surplus;
        let value = self.value()?;
        match name {
            "type" => part.kind = value,
            "media_type" => part.media = value,
            _ => {
                let slot = Holder::of(name).and_then(|holder| part.found.get_mut(holder as usize));
                if let Some(slot) = slot {
                    *slot = left_out(value, self.surplus.saturating_sub(escapes));
                }
            }
        }
        Some(0)
    }
}

/// How many bytes of a value are over [`BLOB_BYTES`], if it is base64. Of its escapes all are left out already.
fn left_out(value: &str, escapes: usize) -> usize {
    match value.strip_prefix('"') {
        Some(text) if is_base64(text.as_bytes()) => {
            text.len().saturating_sub(escapes).saturating_sub(BLOB_BYTES.saturating_add(1))
        }
        _ => 0,
    }
}

/// Whether a string's beginning is base64, by itself or in a `data:` URL of what is no text. Slashes may be escaped.
fn is_base64(begin: &[u8]) -> bool {
    let seen = begin.get(..BLOB_SEEN_BYTES.min(begin.len())).unwrap_or_default();
    let body = match seen.strip_prefix(b"data:") {
        None => Some(seen),
        Some(url) => memchr::memchr(b',', url).and_then(|at| {
            let (media, body) = url.split_at_checked(at)?;
            let is_blob = media.to_ascii_lowercase().ends_with(b";base64")
                && !std::str::from_utf8(media).is_ok_and(is_text);
            body.split_first().filter(|_| is_blob).map(|(_, body)| body)
        }),
    };
    body.is_some_and(|body| body.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-\\".contains(byte)))
}

/// Whether a media type is one of texts, its slash escaped or not.
fn is_text(media: &str) -> bool {
    media.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("text"))
}
