//! What the abuse service is asked and what it answers (spec A9), as data.

use std::net::IpAddr;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use weir_core::address::{TrustedProxies, client_address};
use weir_core::decision::{Decision, Mode};
use weir_core::identity::{FingerprintParts, IdentityKey};
use weir_core::secret::Prompt;

/// A question to the classifier. Every member may be absent or null; members that are not listed are ignored.
#[derive(Default, Deserialize, ToSchema)]
pub struct ClassifyRequest {
    /// The user; `anon:` and an address is none.
    pub kilo_user_id: Option<String>,
    /// The organisation.
    pub organization_id: Option<String>,
    /// The project.
    pub project_id: Option<String>,
    /// The client's address, or the whole of `x-forwarded-for`.
    pub ip_address: Option<String>,
    /// The digest of the client's TLS greeting.
    pub ja4_digest: Option<String>,
    /// The client's `user-agent`.
    pub user_agent: Option<String>,
    /// The city of the client's address.
    pub geo_city: Option<String>,
    /// The country of the client's address.
    pub geo_country: Option<String>,
    /// Its latitude; checked for its type and not used.
    pub geo_latitude: Option<f64>,
    /// Its longitude; checked for its type and not used.
    pub geo_longitude: Option<f64>,
    /// The provider that the request would go to.
    pub provider: Option<String>,
    /// The model, in lower case.
    pub requested_model: Option<String>,
    /// The last text of the user.
    #[serde(default, deserialize_with = "prompt")]
    #[schema(value_type = Option<String>)]
    pub user_prompt: Option<Prompt>,
    /// The text of the system.
    #[serde(default, deserialize_with = "prompt")]
    #[schema(value_type = Option<String>)]
    pub system_prompt: Option<Prompt>,
    /// The most tokens that the answer may have.
    #[serde(default, deserialize_with = "whole_number")]
    pub max_tokens: Option<i64>,
    /// Checked for its type and not used.
    pub has_middle_out_transform: Option<bool>,
    /// Whether tools are offered.
    pub has_tools: Option<bool>,
    /// Whether the answer is streamed.
    pub streamed: Option<bool>,
    /// Whether the caller's own provider key is used.
    pub is_user_byok: Option<bool>,
    /// The editor, as its header says.
    pub editor_name: Option<String>,
    /// The feature, as its header says.
    pub feature: Option<String>,
}

/// Who a request is of, as the members of a classification or of a cost callback say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller<'a> {
    /// `kilo_user_id`; `anon:` and an address is none.
    pub user_id: Option<&'a str>,
    /// `ip_address`: an address, or the whole of `x-forwarded-for`.
    pub forwarded_for: Option<&'a str>,
    /// `ja4_digest`.
    pub ja4: Option<&'a str>,
    /// `user_agent`.
    pub user_agent: Option<&'a str>,
}

impl ClassifyRequest {
    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> Caller<'_> {
        Caller {
            user_id: self.kilo_user_id.as_deref(),
            forwarded_for: self.ip_address.as_deref(),
            ja4: self.ja4_digest.as_deref(),
            user_agent: self.user_agent.as_deref(),
        }
    }
}

impl CostRequest {
    /// Whose it is.
    #[must_use]
    pub fn caller(&self) -> Caller<'_> {
        Caller {
            user_id: self.kilo_user_id.as_deref(),
            forwarded_for: self.ip_address.as_deref(),
            ja4: self.ja4_digest.as_deref(),
            user_agent: self.user_agent.as_deref(),
        }
    }
}

impl Caller<'_> {
    /// The client's address: the last element of `ip_address` is what the asking gateway saw itself; while that
    /// is a trusted proxy, the next from the right is taken, as for a request of our own (design, section 3). An
    /// `ip_address` whose last element is no address is as good as none.
    #[must_use]
    pub fn address(&self, trusted: &TrustedProxies) -> Option<IpAddr> {
        let chain = self.forwarded_for?.trim();
        let (earlier, last) = chain.rsplit_once(',').unwrap_or(("", chain));
        let last = last.trim();
        let seen = last
            .parse::<IpAddr>()
            .ok()
            .or_else(|| last.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()))?;
        Some(client_address(seen, std::iter::once(earlier), trusted))
    }

    /// The key that this caller is counted and judged as, derived here whatever the asking side derived.
    #[must_use]
    pub fn identity(&self, address: Option<IpAddr>) -> IdentityKey {
        let address = address.map(|address| address.to_string());
        let parts =
            FingerprintParts { address: address.as_deref(), ja4: self.ja4, user_agent: self.user_agent };
        IdentityKey::derive(self.user_id, parts)
    }

    /// Whether nothing says who it is, so that the fingerprint would be that of nobody in particular.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        let blank = |member: Option<&str>| member.is_none_or(|text| text.trim().is_empty());
        [self.user_id, self.forwarded_for, self.ja4, self.user_agent].into_iter().all(blank)
    }
}

