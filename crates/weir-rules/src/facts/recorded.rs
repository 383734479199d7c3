//! The facts of a request as its record keeps them, for everyone who decides on one: the gateway, the abuse service
//! and whoever replays a record.

use weir_core::Boundary;
use weir_core::record::{PastFacts, RecordedFacts};

use super::Fact;
use super::slots::Facts;

impl<'a> Facts<'a> {
    /// What is recorded of a request. Headers and prompts are not: who has them sets them.
    #[must_use]
    pub fn of_request(recorded: &'a RecordedFacts) -> Self {
        Facts::of_past(Boundary::Request, recorded.into())
    }

    /// The facts of a request or of whoever called a tool, as a record that is replayed has them.
    #[must_use]
    pub(crate) fn of_past(boundary: Boundary, past: PastFacts<'a>) -> Self {
        let mut facts = Facts::new(boundary);
        if boundary != Boundary::Tool {
            facts.tell_request(past);
        }
        facts.tell_identity(past);
        if boundary != Boundary::Failure {
            facts.set_stats(&past.stats);
        }
        facts
    }

    /// Adds what is recorded of a request, for the failure that came of it.
    pub(crate) fn tell(&mut self, past: PastFacts<'a>) {
        self.tell_request(past);
        self.tell_identity(past);
        self.set_stats(&past.stats);
    }

    fn tell_request(&mut self, past: PastFacts<'a>) {
        let (facts, request) = (self, past.request);
        facts.set_str(Fact::RequestApi, request.api);
        facts.set_str(Fact::RequestPath, request.path);
        facts.set_str(Fact::RequestModel, request.model);
        facts.set_str(Fact::RequestProvider, request.provider);
        facts.set_bool(Fact::RequestFree, request.free);
        facts.set_bool(Fact::RequestStream, request.stream);
        facts.set_int(Fact::RequestMaxTokens, request.max_tokens);
        facts.set_bool(Fact::RequestHasTools, request.has_tools);
        facts.set_bool(Fact::RequestByok, request.byok);
        facts.set_str(Fact::RequestFeature, request.feature);
        facts.set_str(Fact::RequestEditor, request.editor);
        facts.set_str(Fact::RequestUserAgent, request.user_agent);
        facts.set_str(Fact::RequestIp, request.ip);
        facts.set_str(Fact::RequestJa4, request.ja4);
        facts.set_str(Fact::RequestCountry, request.country);
        facts.set_str(Fact::RequestCity, request.city);
        facts.set_int(Fact::RequestBodyBytes, request.body_bytes);
    }

    fn tell_identity(&mut self, past: PastFacts<'a>) {
        let (facts, identity) = (self, past.identity);
        facts.set_str(Fact::IdentityKey, identity.key);
        facts.set_str(Fact::IdentityKind, identity.kind);
        facts.set_str(Fact::IdentityUserId, identity.user_id);
        facts.set_str(Fact::IdentityOrgId, identity.org_id);
        facts.set_str(Fact::IdentityProjectId, identity.project_id);
        facts.set_str(Fact::IdentityPlan, identity.plan);
        facts.set_bool(Fact::IdentityVerified, identity.verified);
        facts.set_bool(Fact::IdentityBlocked, identity.blocked);
        facts.set_int(Fact::IdentityAgeDays, identity.age_days);
        facts.set_list(Fact::IdentityTags, identity.tags);
    }
}
