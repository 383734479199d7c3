//! A failed upstream call as an error.
//!
//! An [`UpstreamFailure`] can be made here only, by classifying evidence, and whoever answers a failed call asks for
//! one: a failure cannot reach a caller, a record or a report without its class, whichever way through the code it takes.

use std::collections::HashSet;
use std::sync::LazyLock;

use weir_core::failure::{Class, Owner, Retry};
use weir_core::record::{RecordedEvidence, RecordedFacts};
use weir_core::redact::without_accounts;
use weir_dialect::failure::{Evidence, TransportFault};
use weir_dialect::{FailedCall, Refusal};

use super::{Circumstances, Classification, CredentialOwner, PACK_TEXT, facts, of_credential};
use crate::facts::{Fact, StringMap};
use crate::set::{EvaluateContext, RuleSet};

/// How long the provider's own words are in an answer, in characters (spec B7).
const SAID_CHARS_MAX: usize = 200;

/// A failed upstream call, classified.
///
/// ```
/// use jiff::Timestamp;
/// use weir_core::failure::Class;
/// use weir_core::record::RecordedFacts;
/// use weir_dialect::failure::{Evidence, FailureInput};
/// use weir_rules::failure::{About, Circumstances, UpstreamFailure};
/// use weir_rules::{EvaluateContext, RuleSet};
///
/// let evidence = Evidence::read(&FailureInput { status: Some(529), ..FailureInput::default() });
/// let recorded = RecordedFacts::default();
/// let context = EvaluateContext { subject: "", at: Timestamp::UNIX_EPOCH };
/// let about = About { recorded: &recorded, headers: None, prompts: ["", ""], context: &context };
/// let failure = UpstreamFailure::classify(&RuleSet::default(), evidence, Circumstances::default(), &about);
/// assert_eq!(failure.class(), Class::Overloaded);
/// ```
#[derive(Clone, Debug)]
pub struct UpstreamFailure {
    evidence: Evidence,
    circumstances: Circumstances,
    found: Classification,
    /// Whether the code and the type are words that rules know.
    known: [bool; 2],
}

/// What stands in an answer besides the failure itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// Whether the provider's own words may.
    pub words: bool,
    /// How many fallback models could not take a longer request.
    pub skipped: usize,
    /// When another key of the provider's comes back, in seconds, where the failure does not say when its own does.
    pub back_in_s: Option<f64>,
}

/// The request that failed.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// Its recorded facts.
    pub recorded: &'a RecordedFacts,
    /// Its headers, as rules may see them.
    pub headers: Option<&'a dyn StringMap>,
    /// Its prompts, the user's and the system's, where a rule reads them.
    pub prompts: [&'a str; 2],
    /// Whom it concerns, and when.
    pub context: &'a EvaluateContext<'a>,
}

impl UpstreamFailure {
    /// Classifies a failure by these rules and then the built-in pack: the only way to one.
    #[must_use]
    pub fn classify(
        rules: &RuleSet,
        evidence: Evidence,
        circumstances: Circumstances,
        about: &About<'_>,
    ) -> Self {
        let mut facts = facts(&evidence, &circumstances);
        facts.tell(about.recorded.into());
        if let Some(headers) = about.headers {
            facts.set_map(Fact::RequestHeaders, headers);
        }
        let [user, system] = about.prompts;
        facts.set_str(Fact::RequestUserPrompt, user);
        facts.set_str(Fact::RequestSystemPrompt, system);
        let found = rules.decide_failure(&facts, about.context);
        let known = [&evidence.code, &evidence.kind].map(|word| is_known(rules, word));
        Self { evidence, circumstances, found, known }
    }

    /// The same failure, known of an earlier call, when a provider's key is not tried again before `retry_after_s`.
    #[must_use]
    pub fn remembered(&self, retry_after_s: f64) -> Self {
        let mut again = self.clone();
        again.found.retry_after_s = Some(retry_after_s);
        again.evidence.retry_after_s = Some(retry_after_s);
        again
    }

    /// What it is.
    #[must_use]
    pub fn class(&self) -> Class {
        self.found.class
    }