/// The answer to a classification.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClassifyResponse {
    /// `ALLOW`, `SOFT_BLOCK` or `HARD_BLOCK`, from the resolved action.
    pub verdict: &'static str,
    /// The score over 100, at most 1 and at least 0.
    pub risk_score: f64,
    /// The tags of the enforced rules that matched.
    pub signals: Vec<String>,
    /// What else helps to act on it.
    pub action_metadata: ActionMetadata,
    /// What is known of the identity.
    pub context: ClassifyContext,
    /// Names this answer in the cost callback: above 0 and below 2^53.
    pub request_id: u64,
    /// What the rules said.
    pub rules_engine: RulesEngine,
}

/// What else helps to act on an answer.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ActionMetadata {
    /// How long a limited caller should wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

/// What is known of the identity, before the request that is asked about.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClassifyContext {
    /// Its key as derived here.
    pub identity_key: String,
    /// What it spent in the last hour, in US dollars.
    pub current_spend_1h: f64,
    /// Whether no earlier request of it is known.
    pub is_new_user: bool,
    /// Its requests in the last minute, over 60.
    pub requests_per_second: f64,
}

/// What the rules said.
#[derive(Debug, Serialize, ToSchema)]
pub struct RulesEngine {
    /// Every rule that matched, those in shadow included.
    pub matches: Vec<RuleMatch>,
    /// The sum of the scores of the enforced rules that matched.
    pub sus_score: i64,
    /// The action that was resolved, null when no rule asked for one.
    #[schema(value_type = Option<String>)]
    pub resolved_action: Option<weir_core::Action>,
    /// The enforced rules that matched.
    pub matched_abuse_rule_ids: Vec<String>,
}

/// One rule that matched.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RuleMatch {
    /// The rule.
    pub rule_id: String,
    /// What it asked for.
    pub action: String,
    /// What it added to the score: 0 in shadow.
    pub score: i64,
}

impl RulesEngine {
    /// Says in the protocol's words what was decided. `score` gives the score of a rule's id.
    #[must_use]
    pub fn of(decision: &Decision, score: impl Fn(&str) -> i64) -> Self {
        let enforced = |matched: &&weir_core::Matched| matched.mode == Mode::Enforce;
        let matches = decision
            .matched
            .iter()
            .map(|matched| RuleMatch {
                rule_id: matched.rule.clone(),
                action: matched.action.clone(),
                score: if matched.mode == Mode::Enforce { score(&matched.rule) } else { 0 },
            })
            .collect();
        Self {
            matches,
            sus_score: decision.sus_score,
            resolved_action: resolved(decision),
            matched_abuse_rule_ids: decision
                .matched
                .iter()
                .filter(enforced)
                .map(|matched| matched.rule.clone())
                .collect(),
        }
    }
}

/// The action of a decision; none when no rule decided.
fn resolved(decision: &Decision) -> Option<weir_core::Action> {
    let action = decision.action();
    (decision.rule.is_some() || action != weir_core::Action::Nothing).then_some(action)
}

/// The score over 100, within 0 and 1.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a score that is beyond 2^53 is 1 all the same")]
pub fn risk_score(sus_score: i64) -> f64 {
    (sus_score as f64 / 100.0).clamp(0.0, 1.0)
}

/// The cost of a request that was classified, once its answer is accounted.
#[derive(Default, Deserialize, ToSchema)]
pub struct CostRequest {
    /// The user; `anon:` and an address is none.
    pub kilo_user_id: Option<String>,
    /// The organisation.
    pub organization_id: Option<String>,
    /// The project.
    pub project_id: Option<String>,
    /// The client's address, or the whole of `x-forwarded-for`.
    pub ip_address: Option<String>,
    /// The digest of the client's TLS greeting.
    pub ja4_digest: Option<String>,
    /// The client's `user-agent`.
    pub user_agent: Option<String>,
    /// The `request_id` of the classification.
    #[serde(default, deserialize_with = "whole_number")]
    pub request_id: Option<i64>,
    /// The id of the provider's answer.
    pub message_id: Option<String>,
    /// In millionths of a US dollar.
    #[serde(default, deserialize_with = "amount")]
    pub cost: Option<u64>,
    /// The model that answered.
    pub requested_model: Option<String>,
    /// Tokens read.
    #[serde(default, deserialize_with = "amount")]
    pub input_tokens: Option<u64>,
    /// Tokens written.
    #[serde(default, deserialize_with = "amount")]
    pub output_tokens: Option<u64>,
    /// Tokens written to the provider's cache.
    #[serde(default, deserialize_with = "amount")]
    pub cache_write_tokens: Option<u64>,
    /// Tokens read from the provider's cache.
    #[serde(default, alias = "cache_read_tokens", deserialize_with = "amount")]
    pub cache_hit_tokens: Option<u64>,
}

