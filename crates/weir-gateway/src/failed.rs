//! A failed attempt: classified, noted in the record, counted and told of, all in one place. Who is told logs it.

use std::collections::HashSet;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use weir_core::Boundary;
use weir_core::failure::{AllExhausted, Class, CredentialOwner, FailureEvent, FailureObserver as _};
use weir_core::record::{FailedAttempt, NextStep, Skipped};
use weir_core::redact::{without_accounts, without_echo, without_secrets, without_words, words};
use weir_dialect::failure::Evidence;
use weir_dialect::{Prompts, Refusal, RequestBody};
use weir_rules::failure::{About, Circumstances, Told, UpstreamFailure, is_of_errors};
use weir_rules::{EvaluateContext, Fact};

use crate::decide::VisibleHeaders;
use crate::exchange::Exchange;
use crate::resolve::Target;
use crate::trouble::Trouble;

/// One attempt: what it was made with.
#[derive(Clone)]
pub(crate) struct Tried {
    pub(crate) target: Arc<Target>,
    /// Whose credential it was: `pooled` while another key of the pool is left.
    pub(crate) credential: CredentialOwner,
    /// Which key of the pool, from 0.
    pub(crate) key: usize,
    /// Which call of the request, from 1; 0 when none was made.
    pub(crate) number: u32,
    /// How many there may be.
    pub(crate) of: u32,
}

/// A failed attempt as an error. It holds what only classifying gives.
pub(crate) struct Failed {
    pub(crate) failure: UpstreamFailure,
    pub(crate) trouble: Trouble,
    /// How many fallback models could not take a longer request.
    pub(crate) skipped: usize,
    /// When another key of the provider's comes back, in seconds, where the failure itself does not say.
    pub(crate) back_in_s: Option<f64>,
    /// How many tokens the request needs, and the model's window, where that explains a bare 500 of the house's.
    pub(crate) too_long: Option<(u64, u64)>,
}

impl Failed {
    /// What the caller is told. After a downgrade the provider's words would name another model.
    pub(crate) fn refusal(&self, exchange: &Exchange) -> Refusal {
        let told = Told {
            words: exchange.draft.result.abuse_downgraded_from.is_none(),
            skipped: self.skipped,
            back_in_s: self.back_in_s,
        };
        self.failure.refusal(&told)
    }
}

/// The request that failed, as far as it is still there.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) headers: Option<&'a HeaderMap>,
    /// Where a rule on failures reads them.
    pub(crate) prompts: &'a Prompts,
    /// Its body.
    pub(crate) said: Option<&'a [u8]>,
}

/// The prompts of a request, if a rule on failures reads them.
pub(crate) fn prompts_read(exchange: &Exchange, body: &RequestBody) -> Prompts {
    let active = exchange.inner.rules.load();
    let reads = |fact| active.rules.reads_on(Boundary::Failure, fact);
    if reads(Fact::RequestUserPrompt) || reads(Fact::RequestSystemPrompt) {
        body.prompts()
    } else {
        Prompts::default()
    }
}

/// Classifies what went wrong: the one way from trouble to an error.
pub(crate) fn classify(
    exchange: &mut Exchange,
    mut trouble: Trouble,
    tried: &Tried,
    request: &Request<'_>,
) -> Failed {
    let headers = request.headers;
    let inner = Arc::clone(&exchange.inner);
    let now = inner.clock.now();
    let mut evidence = trouble.evidence(&tried.target, exchange.draft.facts.request.api.as_str(), now);
    // Keys that were sent must not come back, whatever they look like: the caller and the log are told this message, and
    // the caller this body.
    let secrets = secrets(tried, headers);
    evidence.message = without_secrets(&evidence.message, &secrets).into_owned();
    trouble.clean(&secrets);
    let circumstances = Circumstances {
        credential: tried.credential,
        house: tried.target.provider.house,
        attempt: tried.number,
        attempts: tried.of,
    };
    let context = EvaluateContext { subject: exchange.draft.identity.as_str(), at: now };
    let headers = headers.map(VisibleHeaders);
    let about = About {
        recorded: &exchange.draft.facts,
        headers: headers.as_ref().map(|headers| headers as &dyn weir_rules::StringMap),
        prompts: [&request.prompts.user, &request.prompts.system]
            .map(|prompt| prompt.as_ref().map_or("", |prompt| prompt.expose())),
        context: &context,
    };
    let failure = UpstreamFailure::classify(&inner.rules.load().rules, evidence, circumstances, &about);
    let failed = Failed { failure, trouble, skipped: 0, back_in_s: None, too_long: None };
    exchange.draft.result.failures.push(recorded(&failed.failure, tried, failed.trouble.cause));
    let event = event(exchange, &failed, tried, request.said);
    inner.meters.upstream_failed(&event, exchange.draft.result.failures.last());
    exchange.draft.watched.attempt_failed(event.class, event.owner, event.http_status);
    inner.observers.failed(&event);
    exchange.draft.events.push(event);
    failed
}

/// A key that is known to be dead was not tried again: nothing has failed anew, so it is only recorded.
pub(crate) fn remembered(
    exchange: &mut Exchange,
    failure: &UpstreamFailure,
    retry_after_s: f64,
    tried: &Tried,
) -> Failed {
    let failure = failure.remembered(retry_after_s);
    let provider = &tried.target.provider.name;
    exchange.inner.meters.known_dead(provider);
    tracing::debug!(
        %provider,
        model = %tried.target.id,
        class = failure.class().as_str(),
        retry_after_s,
        decision = %exchange.id,
        "not called: the key is known to be dead or throttled"
    );
    let cause = if failure.class() == Class::RateLimited {
        "the key is throttled for longer than a request may wait, and was not tried again"
    } else {
        "the key is known to be dead, and was not tried again"
    };
    exchange.draft.result.failures.push(recorded(&failure, tried, cause));
    Failed { failure, trouble: Trouble::default(), skipped: 0, back_in_s: None, too_long: None }
}

