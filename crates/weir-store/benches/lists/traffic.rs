//! The traffic of a busy gateway, made up record by record: the same for the same numbers.

use jiff::Timestamp;
use weir_core::record::{
    IdentityFacts, ProviderCall, Record, RecordedFacts, RequestFacts, RequestResult, Stats, ToolRecord, Usage,
};
use weir_core::{Action, Boundary, Decision, DecisionId, Matched, Mode, Outcome, Source};

/// An identity with [`RARE`] decisions, all over the log, and one with none.
pub const RARE_SUBJECT: &str = "user:seldom";
pub const NOBODY: &str = "user:nobody";
/// A rule that hit three times.
pub const RARE_RULE: &str = "seldom";

/// The last record's time, about.
const END: &str = "2026-11-20T12:00:00Z";

/// How often the background log writes, each second.
const FLUSHES: u64 = 10;

/// How many records there are, and how fast they came.
#[derive(Clone, Copy)]
pub struct Traffic {
    pub records: u64,
    pub rate: u64,
}

/// Mixes the bits of a number (splitmix64).
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// An identity: those with small numbers are busier.
pub fn subject(n: u64) -> String {
    format!("user:u{n}")
}

/// One of 200,000, by a law that gives the first one some ten of a thousand requests.
fn somebody(random: u64) -> String {
    let uniform = (random >> 11) as f64 / (1_u64 << 53) as f64;
    subject(200_000_f64.powf(uniform) as u64 - 1)
}

impl Traffic {
    pub fn end(&self) -> Timestamp {
        END.parse().unwrap()
    }

    fn begin_ms(&self) -> i64 {
        self.end().as_millisecond() - (self.records * 1_000 / self.rate) as i64
    }

    pub fn begin(&self) -> Timestamp {
        Timestamp::from_millisecond(self.begin_ms()).unwrap()
    }

    /// Records that the background log writes at once.
    pub fn batch(&self) -> u64 {
        (self.rate / FLUSHES).clamp(1, 1_000)
    }

    fn at(&self, n: u64) -> Timestamp {
        Timestamp::from_millisecond(self.begin_ms() + (n * 1_000 / self.rate) as i64).unwrap()
    }

    fn id(&self, n: u64) -> DecisionId {
        id(n, self.at(n))
    }

    /// The id of the record at this part of the log.
    pub fn id_at(&self, part: f64) -> DecisionId {
        self.id((self.records as f64 * part) as u64)
    }

    /// An id of the log's time that nothing has.
    pub fn no_id(&self) -> DecisionId {
        DecisionId::new(self.at(self.records / 3), [0; 10])
    }

    /// The record with this number.
    pub fn record(&self, n: u64) -> Record {
        self.record_at(n, self.at(n))
    }

    /// The same, made at another time.
    pub fn record_at(&self, n: u64, at: Timestamp) -> Record {
        let (id, random) = (id(n, at), mixed(n));
        let subject = match n {
            // Five of them, all over.
            n if n % (self.records / 5) == self.records / 10 => RARE_SUBJECT.to_owned(),
            _ => somebody(mixed(random)),
        };
        let mut decision =
            Decision { source: Source::Fresh, ..Decision::unasked(id, subject.clone(), 7, at) };
        let is_tool = random % 50 == 1;
        if n % (self.records / 3) == self.records / 7 {
            hit(&mut decision, RARE_RULE, Action::Block);
        } else if random % 1_000 < 14 && !is_tool {
            let action = match random % 1_000 {
                0..10 => Action::Log,
                10..13 => Action::RateLimit,
                _ => Action::Block,
            };
            hit(&mut decision, &format!("watch-{}", random / 1_000 % 40 / 39), action);
        }
        if is_tool { tool(decision, subject, random) } else { request(decision, subject, random) }
    }
}

fn id(n: u64, at: Timestamp) -> DecisionId {
    let [a, b] = [mixed(n), mixed(!n)].map(u64::to_be_bytes);
    DecisionId::new(at, [a[0], a[1], a[2], a[3], a[4], a[5], b[0], b[1], b[2], b[3]])
}

