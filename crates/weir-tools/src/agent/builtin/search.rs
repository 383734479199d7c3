//! Looking for a text in files.

use serde::Deserialize;
use weir_core::tool::cleaned;

use super::Outcome;
use super::files::{locate, text_of};
use super::walk::walk;
use crate::level::Roots;

/// How many lines are shown.
const FOUND_MAX: usize = 200;

/// How much of a line is shown, in characters.
const LINE_CHARS_MAX: usize = 300;

/// How many folders deep is looked.
const DEPTH_MAX: usize = 32;

/// How many bytes are read in one call.
const READ_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchArgs {
    text: String,
    path: Option<String>,
}

pub(super) fn search(roots: &Roots, args: &SearchArgs) -> Outcome {
    if args.text.is_empty() {
        return Err("`text` must not be empty".to_owned());
    }
    let path = args.path.as_deref().unwrap_or(".");
    let from = locate(roots, path)?;
    let mut hits = Hits::default();
    if from.is_file() {
        hits.look(path, &text_of(&from, path)?, &args.text);
        return Ok(hits.told(false));
    }
    let more = walk(&from, DEPTH_MAX, |found| {
        if found.kind.is_file()
            && !roots.is_own(&found.path)
            && let Ok(text) = text_of(&found.path, &found.name)
        {
            hits.look(&found.name, &text, &args.text);
        }
        hits.lines < FOUND_MAX && hits.read < READ_BYTES_MAX
    });
    Ok(hits.told(more.map_err(|error| format!("{}: {error}", weir_core::tool::quoted(path)))?))
}

#[derive(Default)]
struct Hits {
    text: String,
    lines: usize,
    read: usize,
}

impl Hits {
    fn look(&mut self, name: &str, text: &str, wanted: &str) {
        self.read = self.read.saturating_add(text.len());
        for (number, line) in text.lines().enumerate().filter(|(_, line)| line.contains(wanted)) {
            if self.lines >= FOUND_MAX {
                return;
            }
            self.lines += 1;
            self.text.push_str(&format!("{name}:{}: {}\n", number + 1, cleaned(line, LINE_CHARS_MAX)));
        }
    }

    fn told(mut self, more: bool) -> String {
        if self.lines == 0 {
            self.text.push_str("Nothing was found.\n");
        }
        if more || self.lines >= FOUND_MAX {
            self.text.push_str("[not everything was looked at: search in a folder of it]\n");
        }
        self.text
    }
}