/// Notes what is done about the latest failure.
pub(crate) fn followed_by(exchange: &mut Exchange, next: NextStep, wait_ms: u64, skipped: Vec<Skipped>) {
    if let Some(last) = exchange.draft.result.failures.last_mut() {
        last.next = next;
        last.wait_ms = wait_ms;
        last.skipped = skipped;
    }
}

/// The request has ended with this failure: no attempt is left, or none may follow.
pub(crate) fn ended(exchange: &mut Exchange, class: Class) {
    exchange.draft.result.failure_class = Some(class.as_str().to_owned());
    let events = std::mem::take(&mut exchange.draft.events);
    let asked = exchange.draft.facts.request.model.clone();
    if let Some(event) = AllExhausted::new(&asked, class, events) {
        exchange.inner.observers.all_exhausted(&event);
    }
}

fn recorded(failure: &UpstreamFailure, tried: &Tried, cause: &'static str) -> FailedAttempt {
    let found = failure.classification();
    let pool = tried.target.provider.keys.len() > 1 && !tried.target.byok;
    FailedAttempt {
        number: tried.number,
        model: tried.target.id.clone(),
        provider: tried.target.provider.name.to_string(),
        credential: failure.circumstances().credential,
        key: if pool { u32::try_from(tried.key.saturating_add(1)).unwrap_or(u32::MAX) } else { 0 },
        class: found.class,
        owner: found.owner,
        retry: found.retry,
        report: found.report,
        rule: found.rule.clone(),
        because: found.because.clone(),
        matched: found.matched.clone(),
        errored: found.errored.clone(),
        evidence: failure.recorded(cause),
        next: NextStep::End,
        wait_ms: 0,
        skipped: Vec::new(),
    }
}

/// The keys that took part: the provider's, and what the caller showed.
pub(crate) fn secrets<'a>(tried: &'a Tried, headers: Option<&'a HeaderMap>) -> Vec<&'a str> {
    let target = &tried.target;
    let used = if target.byok { target.own.as_ref() } else { target.provider.keys.get(tried.key) };
    let shown = headers.into_iter().flat_map(|headers| SHOWN.iter().filter_map(|name| headers.get(*name)));
    let values = used.map(|credential| &credential.value).into_iter().chain(shown);
    values.filter_map(|value: &HeaderValue| value.to_str().ok()).map(without_scheme).collect()
}

/// The headers in which callers show keys.
const SHOWN: [&str; 3] = ["authorization", "x-api-key", "x-weir-byok"];

fn without_scheme(value: &str) -> &str {
    value.rsplit(' ').next().unwrap_or(value)
}

fn event(exchange: &Exchange, failed: &Failed, tried: &Tried, said: Option<&[u8]>) -> FailureEvent {
    let (found, evidence) = (failed.failure.classification(), failed.failure.evidence());
    let words = Words::new(evidence, tried, said);
    let [code, kind] = failed.failure.known();
    // Where the provider itself answered, its own message says what happened.
    let own = Some(failed.trouble.cause).filter(|_| !failed.trouble.is_an_answer());
    let causes = own.map(str::to_owned).into_iter().chain(failed.trouble.causes.iter().cloned()).collect();
    FailureEvent::new(weir_core::failure::Failed {
        at: exchange.inner.clock.now(),
        decision: exchange.id,
        request_id: exchange.draft.result.request_id.clone(),
        subject: exchange.draft.identity.as_str().to_owned(),
        class: found.class,
        owner: found.owner,
        retry: found.retry,
        report: found.report,
        rule: found.rule.clone(),
        because: found.because.clone(),
        provider: evidence.provider.clone(),
        operation: evidence.operation.clone(),
        model: evidence.model.clone(),
        status: evidence.status,
        http_status: evidence.http_status,
        phase: evidence.phase.as_str(),
        transport: evidence.transport.as_str(),
        code: if code { evidence.code.clone() } else { words.of(&evidence.code) },
        kind: if kind { evidence.kind.clone() } else { words.of(&evidence.kind) },
        // What the caller asked is the caller's to see, and nobody's to log.
        message: words.of(&evidence.message),
        credential: tried.credential,
        attempt: tried.number,
        attempts: tried.of,
        house: tried.target.provider.house,
        causes,
    })
}

/// Which words of a provider's may be told of: names of the configuration, what errors are made of, and what the request
/// did not say.
struct Words<'a> {
    names: HashSet<String>,
    said: Option<&'a [u8]>,
}

impl<'a> Words<'a> {
    fn new(evidence: &Evidence, tried: &Tried, said: Option<&'a [u8]>) -> Self {
        let names = [&evidence.provider, &evidence.operation, &evidence.model, &tried.target.id];
        Self { names: names.into_iter().flat_map(|name| words(name)).collect(), said }
    }

    fn of(&self, text: &str) -> String {
        // Names of accounts say nothing that the provider's name does not.
        let text = without_accounts(text);
        let text = without_echo(&text, self.said.unwrap_or_default());
        let known = |word: &str| is_of_errors(word) || self.names.contains(word);
        without_words(&text, self.said, &known).into_owned()
    }
}
