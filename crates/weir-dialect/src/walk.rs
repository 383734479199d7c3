//! Walks JSON text as it comes, chunk by chunk, and tells where chosen members of the outer object, and of objects
//! directly in it, begin and end. It gathers nothing but the name being read, so a value may be of any size and cut
//! anywhere. It does not validate: of text that is no JSON it says nothing useful, but it never fails.

use memchr::memchr2;

/// Where a chosen member's value begins or ends, as an offset into the chunk being fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The value's first byte.
    Start {
        /// Its offset.
        at: usize,
        /// Whether it is a string.
        string: bool,
    },
    /// Just behind the value's last byte.
    End {
        /// The offset.
        at: usize,
    },
}

/// The way to a member: the indexes of the chosen names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// The member of the outer object.
    pub outer: usize,
    /// The member of the object that it holds, if it is that deep.
    pub inner: Option<usize>,
}

/// Longer names are none of the chosen ones.
const NAME_BYTES_MAX: usize = 24;

#[derive(Clone, Debug)]
pub(crate) struct Walker {
    names: &'static [&'static str],
    depth: usize,
    /// Of the two outermost containers: whether it is an object, and which chosen member is being read.
    levels: [Level; 2],
    within: Within,
    /// The next string is a member's name.
    expects_name: bool,
    name: Vec<u8>,
    done: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Level {
    object: bool,
    member: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Nothing,
    Scalar,
    Text { name: bool, escaped: bool },
}

