//! Reads past a message that is too long to keep, and remembers its id.

/// How long an id or a name may be that is remembered, in bytes.
const TOKEN_BYTES_MAX: usize = 256;

/// Walks over JSON of any size in constant memory.
#[derive(Debug, Default)]
pub(crate) struct Skim {
    depth: u32,
    within_string: bool,
    escaped: bool,
    /// At the outer object's level: what has been read of the name or the value at hand.
    token: Vec<u8>,
    /// The name that the value at hand belongs to.
    name: Option<Vec<u8>>,
    id: Option<Vec<u8>>,
    method: bool,
}

impl Skim {
    /// Reads on.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.step(*byte);
        }
    }

    /// The id, as it was written.
    pub(crate) fn id(&self) -> Option<String> {
        let id = self.id.as_ref().filter(|id| !id.is_empty() && id.len() < TOKEN_BYTES_MAX);
        id.and_then(|id| String::from_utf8(id.clone()).ok())
    }

    /// Whether the message has a method.
    pub(crate) fn method(&self) -> bool {
        self.method
    }

    fn step(&mut self, byte: u8) {
        if self.within_string {
            self.keep(byte);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.within_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => {
                self.within_string = true;
                self.keep(byte);
            }
            b'{' | b'[' => {
                self.depth = self.depth.saturating_add(1);
                self.keep(byte);
                if self.depth == 1 {
                    self.token.clear();
                }
            }
            b'}' | b']' => {
                if self.depth == 1 {
                    self.value_ends();
                }
                self.depth = self.depth.saturating_sub(1);
                self.keep(byte);
            }
            b':' if self.depth == 1 => self.name = Some(std::mem::take(&mut self.token)),
            b',' if self.depth == 1 => self.value_ends(),
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => self.keep(byte),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.token.len() < TOKEN_BYTES_MAX {
            self.token.push(byte);
        }
    }

    fn value_ends(&mut self) {
        let value = std::mem::take(&mut self.token);
        match self.name.take().as_deref() {
            Some(b"\"id\"") => self.id = Some(value),
            Some(b"\"method\"") => self.method = true,
            _ => {}
        }
    }
}
