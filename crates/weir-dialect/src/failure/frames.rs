//! Server-sent events within a failure's text: what their `data` lines hold.

/// Whether a text is a stream of events, or what was copied of one.
pub(super) fn is_stream(text: &str) -> bool {
    let first = |line: &&str| !line.trim().is_empty();
    lines(text)
        .filter(first)
        .take(2)
        .any(|line| ["data:", "event:"].iter().any(|field| line.trim_start().starts_with(field)))
}

/// The data of each event, in order. Lines without a field, as a terminal breaks them, belong to the data before.
pub(super) fn payloads(text: &str) -> Vec<String> {
    let mut payloads: Vec<String> = Vec::new();
    let mut open = false;
    for line in lines(text) {
        let line = line.trim_start();
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        match field {
            "data" if open => extend(&mut payloads, value),
            "data" => {
                open = true;
                payloads.push(value.trim().to_owned());
            }
            "event" | "id" | "retry" | "" => open = false,
            _ if open => extend(&mut payloads, line),
            _ => payloads.push(line.to_owned()),
        }
    }
    payloads.retain(|payload| !payload.is_empty() && payload != "[DONE]");
    payloads
}

/// The lines, of which a carriage return alone ends one, too.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('\r'))
}

fn extend(payloads: &mut [String], line: &str) {
    if let Some(last) = payloads.last_mut() {
        last.push('\n');
        last.push_str(line);
    }
}
