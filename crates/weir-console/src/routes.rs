//! The routes of the admin plane: which path leads where, and who may pass.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use http::StatusCode;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth;
use crate::console::Console;
use crate::problem::Problem;
use crate::{
    abuse, access, approvals, audit, backtests, decisions, explanation, failures, health, identities, keys,
    openapi, overrides, pages, rule_stats, rules, tallies,
};

/// All routes. Health, the sign-in page and assets are open to everybody; everything else, unknown paths included, needs a credential.
pub(crate) fn router(console: Console) -> Router {
    let (guarded, _) = guarded().split_for_parts();
    let (open, _) = open().split_for_parts();
    guarded
        .merge(pages::guarded().router)
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        // Each handler bounds its own body.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(console.clone(), auth::layer))
        .merge(open.merge(pages::open()).method_not_allowed_fallback(wrong_method))
        .with_state(console)
}

/// The description of all routes.
pub(crate) fn description() -> utoipa::openapi::OpenApi {
    OpenApiRouter::with_openapi(openapi::Api::openapi()).merge(guarded()).merge(open()).into_openapi()
}

/// Every route behind the sign-in that takes another method than GET: `POST /keys`. From the lists that the router is made
/// of, so that a test can walk all of them.
#[must_use]
pub fn changing() -> Vec<String> {
    let (_, api) = guarded().split_for_parts();
    let mut routes: Vec<String> =
        pages::guarded().changing.iter().map(|path| format!("POST {path}")).collect();
    for (path, item) in &api.paths.paths {
        let methods =
            [("POST", &item.post), ("PUT", &item.put), ("PATCH", &item.patch), ("DELETE", &item.delete)];
        routes.extend(
            methods.iter().filter(|(_, of)| of.is_some()).map(|(method, _)| format!("{method} {path}")),
        );
    }
    routes
}

fn open() -> OpenApiRouter<Console> {
    OpenApiRouter::new().routes(routes!(health::healthz)).routes(routes!(health::readyz))
}

fn guarded() -> OpenApiRouter<Console> {
    OpenApiRouter::new()
        .routes(routes!(rules::list, rules::replace, rules::add))
        .routes(routes!(rules::check))
        .routes(routes!(pages::rules::draft::check))
        .routes(routes!(pages::rules::draft::vocabulary))
        .routes(routes!(rules::history))
        .routes(routes!(rules::version))
        .routes(routes!(rules::rollback))
        .routes(routes!(rules::get, rules::put, rules::delete))
        .routes(routes!(rules::resume))
        .routes(routes!(rule_stats::list))
        .routes(routes!(rule_stats::get))
        .routes(routes!(tallies::list))
        .routes(routes!(failures::list))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(decisions::list))
        .routes(routes!(decisions::get))
        .routes(routes!(explanation::get))
        .routes(routes!(decisions::usage))
        .routes(routes!(identities::get))
        .routes(routes!(identities::clear_action))
        .routes(routes!(identities::exempt, identities::end_exemption))
        .routes(routes!(identities::set_tags))
        .routes(routes!(identities::clear_actions))
        .routes(routes!(approvals::list))
        .routes(routes!(approvals::get, approvals::answer, approvals::withdraw))
        .routes(routes!(approvals::tools))
        .routes(routes!(approvals::accept))
        .routes(routes!(overrides::levels))
        .routes(routes!(overrides::set_level, overrides::reset_level))
        .routes(routes!(overrides::ceilings))
        .routes(routes!(overrides::set_ceiling, overrides::reset_ceiling))
        .routes(routes!(backtests::http::list, backtests::http::start))
        .routes(routes!(backtests::http::get, backtests::http::stop))
        .routes(routes!(access::evaluation))
        .routes(routes!(access::evaluations))
        .routes(routes!(audit::list))
        .routes(routes!(abuse::classify::classify))
        .routes(routes!(abuse::cost::usage_cost))
        .routes(routes!(abuse::events::auth_event))
        .routes(routes!(abuse::events::events))
        .routes(routes!(health::metrics))
        .routes(routes!(openapi::document))
}

async fn unknown_path(request: Request) -> impl IntoResponse {
    Problem::not_found(format!(
        "there is nothing at `{}`; /api/openapi.json lists what there is",
        request.uri().path()
    ))
}

/// The router adds `Allow`.
async fn wrong_method(request: Request) -> impl IntoResponse {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("`{}` does not take {}; see `Allow`", request.uri().path(), request.method()),
    )
}
