//! Failures of providers: from evidence to one class (design, sections 1 and 4).
//!
//! The operator's rules are asked first, then the built-in pack, a rule file in the same language
//! (`packs/failure.yaml`). The first match wins. Nothing here knows what an error means: every class comes from a rule,
//! and without the pack everything is `unknown`.

mod line;
mod past;
mod upstream;
mod vocabulary;

use std::sync::LazyLock;

use jiff::Timestamp;
use serde::Serialize;
pub use weir_core::failure::CredentialOwner;
use weir_core::failure::{Class, Owner, Retry};
use weir_core::{Boundary, Errored, Matched, Mode};
use weir_dialect::failure::Evidence;

use crate::facts::{Fact, Facts};
use crate::load::{self, LoadOptions, SourceFile};
use crate::rule::{ClassThen, Report, Rule, Then};
use crate::set::{EvaluateContext, RuleSet};

pub(crate) use line::FailureLine;
pub(crate) use past::classify_past;
pub use upstream::{About, Told, UpstreamFailure};
pub use vocabulary::is_of_errors;

/// The name of the built-in pack in diagnostics.
pub const PACK_NAME: &str = "built-in/failure.yaml";

/// The text of the built-in pack: a rule file.
pub const PACK_TEXT: &str = include_str!("../packs/failure.yaml");

static PACK: LazyLock<RuleSet> = LazyLock::new(|| {
    let files = [SourceFile { name: PACK_NAME.to_owned(), text: PACK_TEXT.to_owned() }];
    let options = LoadOptions { now: Timestamp::UNIX_EPOCH };
    // A test loads the pack: with errors in it no release is built. Without a pack everything is `unknown`.
    load::load_reserved(&files, &options, None).map(|loaded| loaded.rules).unwrap_or_default()
});

/// The built-in pack. The first call compiles it.
#[must_use]
pub fn pack() -> &'static RuleSet {
    &PACK
}

/// What is known of a failure besides its evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Whose credential was used.
    pub credential: CredentialOwner,
    /// The provider is configured with `house: true`.
    pub house: bool,
    /// Which attempt this was, from 1; zero when unknown.
    pub attempt: u32,
    /// How many attempts there may be; zero when unknown.
    pub attempts: u32,
}

/// What a failure is, who must act, and what to do about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Classification {
    /// What it is.
    pub class: Class,
    /// Who must act.
    pub owner: Owner,
    /// Whether another try can help.
    pub retry: Retry,
    /// Whether it is reported.
    pub report: Report,
    /// The rule that decided; none when nothing matched.
    pub rule: Option<String>,
    /// The rule's reason.
    pub because: Option<String>,
    /// What to do instead.
    pub instead: Option<String>,
    /// How long the provider asks to wait, in seconds.
    pub retry_after_s: Option<f64>,
    /// The rules that matched up to the one that decided, in order, those in shadow too.
    pub matched: Vec<Matched>,
    /// The rules that could not be evaluated; the next was tried.
    pub errored: Vec<Errored>,
}

/// The facts of a failure. `request`, `identity` and `now` are the caller's to add.
#[must_use]
pub fn facts<'a>(evidence: &'a Evidence, circumstances: &Circumstances) -> Facts<'a> {
    let mut facts = Facts::new(Boundary::Failure);
    for (fact, text) in strings(evidence) {
        facts.set_str(fact, text);
    }
    facts.set_int(Fact::FailureStatus, i64::from(evidence.status));
    facts.set_int(Fact::FailureHttpStatus, i64::from(evidence.http_status));
    facts.set_map(Fact::FailureHeaders, &evidence.headers);
    facts.set_double(Fact::FailureRetryAfterS, evidence.retry_after_s.unwrap_or(0.0));
    facts.set_bool(Fact::FailureHouse, circumstances.house);
    facts.set_str(Fact::CredentialOwner, circumstances.credential.as_str());
    facts.set_int(Fact::AttemptNumber, i64::from(circumstances.attempt));
    facts.set_int(Fact::AttemptOf, i64::from(circumstances.attempts));
    facts
}

/// The facts of the evidence that are strings.
pub(crate) fn strings(evidence: &Evidence) -> [(Fact, &str); 9] {
    [
        (Fact::FailureProvider, &evidence.provider),
        (Fact::FailureOperation, &evidence.operation),
        (Fact::FailureModel, &evidence.model),
        (Fact::FailurePhase, evidence.phase.as_str()),
        (Fact::FailureTransport, evidence.transport.as_str()),
        (Fact::FailureCode, &evidence.code),
        (Fact::FailureType, &evidence.kind),
        (Fact::FailureMessage, &evidence.message),
        (Fact::FailureText, &evidence.text),
    ]
}

