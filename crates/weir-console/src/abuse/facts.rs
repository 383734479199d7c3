//! The facts of a question to the classifier, and of an identity that is looked at.

use std::sync::Arc;

use weir_core::record::{IdentityFacts, RecordedFacts, RequestFacts};
use weir_core::{IdentityKey, Timestamp};
use weir_rules::{Fact, Facts};
use weir_store::database::IdentityRow;
use weir_store::{ApiKey, Directory};

use super::protocol::ClassifyRequest;

/// What client texts are cut to, in characters, as the data plane does with headers.
const TEXT_CHARS_MAX: usize = 500;

/// A text as the data plane would have taken it from a header: cut, then trimmed.
pub(crate) fn text(member: Option<&str>) -> String {
    let whole = member.unwrap_or_default();
    let end = whole.char_indices().nth(TEXT_CHARS_MAX).map_or(whole.len(), |(end, _)| end);
    whole.get(..end).unwrap_or_default().trim().to_owned()
}

/// What the keys of a user say of it. A classification does not name the key that was used, so all of the user's are
/// read, or those of the organisation that is named: the first in the order of their ids that says something counts,
/// and tags are those of all.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    org: Option<String>,
    project: Option<String>,
    plan: Option<String>,
    tags: Vec<String>,
}

impl Owners {
    /// The tags of all those keys.
    pub(crate) fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Reads the keys of a user; nobody has none.
    pub(crate) fn of(directory: &Directory, user_id: &str, org: Option<&str>) -> Self {
        if user_id.is_empty() {
            return Self::default();
        }
        let keys = directory.keys();
        let is_owner = |key: &&Arc<ApiKey>| {
            let named = org.is_none_or(|org| key.owner.org.as_deref().is_none_or(|of| of == org));
            key.owner.user.trim() == user_id && named
        };
        let mut keys: Vec<&Arc<ApiKey>> = keys.iter().filter(is_owner).collect();
        keys.sort_by(|a, b| a.id.cmp(&b.id));
        let mut owners = Self::default();
        for owner in keys.iter().map(|key| &key.owner) {
            owners.org = owners.org.or_else(|| owner.org.clone());
            owners.project = owners.project.or_else(|| owner.project.clone());
            owners.plan = owners.plan.or_else(|| owner.plan.clone());
            let new = owner.tags.iter().filter(|tag| !owners.tags.contains(tag)).cloned().collect::<Vec<_>>();
            owners.tags.extend(new);
        }
        owners
    }
}

/// The facts of an identity: what its keys say, with what events have told of it since.
pub(crate) fn identity(
    key: &IdentityKey,
    user_id: &str,
    owners: &Owners,
    row: Option<&IdentityRow>,
    now: Timestamp,
) -> IdentityFacts {
    let mut tags = owners.tags.clone();
    tags.extend(row.iter().flat_map(|row| &row.tags).filter(|tag| !owners.tags.contains(tag)).cloned());
    let plan = row.and_then(|row| row.plan.clone()).or_else(|| owners.plan.clone());
    IdentityFacts {
        key: key.as_str().to_owned(),
        kind: key.kind().as_str().to_owned(),
        user_id: user_id.to_owned(),
        org_id: owners.org.clone().unwrap_or_default(),
        project_id: owners.project.clone().unwrap_or_default(),
        plan: plan.unwrap_or_default(),
        verified: row.is_some_and(|row| row.verified),
        blocked: row.is_some_and(|row| row.blocked),
        age_days: age_days(row.and_then(|row| row.created_at), now),
        tags,
    }
}

fn age_days(created_at: Option<Timestamp>, now: Timestamp) -> i64 {
    const SECONDS_PER_DAY: i64 = 24 * 60 * 60;
    created_at.map_or(0, |created| (now.as_second() - created.as_second()).max(0) / SECONDS_PER_DAY)
}

/// The facts of the request that is asked about. Its path, API and size are not told and stay empty.
pub(crate) fn request(asked: &ClassifyRequest, ip: Option<String>, free: bool) -> RequestFacts {
    RequestFacts {
        model: text(asked.requested_model.as_deref()),
        provider: text(asked.provider.as_deref()),
        free,
        stream: asked.streamed.unwrap_or(false),
        max_tokens: asked.max_tokens.unwrap_or(0),
        has_tools: asked.has_tools.unwrap_or(false),
        byok: asked.is_user_byok.unwrap_or(false),
        feature: text(asked.feature.as_deref()),
        editor: text(asked.editor_name.as_deref()),
        user_agent: text(asked.user_agent.as_deref()),
        ip: ip.unwrap_or_default(),
        ja4: text(asked.ja4_digest.as_deref()),
        country: text(asked.geo_country.as_deref()),
        city: text(asked.geo_city.as_deref()),
        ..RequestFacts::default()
    }
}

/// The recorded facts and the prompts, as rules read them.
pub(crate) fn facts<'a>(
    recorded: &'a RecordedFacts,
    user_prompt: &'a str,
    system_prompt: &'a str,
) -> Facts<'a> {
    let mut facts = Facts::of_request(recorded);
    facts.set_str(Fact::RequestUserPrompt, user_prompt);
    facts.set_str(Fact::RequestSystemPrompt, system_prompt);
    facts
}