/// What became of a cost callback.
#[derive(Debug, Serialize, ToSchema)]
pub struct CostResponse {
    /// The identity that it was counted for.
    pub identity_key: String,
    /// Whether the classification that `request_id` names was known.
    pub matched: bool,
    /// Whether it was counted before, and so not again.
    pub duplicate: bool,
}

fn prompt<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Prompt>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Prompt::new))
}

/// A number without a fraction, as programs write it that know no integers: `4096`, `4096.0`, `1e3`.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    if let Some(whole) = number.as_i64() {
        return Ok(Some(whole));
    }
    match number.as_f64() {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "beyond the range the nearest end is what is meant"
        )]
        Some(value) if value.fract() == 0.0 => Ok(Some(value as i64)),
        value => Err(D::Error::invalid_value(
            value.map_or(Unexpected::Other("number"), Unexpected::Float),
            &"a whole number",
        )),
    }
}

/// A whole number that is not negative.
fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    whole_number(deserializer)?
        .map(|whole| {
            u64::try_from(whole)
                .map_err(|_| D::Error::invalid_value(Unexpected::Signed(whole), &"a number from 0"))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_taken_from_the_right_of_the_chain() {
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let table: &[(Option<&str>, Option<&str>)] = &[
            (None, None),
            (Some(""), None),
            (Some("203.0.113.5"), Some("203.0.113.5")),
            (Some("1.1.1.1, 203.0.113.5"), Some("203.0.113.5")),
            (Some("1.1.1.1, 203.0.113.5, 10.0.0.1"), Some("203.0.113.5")),
            (Some("10.0.0.2,10.0.0.1"), Some("10.0.0.2")),
            (Some("203.0.113.5:443"), Some("203.0.113.5")),
            (Some("203.0.113.5, garbage"), None),
        ];
        for (chain, expected) in table {
            let caller = Caller { forwarded_for: *chain, ..Caller::default() };
            assert_eq!(caller.address(&trusted).map(|a| a.to_string()).as_deref(), *expected, "{chain:?}");
        }
    }

    #[test]
    fn identities_are_those_of_the_specification() {
        let table: &[(Option<&str>, Option<&str>, &str)] = &[
            (Some(" u1 "), None, "user:u1"),
            (
                Some("anon:127.0.0.1"),
                Some("127.0.0.1"),
                "fingerprint:aa2f01fa20b82bcf31d0ef1e4387bbcb650f885d254434472b037fd920af4494",
            ),
            (None, None, "fingerprint:22af7331d27fdc39ab1c65981a5123550cb5ae7e038be2d2c1d3909d81c56d4a"),
        ];
        for (user, address, expected) in table {
            let caller = Caller { user_id: *user, forwarded_for: *address, ..Caller::default() };
            let address = caller.address(&TrustedProxies::default());
            assert_eq!(caller.identity(address).as_str(), *expected);
        }
    }

    #[test]
    fn numbers_are_whole_and_amounts_are_not_negative() {
        let table: &[(&str, Result<Option<i64>, ()>)] = &[
            ("null", Ok(None)),
            ("4096", Ok(Some(4096))),
            ("4096.0", Ok(Some(4096))),
            ("1e3", Ok(Some(1000))),
            ("1e30", Ok(Some(i64::MAX))),
            ("1.5", Err(())),
            ("\"4096\"", Err(())),
            ("true", Err(())),
        ];
        for (text, expected) in table {
            let read = serde_json::from_str::<ClassifyRequest>(&format!("{{\"max_tokens\": {text}}}"));
            assert_eq!(read.map(|r| r.max_tokens).map_err(|_| ()), *expected, "{text}");
        }
        assert!(serde_json::from_str::<CostRequest>("{\"cost\": -1}").is_err());
        assert_eq!(serde_json::from_str::<CostRequest>("{\"cost\": 7}").unwrap().cost, Some(7));
    }

    #[test]
    fn risk_is_within_its_bounds() {
        for (score, risk) in [(-5, 0.0), (0, 0.0), (40, 0.4), (100, 1.0), (i64::MAX, 1.0)] {
            assert!((risk_score(score) - risk).abs() < f64::EPSILON);
        }
    }
}
