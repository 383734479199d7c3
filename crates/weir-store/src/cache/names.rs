//! Every key that weir has in Redis. `docs/stores.md` lists them for people.

use weir_core::IdentityKey;

/// The action cache (spec A5): this and the identity's key. The value is one bare word, without expiry.
pub(super) const ACTION: &str = "ai-gateway.abuse-rules:last-classification:";

/// The nodes that are alive: a sorted set of node ids by the server's time of their last heartbeat.
pub(super) const NODES: &str = "weir:nodes";

/// The identities that have stats: a sorted set by the time they were last seen.
pub(super) const STATS_INDEX: &str = "weir:stats:index";

/// The cached action of an identity.
pub(super) fn action(identity: &IdentityKey) -> String {
    format!("{ACTION}{identity}")
}

/// The window of a limit: how many requests it has counted, expiring when it ends. The length belongs to the name, so
/// that a rule whose `per` was changed begins anew; the braces of the charge's key keep a subject's windows together.
pub(super) fn limit(charge: &super::LimitCharge) -> String {
    format!("weir:limit:{}:{}", charge.key, charge.per_ms())
}

/// The stats of an identity: a hash of its buckets and a sorted set of its addresses, on one node of a cluster.
pub(super) fn stats(identity: &str) -> [String; 2] {
    let tag = super::limits::braced(identity);
    [format!("weir:stats:{tag}"), format!("weir:stats:{tag}:ips")]
}
