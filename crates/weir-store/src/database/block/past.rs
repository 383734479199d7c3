//! Records read for replaying: borrowed from the block, and only the members that a replay looks at.
//!
//! Decoding a whole record copies some forty texts; this copies none. It reads MessagePack itself, by the positions of
//! the members in `Stored` and in the structs of `weir_core::record`, and skips the others; a test holds it against the
//! whole decoding. Members that an older weir did not write have their default.

mod pack;

use std::borrow::Cow;

use weir_core::Timestamp;
use weir_core::decision::Source;
use weir_core::record::{Past, PastFacts, PastIdentity, PastRequest, Stats};

use self::pack::{Members, Reader};
use super::{Entry, corrupt};
use crate::error::Result;

impl Entry<'_> {
    /// Shows the record to `see`. `tags` is room for the tags of its identity.
    pub(in crate::database) fn see(&self, tags: &mut Vec<String>, see: impl FnOnce(&Past<'_>)) -> Result<()> {
        tags.clear();
        let mut past = self.past(tags).ok_or_else(|| corrupt("a record is cut short or no record"))?;
        past.facts.identity.tags = tags;
        see(&past);
        Ok(())
    }

    fn past<'a>(&'a self, tags: &mut Vec<String>) -> Option<Past<'a>> {
        let mut reader = Reader::new(self.record);
        let mut members = Members::of(&mut reader)?;
        let at = Timestamp::from_nanosecond(i128::from(members.int()?)).ok()?;
        let subject = members.text()?;
        let outcome = members.text()?;
        let rule = members.optional_text()?;
        let because = members.optional_text()?;
        members.skip(2)?;
        let foreign = is_foreign(&mut members)?;
        members.skip(2)?;
        let source = source(members.text()?)?;
        members.skip(1)?;
        let mut past = Past {
            id: self.id,
            boundary: self.boundary,
            subject,
            at,
            outcome,
            rule,
            because,
            source,
            foreign,
            ended_at: None,
            limit: None,
            failures: Cow::Borrowed(&[]),
            tool: None,
            facts: PastFacts::default(),
            key_id: None,
        };
        result(members.reader()?, &mut past)?;
        facts(members.reader()?, &mut past.facts, tags)?;
        past.key_id = key_id(&mut members)?;
        Some(past)
    }
}

fn source(word: &str) -> Option<Source> {
    Some(match word {
        "fresh" => Source::Fresh,
        "cache" => Source::Cache,
        "static" => Source::Static,
        _ => return None,
    })
}

/// Whether one of the rules that matched has no version.
fn is_foreign(members: &mut Members<'_, '_>) -> Option<bool> {
    let reader = members.reader()?;
    let mut foreign = false;
    for _ in 0..reader.array()? {
        let mut matched = Members::of(reader)?;
        matched.skip(1)?;
        foreign |= matched.text()?.is_empty();
        matched.end()?;
    }
    Some(foreign)
}

/// Of what came of the request: where it ended, its limit, its failures, its tool call.
fn result<'a>(reader: &mut Reader<'a>, past: &mut Past<'a>) -> Option<()> {
    let mut members = Members::of(reader)?;
    members.skip(3)?;
    past.ended_at = members.optional_text()?;
    past.limit = members.optional_text()?;
    members.skip(7)?;
    let failures = members.raw()?;
    // An empty array is one octet.
    if failures.len() > 1 {
        past.failures = Cow::Owned(rmp_serde::from_slice(failures).ok()?);
    }
    let tool = members.raw()?;
    if tool.len() > 1 {
        past.tool = Some(Cow::Owned(rmp_serde::from_slice(tool).ok()?));
    }
    members.end()
}

fn facts<'a>(reader: &mut Reader<'a>, facts: &mut PastFacts<'a>, tags: &mut Vec<String>) -> Option<()> {
    let mut members = Members::of(reader)?;
    if let Some(reader) = members.next() {
        facts.request = request(reader)?;
    }
    if let Some(reader) = members.next() {
        facts.identity = identity(reader, tags)?;
    }
    if let Some(reader) = members.next() {
        facts.stats = stats(reader)?;
    }
    facts.stats_known = members.flag()?;
    facts.redacted = members.flag()?;
    members.end()
}

fn request<'a>(reader: &mut Reader<'a>) -> Option<PastRequest<'a>> {
    let mut members = Members::of(reader)?;
    let request = PastRequest {
        api: members.text()?,
        path: members.text()?,
        model: members.text()?,
        provider: members.text()?,
        free: members.flag()?,
        stream: members.flag()?,
        max_tokens: members.int()?,
        has_tools: members.flag()?,
        byok: members.flag()?,
        feature: members.text()?,
        editor: members.text()?,
        user_agent: members.text()?,
        ip: members.text()?,
        ja4: members.text()?,
        country: members.text()?,
        city: members.text()?,
        body_bytes: members.int()?,
    };
    members.end()?;
    Some(request)
}

fn identity<'a>(reader: &mut Reader<'a>, tags: &mut Vec<String>) -> Option<PastIdentity<'a>> {
    let mut members = Members::of(reader)?;
    let identity = PastIdentity {
        key: members.text()?,
        kind: members.text()?,
        user_id: members.text()?,
        org_id: members.text()?,
        project_id: members.text()?,
        plan: members.text()?,
        verified: members.flag()?,
        blocked: members.flag()?,
        age_days: members.int()?,
        tags: &[],
    };
    if let Some(reader) = members.next() {
        for _ in 0..reader.array()? {
            tags.push(reader.text()?.to_owned());
        }
    }
    members.end()?;
    Some(identity)
}

fn stats(reader: &mut Reader<'_>) -> Option<Stats> {
    let mut members = Members::of(reader)?;
    let stats = Stats {
        requests_per_second: members.double()?,
        requests_1h: members.int()?,
        tokens_1h: members.int()?,
        spend_1h_usd: members.double()?,
        denied_1h: members.int()?,
        ips_1h: members.int()?,
        first_seen_s: members.int()?,
    };
    members.end()?;
    Some(stats)
}

fn key_id<'a>(members: &mut Members<'_, 'a>) -> Option<Option<&'a str>> {
    let Some(reader) = members.next() else { return Some(None) };
    if reader.nil() {
        return Some(None);
    }
    let mut call = Members::of(reader)?;
    let id = call.optional_text()?;
    call.end()?;
    Some(id)
}

#[cfg(test)]
mod tests;
