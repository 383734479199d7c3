//! `weir decide`: the decision point alone. Facts come in a line at a time, decisions go out in the same order.
//!
//! It opens no store and writes nothing. Like every other way to a decision it goes through
//! [`RuleSet::decide_request`], [`RuleSet::decide_failure`] or [`RuleSet::decide_tool`].

use std::io::{self, BufRead, Write};

use serde::Serialize;
use serde_json::{Map, Value as Json};
use weir_core::action::QuarantineDelays;
use weir_core::clock::Clock;
use weir_core::failure::{Class, Owner, Retry};
use weir_core::words::size;
use weir_core::{Boundary, Decision, DecisionId, Timestamp};
use weir_rules::tool::Scene;
use weir_rules::{Classification, DecideContext, EvaluateContext, Fact, OwnedFacts, Report, RuleSet, World};
use weir_store::clock::SystemClock;

use crate::cli::{DecideArgs, On};
use crate::diagnostics;
use crate::exit::{Failure, Verdict, say};
use crate::rule_files;

use super::{load_settings, refuse};

mod lines;
mod strict;
mod tool;

use lines::{Line, Lines};
use strict::Unread;
use tool::{DecidedCall, ToolWorld};

/// Runs the command over stdin and stdout.
///
/// # Errors
/// Rules with errors, unreadable input.
pub fn run(args: &DecideArgs) -> Result<Verdict, Failure> {
    let settings = load_settings(args.config.config.as_deref())?;
    let house = settings.config.providers.iter().filter(|provider| provider.house);
    let point = DecisionPoint {
        on: args.on,
        house: house.map(|provider| provider.name.clone()).collect(),
        rules: load_rules(args, settings.config.rules.as_deref())?,
        delays: settings.config.abuse.quarantine.delays,
        tools: ToolWorld::new(settings.config.tools),
    };
    point.answer(io::stdin().lock(), io::stdout().lock(), &SystemClock)
}

/// The rules of `--rules`, else the configuration's.
fn load_rules(args: &DecideArgs, configured: Option<&[std::path::PathBuf]>) -> Result<RuleSet, Failure> {
    let mut problems = Vec::new();
    let now = SystemClock.now();
    let rules = if args.rules.is_empty() {
        if configured.is_none() && args.on != On::Failure {
            say("warning: no --rules, and the configuration lists no rule files: no rule is asked");
        }
        rule_files::load_of_config(configured.unwrap_or_default(), now, &mut problems).map(|(_, rules)| rules)
    } else {
        rule_files::compile(&rule_files::of_command_line(&args.rules)?, now, &mut problems)
    };
    rules.inspect(|_| diagnostics::print(&problems)).ok_or_else(|| refuse(&problems))
}

/// Everything that a decision depends on besides the facts and the time.
struct DecisionPoint {
    on: On,
    /// The providers with `house: true`.
    house: Vec<String>,
    rules: RuleSet,
    delays: QuarantineDelays,
    /// What the configuration knows of tools and channels.
    tools: ToolWorld,
}

/// The number of a rule set that no store has counted.
const EPOCH: u64 = 0;

/// A decision as a line. The id is the line's, and there is no time: the same facts give the same line.
#[derive(Serialize)]
struct Decided<'d> {
    id: Json,
    boundary: Boundary,
    subject: &'d str,
    outcome: &'d weir_core::Outcome,
    rule: Option<&'d str>,
    because: Option<&'d str>,
    instead: Option<&'d str>,
    sus_score: i64,
    matched: &'d [weir_core::Matched],
    errored: &'d [weir_core::Errored],
    obligations: &'d [weir_core::Obligation],
    source: weir_core::Source,
    epoch: u64,
}

/// A classification as a line.
#[derive(Serialize)]
struct Classified<'c> {
    id: Json,
    class: Class,
    owner: Owner,
    retry: Retry,
    report: Report,
    rule: Option<&'c str>,
    because: Option<&'c str>,
    instead: Option<&'c str>,
    retry_after_s: Option<f64>,
}

/// A line that could not be decided.
#[derive(Serialize)]
struct Refused {
    id: Json,
    error: LineError,
}

/// What is wrong with a line, and at which fact.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct LineError {
    message: String,
    path: String,
}

impl LineError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), path: String::new() }
    }
}

impl DecisionPoint {
    /// Answers each line with one line, flushed, so that a program may hold a conversation.
    fn answer(
        &self,
        input: impl BufRead,
        mut output: impl Write,
        clock: &dyn Clock,
    ) -> Result<Verdict, Failure> {
        let mut verdict = Verdict::Good;
        let mut lines = Lines::new(input);
        let mut number = 0_u64;
        while let Some(line) = lines.next().map_err(|e| Failure::Input(format!("stdin: {e}")))? {
            number += 1;
            let by_number = Json::String(number.to_string());
            let now = clock.now();
            match self.read(&line, now) {
                Ok((id, facts)) => self.decide(&mut output, id.unwrap_or(by_number), &facts, now)?,
                Err((id, error)) => {
                    verdict = Verdict::BadInput;
                    write_line(&mut output, &Refused { id: id.unwrap_or(by_number), error })?;
                }
            }
        }
        Ok(verdict)
    }

