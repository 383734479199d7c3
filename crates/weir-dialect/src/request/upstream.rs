//! The body that goes upstream: the one that came, with a few places changed.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use weir_core::ApiKind;

use super::RequestBody;
use crate::json;

/// What is to be cut out to drop the `models` members, commas included.
#[derive(Default)]
pub(super) struct Cuts {
    ranges: Vec<Range<usize>>,
    /// The end of the member before, dropped or not.
    previous_end: Option<usize>,
    /// Whether a member before it stays.
    stays_before: bool,
    /// The start of dropped members that nothing stays before: they go with the comma that follows.
    leading: Option<usize>,
}

impl Cuts {
    /// Takes note of the next member of the object.
    pub(super) fn member(&mut self, name: &str, start: usize, end: usize) {
        if name != "models" {
            if let Some(leading) = self.leading.take() {
                self.ranges.push(leading..start);
            }
            self.stays_before = true;
        } else if self.stays_before {
            // With the comma before it.
            self.ranges.push(self.previous_end.unwrap_or(start)..end);
        } else {
            self.leading.get_or_insert(start);
        }
        self.previous_end = Some(end);
    }
}

/// One change: the bytes of `range` become `text`.
struct Edit<'a> {
    range: Range<usize>,
    text: Cow<'a, str>,
}

pub(super) fn body(request: &RequestBody, model: Option<&str>) -> Bytes {
    let mut edits: Vec<Edit<'_>> =
        request.cuts.ranges.iter().map(|range| Edit { range: range.clone(), text: "".into() }).collect();
    if let (Some(model), Some(range)) = (model, request.spans.model.clone())
        && model != request.model()
    {
        edits.push(Edit { range, text: json::quoted(model).into() });
    }
    if request.kind() == ApiKind::ChatCompletions && request.stream() {
        include_usage(request, &mut edits);
    }
    if edits.is_empty() {
        return request.body().clone();
    }
    edits.sort_by_key(|edit| edit.range.start);
    splice(request.body(), &edits)
}

fn splice(body: &[u8], edits: &[Edit<'_>]) -> Bytes {
    let more: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut out = Vec::with_capacity(body.len().saturating_add(more));
    let mut from = 0;
    for edit in edits {
        out.extend_from_slice(body.get(from..edit.range.start).unwrap_or_default());
        out.extend_from_slice(edit.text.as_bytes());
        from = edit.range.end;
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out.into()
}

/// Asks for usage at the end of a streamed chat, which is not sent otherwise; other members of `stream_options` stay.
fn include_usage(request: &RequestBody, edits: &mut Vec<Edit<'_>>) {
    const WHOLE: &str = r#"{"include_usage":true}"#;
    let Some(range) = request.spans.stream_options.clone() else {
        // The model is always there to put it behind.
        if let Some(model) = &request.spans.model {
            let text = format!(r#","stream_options":{WHOLE}"#);
            edits.push(Edit { range: model.end..model.end, text: text.into() });
        }
        return;
    };
    let options = request.raw(&request.spans.stream_options).unwrap_or_default();
    let (mut members, mut said) = (0_usize, Vec::new());
    let read = json::members(options, |member| {
        members = members.saturating_add(1);
        if member.key == "include_usage" {
            said.push(member.value);
        }
    });
    if read.is_err() || members == 0 {
        edits.push(Edit { range, text: WHOLE.into() });
    } else if said.is_empty() {
        let inside = range.start.saturating_add(1);
        edits.push(Edit { range: inside..inside, text: r#""include_usage":true,"#.into() });
    } else {
        for value in said.into_iter().filter(|value| *value != "true") {
            let at = json::span(options, value);
            let range = range.start.saturating_add(at.start)..range.start.saturating_add(at.end);
            edits.push(Edit { range, text: "true".into() });
        }
    }
}