impl RuleSet {
    /// Classifies a failure: the first match wins, these rules before the built-in pack.
    ///
    /// ```
    /// use jiff::Timestamp;
    /// use weir_core::failure::{Class, Owner};
    /// use weir_dialect::failure::{Evidence, FailureInput};
    /// use weir_rules::failure::{Circumstances, facts};
    /// use weir_rules::{EvaluateContext, Report, RuleSet};
    ///
    /// let body = br#"{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}"#;
    /// let evidence = Evidence::read(&FailureInput { status: Some(429), body, ..FailureInput::default() });
    /// let context = EvaluateContext { subject: "", at: Timestamp::UNIX_EPOCH };
    /// let found = RuleSet::default().decide_failure(&facts(&evidence, &Circumstances::default()), &context);
    /// assert_eq!((found.class, found.owner, found.report), (Class::QuotaExhausted, Owner::Operator, Report::Page));
    /// ```
    #[must_use]
    pub fn decide_failure(&self, facts: &Facts<'_>, context: &EvaluateContext<'_>) -> Classification {
        classify(&[self, pack()], facts, context)
    }
}

/// Classifies a failure by rule sets, the earlier before the later.
#[must_use]
pub fn classify(sets: &[&RuleSet], facts: &Facts<'_>, context: &EvaluateContext<'_>) -> Classification {
    let (mut matched, mut errored) = (Vec::new(), Vec::new());
    let mut deciding: Option<(&Rule, ClassThen)> = None;
    for set in sets {
        let evaluation = set.evaluate_first(Boundary::Failure, facts, context);
        for rule in evaluation.matched.iter().filter_map(|at| set.rules().get(*at)) {
            matched.push(listed(rule));
            if let Then::Class(then) = &rule.then
                && rule.mode == Mode::Enforce
            {
                deciding = Some((rule, *then));
            }
        }
        errored.extend(evaluation.errored.into_iter().filter_map(|(at, error)| {
            Some(Errored { rule: set.rules().get(at)?.id.to_string(), error: error.0 })
        }));
        if deciding.is_some() {
            break;
        }
    }
    let then = deciding.map_or(NOTHING, |(_, then)| then);
    let (owner, report) = responsible(&then, facts.str(Fact::CredentialOwner));
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    Classification {
        class: then.class,
        owner,
        retry: then.retry.unwrap_or(then.class.retry()),
        report,
        rule: deciding.map(|(rule, _)| rule.id.to_string()),
        because: deciding.and_then(|(rule, _)| text(&rule.because)),
        instead: deciding.and_then(|(rule, _)| text(&rule.instead)),
        retry_after_s: Some(facts.double(Fact::FailureRetryAfterS)).filter(|seconds| *seconds > 0.0),
        matched,
        errored,
    }
}

/// What a failure is that no rule knows.
const NOTHING: ClassThen = ClassThen { class: Class::Unknown, owner: None, retry: None, report: None };

fn listed(rule: &Rule) -> Matched {
    Matched {
        rule: rule.id.to_string(),
        version: rule.version.to_string(),
        action: rule.then.word().to_owned(),
        mode: rule.mode,
    }
}

/// Who must act, and whether it is reported: what a rule says or the class's own row, then whose credential it was.
fn responsible(then: &ClassThen, credential: &str) -> (Owner, Report) {
    let owner = then.owner.unwrap_or(then.class.owner());
    let report = then.report.unwrap_or(if owner == Owner::Operator { Report::Page } else { Report::Log });
    if !of_credential(then.class) {
        return (owner, report);
    }
    match credential {
        // The caller's own account, whatever a rule says.
        "user" => (Owner::User, Report::Log),
        // The next of the pool is taken; when all are gone, that is reported by who knows the pool.
        "pooled" if report == Report::Page => (owner, Report::Log),
        _ => (owner, report),
    }
}

/// Whether a class is about the account or key that was used.
#[must_use]
pub const fn of_credential(class: Class) -> bool {
    matches!(
        class,
        Class::QuotaExhausted | Class::AuthInvalid | Class::PermissionDenied | Class::AccessPolicyDenied
    )
}

#[cfg(test)]
mod tests;