fn tool(mut decision: Decision, subject: String, random: u64) -> Record {
    decision.boundary = Boundary::Tool;
    let denied = random.is_multiple_of(7);
    decision.outcome = Outcome::new(if denied { "deny" } else { "allow" });
    let tool = ToolRecord {
        call_id: format!("call_{random:016x}"),
        name: "shell".to_owned(),
        channel: "default".to_owned(),
        session: format!("s{}", random % 1_000),
        args_digest: format!("{random:016x}{:016x}", mixed(random)),
        args: vec!["command".to_owned()],
        ended: if denied { "denied" } else { "ran" }.to_owned(),
        duration_ms: 12.0,
        ..ToolRecord::default()
    };
    let result = RequestResult { tool: Some(Box::new(tool)), ..RequestResult::default() };
    let identity = IdentityFacts { key: subject, kind: "user".to_owned(), ..IdentityFacts::default() };
    let facts = RecordedFacts { identity, ..RecordedFacts::default() };
    Record { decision, result, facts, call: None }
}

fn request(decision: Decision, subject: String, random: u64) -> Record {
    let model = ["openai/gpt-4o", "openai/gpt-4o", "anthropic/claude-sonnet-5", "meta/llama-4"]
        [(random % 4) as usize];
    let request = RequestFacts {
        api: "chat_completions".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        model: model.to_owned(),
        provider: model.split('/').next().unwrap().to_owned(),
        stream: random.is_multiple_of(2),
        max_tokens: (random % 4_000) as i64,
        user_agent: match random % 5_000 {
            9 => "curl/8.5.0".to_owned(),
            other => format!("OpenAI/Python 2.{}.0", other % 50),
        },
        ip: format!("203.0.{}.{}", random % 113, random % 250),
        ja4: "t13d1516h2_8daaf6152771_b186095e22b6".to_owned(),
        country: "DE".to_owned(),
        body_bytes: (random % 9_000) as i64,
        ..RequestFacts::default()
    };
    let identity = IdentityFacts {
        key: subject.clone(),
        kind: "user".to_owned(),
        user_id: subject.trim_start_matches("user:").to_owned(),
        plan: ["free", "pro"][(random % 2) as usize].to_owned(),
        ..IdentityFacts::default()
    };
    let stats = Stats { requests_1h: (random % 600) as i64, ..Stats::default() };
    let facts = RecordedFacts { request, identity, stats, stats_known: true, ..RecordedFacts::default() };
    let mut result = RequestResult {
        request_id: format!("req_{:016x}{random:016x}", mixed(!random)),
        status: if decision.outcome.as_str() == "block" { 403 } else { 200 },
        usage: Some(Usage { input_tokens: random % 3_000, output_tokens: random % 900, ..Usage::default() }),
        ..RequestResult::default()
    };
    result.timings.total_ms = 300.0 + (random % 900) as f64 / 7.0;
    result.timings.overhead_ms = (random % 90) as f64 / 300.0;
    let call = ProviderCall {
        key_id: Some("key_0123456789abcdef".to_owned()),
        requested_model: model.to_owned(),
        upstream_model: model.to_owned(),
        provider: facts.request.provider.clone(),
        user_byok: false,
        message_id: Some(format!("chatcmpl-{random:016x}{:08x}", mixed(random) as u32)),
    };
    Record { decision, result, facts, call: Some(call) }
}

fn matched(rule: &str, action: &str) -> Matched {
    Matched {
        rule: rule.to_owned(),
        version: "0123456789abcdef".to_owned(),
        action: action.to_owned(),
        mode: Mode::Enforce,
    }
}

fn hit(decision: &mut Decision, rule: &str, action: Action) {
    decision.outcome = Outcome::from(action);
    decision.rule = Some(rule.to_owned());
    decision.because = Some("it looks like a script that was not told of the price".to_owned());
    decision.matched = vec![matched(rule, action.as_str())];
}
