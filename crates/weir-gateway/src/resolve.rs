//! Stage *resolve*: one value holds all that follows from the effective model, so that an override replaces all of it.

use std::sync::Arc;

use weir_config::{Model, Resolved};
use weir_core::ApiKind;
use weir_core::record::{RequestFacts, Usage};
use weir_core::secret::Secret;
use weir_dialect::Refusal;
use weir_dialect::refusal::Unavailable;

use crate::callers::{BYOK_HEADER, Caller};
use crate::gateway::Inner;
use crate::settings::{Credential, Provider, Settings};

/// Where a request goes: the provider, whose credential is used, the name that is sent, the price.
pub(crate) struct Target {
    /// The effective id, in lower case.
    pub(crate) id: String,
    pub(crate) model: Arc<Model>,
    pub(crate) provider: Arc<Provider>,
    pub(crate) upstream_name: String,
    /// The caller's own key, if it has one for this provider; the platform's are the provider's.
    pub(crate) own: Option<Credential>,
    /// Whether the credential is the caller's own.
    pub(crate) byok: bool,
}

/// Finds the target of a model (spec A3 step 12).
///
/// # Errors
/// `model_not_found`, and `temporarily_unavailable` where the platform has no key.
pub(crate) fn resolve(
    inner: &Inner,
    settings: &Settings,
    resolved: Resolved,
    caller: &Caller,
) -> Result<Arc<Target>, Refusal> {
    inner.counters.provider_resolutions.add();
    let Some(provider) = settings.providers.get(&resolved.model.provider) else {
        return Err(Refusal::ModelNotFound { model: Some(resolved.id) });
    };
    let own = own_key(caller, provider);
    let byok = own.is_some();
    let own = own.map(|key| own_credential(key, provider)).transpose()?.flatten();
    if !byok && provider.keys.is_empty() && provider.needs_key() {
        let reason = Unavailable::NoCredential { provider: provider.name.to_string() };
        return Err(Refusal::TemporarilyUnavailable { reason, retry_after_s: None });
    }
    Ok(Arc::new(Target {
        id: resolved.id,
        model: resolved.model,
        provider: Arc::clone(provider),
        upstream_name: resolved.upstream_name,
        own,
        byok,
    }))
}

/// The caller's own key for this provider: brought along with the request, else from the key's record.
fn own_key<'a>(caller: &'a Caller, provider: &Provider) -> Option<&'a Secret> {
    let Caller::Keyed(key, brought) = caller else { return None };
    brought.as_ref().or_else(|| key.byok.get(provider.name.as_ref()))
}

/// The caller's own key as the provider wants to be shown it. The platform's never stands in for it.
fn own_credential(key: &Secret, provider: &Provider) -> Result<Option<Credential>, Refusal> {
    let credential = Credential::new(provider.auth, key);
    if credential.is_none() && provider.needs_key() {
        let detail = format!(
            "`{BYOK_HEADER}` holds bytes that no header may hold; send the provider's key as it was given"
        );
        return Err(Refusal::invalid(None, detail));
    }
    Ok(credential)
}

impl Target {
    /// Tells the facts of a request what is known of its target.
    pub(crate) fn tell(&self, facts: &mut RequestFacts) {
        facts.model.clone_from(&self.id);
        facts.provider = self.provider.name.to_string();
        facts.free = self.model.free;
        facts.byok = self.byok;
    }

    /// Whether its provider serves the operation (spec A3 step 13).
    ///
    /// # Errors
    /// `api_kind_not_supported`.
    pub(crate) fn check_kind(&self, kind: ApiKind) -> Result<(), Refusal> {
        if self.provider.serves(kind) {
            Ok(())
        } else {
            Err(Refusal::ApiKindNotSupported { kind, model: self.id.clone() })
        }
    }

    /// Whether the model is still served (spec A3 step 16).
    ///
    /// # Errors
    /// `discontinued_free_model`.
    pub(crate) fn check_served(&self) -> Result<(), Refusal> {
        if self.model.discontinued {
            Err(Refusal::DiscontinuedFreeModel { model: self.id.clone() })
        } else {
            Ok(())
        }
    }

    /// What this many tokens cost, in millionths of a dollar. A caller who pays the provider pays weir nothing.
    pub(crate) fn cost_microusd(&self, usage: &Usage) -> u64 {
        match self.model.price {
            Some(price) if !self.byok => {
                // Dollars for a million tokens are micro-dollars for one.
                let cost =
                    price.input * to_f64(usage.input_tokens) + price.output * to_f64(usage.output_tokens);
                cost.ceil().max(0.0) as u64
            }
            _ => 0,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
fn to_f64(tokens: u64) -> f64 {
    tokens as f64
}
