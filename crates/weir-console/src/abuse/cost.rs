//! `POST /api/usage/cost`: what a request that was classified has cost in the end.

use axum::Json;
use axum::extract::State;
use weir_core::IdentityKey;
use weir_store::StatsEvent;

use super::facts;
use super::protocol::{Caller, CostRequest, CostResponse};
use crate::console::{Console, Shared};
use crate::extract::Json as Body;
use crate::problem::{Fault, Problem};

/// What a request that another gateway has served came to.
#[utoipa::path(post, path = "/api/usage/cost", operation_id = "usageCost", tag = "abuse service", request_body = CostRequest,
    security(("bearer" = []), ("access_client_id" = [], "access_client_secret" = [])),
    responses(
        (status = 200, description = "Counted for the identity", body = CostResponse),
        (status = 400, description = "A member has a wrong type, or nothing says whose cost it is", body = crate::problem::Details),
    ))]
pub(crate) async fn usage_cost(
    State(console): State<Console>,
    Body(cost): Body<CostRequest>,
) -> Result<Json<CostResponse>, Problem> {
    let known = cost.request_id.and_then(|id| console.asked.find(u64::try_from(id).ok()?));
    let duplicate = known.as_ref().is_some_and(|known| !known.count_once());
    let identity = match &known {
        Some(known) => known.identity.clone(),
        None => told(&console, &cost)?,
    };
    if !duplicate {
        let tokens = [cost.input_tokens, cost.output_tokens, cost.cache_write_tokens, cost.cache_hit_tokens];
        let tokens = tokens.into_iter().flatten().fold(0, u64::saturating_add);
        let spend_microusd = cost.cost.unwrap_or(0);
        let event = StatsEvent { tokens, spend_microusd, ..StatsEvent::default() };
        console.parts.cache.stats_add(&identity, event, console.now());
    }
    Ok(Json(CostResponse { identity_key: identity.as_str().to_owned(), matched: known.is_some(), duplicate }))
}

/// The identity that the members of the callback say.
fn told(console: &Shared, cost: &CostRequest) -> Result<IdentityKey, Problem> {
    let caller = cost.caller();
    if caller.is_nobody() {
        let fault =
            Fault::member("request_id", "it is not known here, and no other member says whose cost this is");
        return Err(Problem::bad_request("nothing says whose cost this is", vec![fault]));
    }
    let (ja4, user_agent) = (facts::text(caller.ja4), facts::text(caller.user_agent));
    let address = caller.address(&console.parts.live.load().config.trusted_proxies);
    Ok(Caller { ja4: Some(&ja4), user_agent: Some(&user_agent), ..caller }.identity(address))
}