impl Walker {
    /// A walker that reports these members.
    pub(crate) fn new(names: &'static [&'static str]) -> Self {
        Self {
            names,
            depth: 0,
            levels: [Level::default(); 2],
            within: Within::Nothing,
            expects_name: false,
            name: Vec::new(),
            done: false,
        }
    }

    /// Forgets all that was read.
    pub(crate) fn reset(&mut self) {
        let name = std::mem::take(&mut self.name);
        *self = Self { name, ..Self::new(self.names) };
    }

    /// Whether a whole object or array has been read.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Reads on, and calls `on_step` at each place of a chosen member.
    pub(crate) fn feed(&mut self, chunk: &[u8], on_step: &mut dyn FnMut(Path, Step)) {
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            at = match self.within {
                Within::Text { name, escaped } => self.text(chunk, at, name, escaped, on_step),
                Within::Nothing | Within::Scalar => {
                    self.structure(byte, at, on_step);
                    at.saturating_add(1)
                }
            };
        }
    }

    /// Reads on within a string; returns where to go on.
    fn text(
        &mut self,
        chunk: &[u8],
        at: usize,
        name: bool,
        escaped: bool,
        on_step: &mut dyn FnMut(Path, Step),
    ) -> usize {
        if escaped {
            // What is escaped cannot end the string; a name with escapes is none of the chosen ones.
            self.within = Within::Text { name, escaped: false };
            self.keep_name(name, b"\\");
            return at.saturating_add(1);
        }
        let rest = chunk.get(at..).unwrap_or_default();
        let Some(length) = memchr2(b'"', b'\\', rest) else {
            self.keep_name(name, rest);
            return chunk.len();
        };
        self.keep_name(name, rest.get(..length).unwrap_or_default());
        let end = at.saturating_add(length);
        if rest.get(length) == Some(&b'\\') {
            self.within = Within::Text { name, escaped: true };
        } else {
            self.within = Within::Nothing;
            if name { self.name_read() } else { self.end(end.saturating_add(1), on_step) }
        }
        end.saturating_add(1)
    }

    fn structure(&mut self, byte: u8, at: usize, on_step: &mut dyn FnMut(Path, Step)) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => self.end_scalar(at, on_step),
            b':' => self.expects_name = false,
            b',' => {
                self.end_scalar(at, on_step);
                self.expects_name = self.level().is_some_and(|level| level.object);
            }
            b'"' => {
                let name = self.expects_name;
                if name {
                    self.name.clear()
                } else {
                    self.start(at, true, on_step)
                }
                self.within = Within::Text { name, escaped: false };
            }
            b'{' | b'[' => {
                self.start(at, false, on_step);
                self.open(byte == b'{');
            }
            b'}' | b']' => {
                self.end_scalar(at, on_step);
                self.close();
                self.end(at.saturating_add(1), on_step);
            }
            _ if self.within == Within::Nothing => {
                self.start(at, false, on_step);
                self.within = Within::Scalar;
            }
            _ => {}
        }
    }

    fn open(&mut self, object: bool) {
        self.depth = self.depth.saturating_add(1);
        self.expects_name = false;
        if let Some(level) = self.level() {
            *level = Level { object, member: None };
            self.expects_name = object;
        }
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.expects_name = false;
        self.done |= self.depth == 0;
    }

    /// The innermost container, if it is one of the two outermost.
    fn level(&mut self) -> Option<&mut Level> {
        self.levels.get_mut(self.depth.checked_sub(1)?)
    }

    fn keep_name(&mut self, name: bool, part: &[u8]) {
        if name && self.name.len().saturating_add(part.len()) <= NAME_BYTES_MAX {
            self.name.extend_from_slice(part);
        } else if name {
            // Made too long for good, so that no later part can complete a chosen name.
            self.name.resize(NAME_BYTES_MAX, b'\\');
        }
    }

    fn name_read(&mut self) {
        self.expects_name = false;
        let member = self.names.iter().position(|name| name.as_bytes() == self.name);
        if let Some(level) = self.level() {
            level.member = member;
        }
    }

    fn path(&self) -> Option<Path> {
        let [outer, inner] = self.levels;
        let outer_member = outer.member.filter(|_| outer.object)?;
        match self.depth {
            1 => Some(Path { outer: outer_member, inner: None }),
            2 => inner
                .member
                .filter(|_| inner.object)
                .map(|inner| Path { outer: outer_member, inner: Some(inner) }),
            _ => None,
        }
    }

    fn start(&self, at: usize, string: bool, on_step: &mut dyn FnMut(Path, Step)) {
        if let Some(path) = self.path() {
            on_step(path, Step::Start { at, string });
        }
    }

    fn end_scalar(&mut self, at: usize, on_step: &mut dyn FnMut(Path, Step)) {
        if self.within == Within::Scalar {
            self.within = Within::Nothing;
            self.end(at, on_step);
        }
    }

    fn end(&self, at: usize, on_step: &mut dyn FnMut(Path, Step)) {
        if let Some(path) = self.path() {
            on_step(path, Step::End { at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Step, Walker};

    /// What is reported of `text`, fed in chunks of `size` bytes: `outer.inner=value`.
    fn walked(text: &str, size: usize) -> Vec<String> {
        const NAMES: &[&str] = &["a", "b", "model"];
        let mut walker = Walker::new(NAMES);
        let (mut found, mut open, mut base) = (Vec::new(), Vec::new(), 0);
        for chunk in text.as_bytes().chunks(size) {
            walker.feed(chunk, &mut |path, step| match step {
                Step::Start { at, .. } => open.push(base + at),
                Step::End { at } => {
                    let value = &text[open.pop().unwrap()..base + at];
                    let inner = path.inner.map_or(String::new(), |i| format!(".{}", NAMES[i]));
                    found.push(format!("{}{inner}={value}", NAMES[path.outer]));
                }
            });
            base += chunk.len();
        }
        assert!(open.is_empty(), "{text}");
        found
    }

    #[test]
    fn chosen_members_are_found_at_any_chunking() {
        let table: &[(&str, &[&str])] = &[
            (r#"{"a":1,"c":2,"b":"x"}"#, &["a=1", r#"b="x""#]),
            (
                r#"{ "a" : { "model" : "m" , "q":{"model":3} } }"#,
                &[r#"a.model="m""#, r#"a={ "model" : "m" , "q":{"model":3} }"#],
            ),
            (r#"{"x":{"model":"no"},"model":"yes"}"#, &[r#"model="yes""#]),
            (r#"{"a":["model",{"model":1}],"b":null}"#, &[r#"a=["model",{"model":1}]"#, "b=null"]),
            (r#"{"c":"model","a":"q\"\\"}"#, &[r#"a="q\"\\""#]),
            (r#"{"a\u0020":1,"aa":2,"averyveryveryverylongnamethatendsina":3,"a":4}"#, &["a=4"]),
            (r#"[{"a":1}]"#, &[]),
            (r#""a":1"#, &[]),
            (r#"{"a":{},"b":[]}"#, &["a={}", "b=[]"]),
            (r#"{"a":{"b":true}}"#, &["a.b=true", r#"a={"b":true}"#]),
        ];
        for (text, expected) in table {
            for size in 1..=text.len() {
                assert_eq!(walked(text, size), *expected, "{text} in chunks of {size}");
            }
        }
    }

    #[test]
    fn garbage_is_walked_without_harm() {
        for text in ["}}}}]", "\"\\", "{\"a\"", ",,,:::", "{\"a\":}", "\u{feff}{"] {
            let mut walker = Walker::new(&["a"]);
            walker.feed(text.as_bytes(), &mut |_, _| {});
            walker.reset();
            let mut found = 0;
            walker.feed(br#"{"a":1}"#, &mut |_, _| found += 1);
            assert_eq!((found, walker.is_done()), (2, true), "{text}");
        }
    }
}
