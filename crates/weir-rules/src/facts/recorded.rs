//! The facts of a request as its record keeps them, for everyone who decides on one: the gateway, the abuse service
//! and whoever replays a record.

use weir_core::Boundary;
use weir_core::record::RecordedFacts;

use super::Fact;
use super::slots::Facts;

impl<'a> Facts<'a> {
    /// What is recorded of a request. Headers and prompts are not: who has them sets them.
    #[must_use]
    pub fn of_request(recorded: &'a RecordedFacts) -> Self {
        let mut facts = Facts::new(Boundary::Request);
        facts.tell(recorded);
        facts
    }

    /// Adds what is recorded of a request, for the failure that came of it.
    pub(crate) fn tell(&mut self, recorded: &'a RecordedFacts) {
        let facts = self;
        let request = &recorded.request;
        facts.set_str(Fact::RequestApi, &request.api);
        facts.set_str(Fact::RequestPath, &request.path);
        facts.set_str(Fact::RequestModel, &request.model);
        facts.set_str(Fact::RequestProvider, &request.provider);
        facts.set_bool(Fact::RequestFree, request.free);
        facts.set_bool(Fact::RequestStream, request.stream);
        facts.set_int(Fact::RequestMaxTokens, request.max_tokens);
        facts.set_bool(Fact::RequestHasTools, request.has_tools);
        facts.set_bool(Fact::RequestByok, request.byok);
        facts.set_str(Fact::RequestFeature, &request.feature);
        facts.set_str(Fact::RequestEditor, &request.editor);
        facts.set_str(Fact::RequestUserAgent, &request.user_agent);
        facts.set_str(Fact::RequestIp, &request.ip);
        facts.set_str(Fact::RequestJa4, &request.ja4);
        facts.set_str(Fact::RequestCountry, &request.country);
        facts.set_str(Fact::RequestCity, &request.city);
        facts.set_int(Fact::RequestBodyBytes, request.body_bytes);
        let identity = &recorded.identity;
        facts.set_str(Fact::IdentityKey, &identity.key);
        facts.set_str(Fact::IdentityKind, &identity.kind);
        facts.set_str(Fact::IdentityUserId, &identity.user_id);
        facts.set_str(Fact::IdentityOrgId, &identity.org_id);
        facts.set_str(Fact::IdentityProjectId, &identity.project_id);
        facts.set_str(Fact::IdentityPlan, &identity.plan);
        facts.set_bool(Fact::IdentityVerified, identity.verified);
        facts.set_bool(Fact::IdentityBlocked, identity.blocked);
        facts.set_int(Fact::IdentityAgeDays, identity.age_days);
        facts.set_list(Fact::IdentityTags, &identity.tags);
        let stats = &recorded.stats;
        facts.set_double(Fact::StatsRequestsPerSecond, stats.requests_per_second);
        facts.set_int(Fact::StatsRequests1h, stats.requests_1h);
        facts.set_int(Fact::StatsTokens1h, stats.tokens_1h);
        facts.set_double(Fact::StatsSpend1hUsd, stats.spend_1h_usd);
        facts.set_int(Fact::StatsDenied1h, stats.denied_1h);
        facts.set_int(Fact::StatsIps1h, stats.ips_1h);
        facts.set_int(Fact::StatsFirstSeenS, stats.first_seen_s);
    }
}