    fn decide(
        &self,
        output: &mut impl Write,
        id: Json,
        given: &OwnedFacts,
        now: Timestamp,
    ) -> io::Result<()> {
        let facts = given.as_facts();
        let at = facts.now().unwrap_or(now);
        let subject = facts.str(Fact::IdentityKey);
        if self.on == On::Failure {
            let found = self.rules.decide_failure(&facts, &EvaluateContext { subject, at });
            return write_line(output, &Classified::new(id, &found));
        }
        let context = DecideContext {
            id: DecisionId::new(at, [0; 10]),
            subject,
            epoch: EPOCH,
            at,
            delays: self.delays,
        };
        if self.on == On::Tool {
            let mut facts = given.as_facts();
            let others = self.tools.others();
            let made =
                self.rules.decide_tool(&mut facts, &Scene { others: &others, ..Scene::default() }, &context);
            return write_line(output, &DecidedCall::new(id, &made));
        }
        let decision = self.rules.decide_request(&facts, &context);
        write_line(output, &Decided::new(id, &decision))
    }

    /// A line's id and facts. Of a failure the configuration knows whether the provider is of the house.
    fn read(&self, line: &Line, now: Timestamp) -> Read {
        let mut members = parse(line)?;
        let id = take_id(&mut members).map_err(|error| (None, error))?;
        if self.on == On::Tool {
            self.tools.complete(&mut members);
        }
        let world = World { now: Some(now), is_house: &|name| self.house.iter().any(|house| house == name) };
        match OwnedFacts::from_json_in(self.on.boundary(), &Json::Object(members), &world) {
            Ok(facts) => Ok((id, facts)),
            Err(error) => Err((id, LineError { message: error.message, path: error.path })),
        }
    }
}

impl On {
    const fn boundary(self) -> Boundary {
        match self {
            Self::Request => Boundary::Request,
            Self::Failure => Boundary::Failure,
            Self::Tool => Boundary::Tool,
        }
    }
}

impl<'c> Classified<'c> {
    fn new(id: Json, found: &'c Classification) -> Self {
        Self {
            id,
            class: found.class,
            owner: found.owner,
            retry: found.retry,
            report: found.report,
            rule: found.rule.as_deref(),
            because: found.because.as_deref(),
            instead: found.instead.as_deref(),
            retry_after_s: found.retry_after_s,
        }
    }
}

impl<'d> Decided<'d> {
    fn new(id: Json, decision: &'d Decision) -> Self {
        Self {
            id,
            boundary: decision.boundary,
            subject: &decision.subject,
            outcome: &decision.outcome,
            rule: decision.rule.as_deref(),
            because: decision.because.as_deref(),
            instead: decision.instead.as_deref(),
            sus_score: decision.sus_score,
            matched: &decision.matched,
            errored: &decision.errored,
            obligations: &decision.obligations,
            source: decision.source,
            epoch: decision.epoch,
        }
    }
}

fn write_line(output: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

/// A line's own id, if it could be read, and its facts or what is wrong with them.
type Read = Result<(Option<Json>, OwnedFacts), (Option<Json>, LineError)>;

fn parse(line: &Line) -> Result<Map<String, Json>, (Option<Json>, LineError)> {
    let error = |message: String| (None, LineError::new(message));
    let bytes = match line {
        Line::Whole(bytes) => bytes,
        Line::TooLong => {
            return Err(error(format!("the line is longer than {}", size(lines::LINE_BYTES_MAX))));
        }
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|e| error(format!("the line is not UTF-8 at byte {}", e.valid_up_to())))?;
    match strict::parse(text) {
        Ok(Json::Object(members)) => Ok(members),
        Ok(_) => Err(error("the line is no JSON object".to_owned())),
        Err(Unread::NoJson(why)) => Err(error(format!("the line is no JSON object: {why}"))),
        Err(Unread::Twice(path)) => {
            let message = format!("`{path}` stands twice; which of the two counts cannot be known");
            Err((id_beside(text, &path), LineError { message, path }))
        }
    }
}

/// The id of a line in which something else stands twice.
fn id_beside(text: &str, twice: &str) -> Option<Json> {
    let mut members = serde_json::from_str(text).ok()?;
    if twice == "id" { None } else { take_id(&mut members).ok()? }
}

fn take_id(members: &mut Map<String, Json>) -> Result<Option<Json>, LineError> {
    match members.remove("id") {
        None | Some(Json::Null) => Ok(None),
        Some(id @ (Json::String(_) | Json::Number(_))) => Ok(Some(id)),
        Some(_) => Err(LineError { message: "`id` must be a string or a number".into(), path: "id".into() }),
    }
}

#[cfg(test)]
mod tests;
