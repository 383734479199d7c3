//! The facts of whoever asks, for both boundaries that know them.

use weir_core::record::{IdentityFacts, Stats};

use super::Fact;
use super::slots::Facts;

impl<'a> Facts<'a> {
    /// Sets what is known of the identity.
    pub fn set_identity(&mut self, identity: &'a IdentityFacts) {
        self.set_str(Fact::IdentityKey, &identity.key);
        self.set_str(Fact::IdentityKind, &identity.kind);
        self.set_str(Fact::IdentityUserId, &identity.user_id);
        self.set_str(Fact::IdentityOrgId, &identity.org_id);
        self.set_str(Fact::IdentityProjectId, &identity.project_id);
        self.set_str(Fact::IdentityPlan, &identity.plan);
        self.set_bool(Fact::IdentityVerified, identity.verified);
        self.set_bool(Fact::IdentityBlocked, identity.blocked);
        self.set_int(Fact::IdentityAgeDays, identity.age_days);
        self.set_list(Fact::IdentityTags, &identity.tags);
    }

    /// Sets the counters over the identity's earlier requests.
    pub fn set_stats(&mut self, stats: &Stats) {
        self.set_double(Fact::StatsRequestsPerSecond, stats.requests_per_second);
        self.set_int(Fact::StatsRequests1h, stats.requests_1h);
        self.set_int(Fact::StatsTokens1h, stats.tokens_1h);
        self.set_double(Fact::StatsSpend1hUsd, stats.spend_1h_usd);
        self.set_int(Fact::StatsDenied1h, stats.denied_1h);
        self.set_int(Fact::StatsIps1h, stats.ips_1h);
        self.set_int(Fact::StatsFirstSeenS, stats.first_seen_s);
    }
}
