//! Mutations: bytes changed, parts moved, repeated, wrapped, mixed with those of another seed.

/// The words that reading looks for, so that mutations reach further in.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\\"",
    "\\",
    "'",
    ":",
    ",",
    "error",
    "message",
    "code",
    "type",
    "status",
    "detail",
    "data: ",
    "event: error\n",
    "\n\n",
    "\r\n",
    "metadata",
    "raw",
    "<html>",
    "<title>",
    "&#x27;",
    "None",
    "True",
    "API error (429",
    "Error code: 403 - ",
    "try again in ",
    "2m30s",
    "1e308",
    "-0",
    "\u{feff}",
    "\u{0}",
    "\\u0022",
    "\\ud800",
    "http://10.0.0.1/",
    "sk-",
    "bearer ",
    "://",
    "日本語",
    "retry_after",
    "An error occurred (",
];

/// How long an input becomes at most, in bytes: longer ones are among the seeds.
const BYTES_MAX: usize = 64 * 1024;

/// Makes inputs of seeds; the same for the same number.
pub struct Mutator {
    seeds: Vec<(String, Vec<u8>)>,
    state: u64,
    input: Vec<u8>,
}

impl Mutator {
    pub fn new(seeds: Vec<(String, Vec<u8>)>, seed: u64) -> Self {
        Self { seeds, state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, input: Vec::new() }
    }

    /// The next input.
    pub fn next(&mut self) -> &[u8] {
        let seed = self.below(self.seeds.len());
        self.input.clone_from(&self.seeds[seed].1);
        for _ in 0..=self.below(8) {
            self.mutate();
        }
        self.input.truncate(BYTES_MAX);
        &self.input
    }

    fn mutate(&mut self) {
        let length = self.input.len();
        let (from, to) = (self.below(length + 1), self.below(length + 1));
        let (from, to) = (from.min(to), from.max(to));
        match self.below(10) {
            0 => self.set_byte(from),
            1 => drop(self.input.drain(from..to)),
            2 => self.input.truncate(from),
            3 => self.insert_word(from),
            4 => {
                let part = self.input[from..to.min(from + 256)].to_vec();
                let times = 1 + self.below(64);
                self.insert(to, &part.repeat(times));
            }
            5 => {
                let other = self.below(self.seeds.len());
                let other = self.seeds[other].1.clone();
                let at = self.below(other.len() + 1);
                self.insert(from, &other[at..other.len().min(at + 4096)]);
            }
            6 => self.wrap(),
            7 => self.input[from..to].reverse(),
            8 => {
                let word = WORDS[self.below(WORDS.len())].repeat(1 + self.below(3000));
                self.insert(from, word.as_bytes());
            }
            _ => {
                for at in from..to.min(from + 8) {
                    self.set_byte(at);
                }
            }
        }
    }

    fn set_byte(&mut self, at: usize) {
        let byte = u8::try_from(self.below(256)).unwrap();
        if let Some(place) = self.input.get_mut(at) {
            *place = byte;
        }
    }

    fn insert_word(&mut self, at: usize) {
        let word = WORDS[self.below(WORDS.len())];
        self.insert(at, word.as_bytes());
    }

    fn insert(&mut self, at: usize, part: &[u8]) {
        let part = &part[..part.len().min(BYTES_MAX)];
        self.input.splice(at..at, part.iter().copied());
    }

    /// As a program wraps the errors of another.
    fn wrap(&mut self) {
        let head = super::input::HEAD_BYTES.min(self.input.len());
        let body = String::from_utf8_lossy(&self.input[head..]).into_owned();
        let json = serde_json::to_string(&body).unwrap();
        let wrapped = match self.below(6) {
            0 => format!("{{\"error\": {{\"message\": {json}}}}}"),
            1 => format!("data: {body}\n\n"),
            2 => format!("openai API error (403 Forbidden): {body}"),
            3 => format!("Error code: 429 - {{'error': {json}}}"),
            4 => format!("{{\"metadata\": {{\"raw\": {json}}}}}"),
            _ => format!("<html><body><p>{body}</p></body></html>"),
        };
        self.input.truncate(head);
        self.input.extend_from_slice(wrapped.as_bytes());
    }

    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        // xorshift64*: small, and good enough to choose with.
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let random = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(random).unwrap() % n.max(1)
    }
}