    /// Who must act.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.found.owner
    }

    /// Whether another try can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.found.retry
    }

    /// The classification.
    #[must_use]
    pub fn classification(&self) -> &Classification {
        &self.found
    }

    /// What it was read from.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// What was known besides.
    #[must_use]
    pub fn circumstances(&self) -> &Circumstances {
        &self.circumstances
    }

    /// Whether it is about the platform's own account or key, of which a caller is told nothing.
    #[must_use]
    pub fn is_the_platforms_account(&self) -> bool {
        self.circumstances.credential != CredentialOwner::User && of_credential(self.class())
    }

    /// What the caller is told (design, section 6). The provider's own words stand in the answer where the request
    /// itself is at fault, redacted, and without what names the platform's account.
    #[must_use]
    pub fn refusal(&self, told: &Told) -> Refusal {
        let says =
            told.words && matches!(self.owner(), Owner::Caller | Owner::User) && self.is_the_requests();
        let said = says.then(|| {
            let message = self.evidence.message.trim();
            let own = self.circumstances.credential == CredentialOwner::User;
            let message = if own { message.into() } else { without_accounts(message) };
            weir_core::redact::excerpt(&message, SAID_CHARS_MAX)
        });
        let retry_after_s = self.found.retry_after_s.or(told.back_in_s);
        Refusal::Failed(FailedCall {
            class: self.class(),
            owner: self.owner(),
            own_key: self.circumstances.credential == CredentialOwner::User,
            provider: self.evidence.provider.clone(),
            upstream_status: self.evidence.status,
            retry_after_s: retry_after_s.map(whole_seconds),
            said: said.filter(|said| !said.is_empty()),
            skipped: told.skipped,
        })
    }

    /// Whether the request itself is at fault, so that the provider's words help whoever made it.
    #[must_use]
    pub fn is_the_requests(&self) -> bool {
        is_the_requests(self.class())
    }

    /// Whether a code or a type is a word that rules know, and no text that a provider has made up for one request:
    /// the code's, then the type's.
    #[must_use]
    pub fn known(&self) -> [bool; 2] {
        self.known
    }

    /// What a record may keep of the evidence: none of the provider's own words. `cause` is what happened, in weir's.
    #[must_use]
    pub fn recorded(&self, cause: &'static str) -> RecordedEvidence {
        let evidence = &self.evidence;
        let [code, kind] = self.known;
        RecordedEvidence {
            cause: cause.to_owned(),
            status: evidence.status,
            http_status: evidence.http_status,
            phase: evidence.phase.as_str().to_owned(),
            transport: evidence.transport.as_str().to_owned(),
            code: code.then(|| evidence.code.clone()),
            kind: kind.then(|| evidence.kind.clone()),
            retry_after_s: evidence.retry_after_s,
            read: self.read().map(str::to_owned).collect(),
            ignored: self.ignored(),
        }
    }

    fn read(&self) -> impl Iterator<Item = &'static str> {
        let evidence = &self.evidence;
        [
            ("failure.status", evidence.status != 0),
            ("failure.transport", evidence.transport != TransportFault::None),
            ("failure.code", !evidence.code.is_empty()),
            ("failure.type", !evidence.kind.is_empty()),
            ("failure.message", !evidence.message.is_empty()),
            ("failure.text", !evidence.text.is_empty()),
            ("failure.headers", !evidence.headers.is_empty()),
            ("failure.retry_after_s", evidence.retry_after_s.is_some()),
            ("failure.house", self.circumstances.house),
        ]
        .into_iter()
        .filter_map(|(name, found)| found.then_some(name))
    }

    fn ignored(&self) -> Vec<String> {
        let evidence = &self.evidence;
        let mut ignored = Vec::new();
        if evidence.http_status != 0 && evidence.http_status != evidence.status {
            ignored.push(format!("the head's status {}: an inner one is stronger", evidence.http_status));
        }
        if !evidence.text.is_empty() {
            ignored.push(
                "in the text: what it repeats of the request, addresses, identifiers, file paths, stack frames"
                    .to_owned(),
            );
        }
        if of_credential(self.class()) && self.circumstances.credential != CredentialOwner::Platform {
            let whose = self.circumstances.credential.as_str();
            ignored.push(format!("the class's own owner and report: the credential was `{whose}`"));
        }
        ignored
    }
}

/// The classes of which the provider's words help whoever made the request.
const fn is_the_requests(class: Class) -> bool {
    matches!(
        class,
        Class::ContextLengthExceeded
            | Class::MaxTokensInvalid
            | Class::InvalidRequest
            | Class::PayloadTooLarge
            | Class::ContentPolicy
    )
}

fn whole_seconds(seconds: f64) -> u64 {
    weir_core::clock::whole_seconds(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// The words of the built-in pack: what providers document as codes and types.
static WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| PACK_TEXT.split(is_between).collect());

fn is_between(c: char) -> bool {
    !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// Whether a rule names this word, so that it is no text which a provider has made up for one request.
fn is_known(rules: &RuleSet, word: &str) -> bool {
    if word.is_empty() || word.contains(is_between) {
        return false;
    }
    let quoted = |text: &str| text.split(['"', '\'']).any(|part| part == word);
    WORDS.contains(word) || rules.rules().iter().any(|rule| quoted(&rule.when))
}
