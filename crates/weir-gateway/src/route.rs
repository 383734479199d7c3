//! Stage *route*: path and method become an operation and a dialect.

use http::Method;
use weir_core::ApiKind;
use weir_dialect::{Dialect, Refusal};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// One of the operations with a body.
    Operation(ApiKind),
    /// The list of models.
    Models,
}

/// The prefixes of the seed's own gateway, each with an optional version (design, section 6).
const SEED_PREFIXES: [&str; 2] = ["/api/gateway", "/api/openrouter"];

/// The dialect in which a path is answered, also when it leads nowhere.
pub(crate) fn dialect_of(path: &str) -> Dialect {
    if SEED_PREFIXES.iter().any(|prefix| below(path, prefix).is_some()) {
        Dialect::Seed
    } else if path == "/v1/messages" || path.starts_with("/v1/messages/") {
        Dialect::Anthropic
    } else {
        Dialect::OpenAi
    }
}

/// Finds the operation.
///
/// # Errors
/// `invalid_path` under the seed's prefixes, `not_found` elsewhere, `method_not_allowed` for a known path.
pub(crate) fn route(method: &Method, path: &str) -> Result<Route, Refusal> {
    let found = match SEED_PREFIXES.iter().find_map(|prefix| below(path, prefix)) {
        Some(rest) => seed_operation(rest).ok_or_else(|| Refusal::InvalidPath { path: path.to_owned() })?,
        None => operation(path).ok_or_else(|| Refusal::NotFound { path: path.to_owned() })?,
    };
    let allowed = match found {
        Route::Operation(_) => Method::POST,
        Route::Models => Method::GET,
    };
    if *method == allowed {
        return Ok(found);
    }
    let allow = match found {
        Route::Operation(_) => "POST",
        Route::Models => "GET",
    };
    Err(Refusal::MethodNotAllowed { method: method.as_str().to_owned(), allow })
}

fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn seed_operation(rest: &str) -> Option<Route> {
    let kind = match rest.strip_prefix("/v1").filter(|r| r.starts_with('/')).unwrap_or(rest) {
        "/chat/completions" => ApiKind::ChatCompletions,
        "/responses" => ApiKind::Responses,
        "/messages" => ApiKind::Messages,
        _ => return None,
    };
    Some(Route::Operation(kind))
}

fn operation(path: &str) -> Option<Route> {
    Some(match path {
        "/v1/chat/completions" => Route::Operation(ApiKind::ChatCompletions),
        "/v1/responses" => Route::Operation(ApiKind::Responses),
        "/v1/messages" => Route::Operation(ApiKind::Messages),
        "/v1/messages/count_tokens" => Route::Operation(ApiKind::CountTokens),
        "/v1/embeddings" => Route::Operation(ApiKind::Embeddings),
        "/v1/models" => Route::Models,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_contract_has_its_operation() {
        let table = [
            ("/v1/chat/completions", ApiKind::ChatCompletions),
            ("/v1/responses", ApiKind::Responses),
            ("/v1/messages", ApiKind::Messages),
            ("/v1/messages/count_tokens", ApiKind::CountTokens),
            ("/v1/embeddings", ApiKind::Embeddings),
            ("/api/gateway/chat/completions", ApiKind::ChatCompletions),
            ("/api/gateway/v1/responses", ApiKind::Responses),
            ("/api/openrouter/v1/messages", ApiKind::Messages),
            ("/api/openrouter/chat/completions", ApiKind::ChatCompletions),
        ];
        for (path, kind) in table {
            assert_eq!(route(&Method::POST, path).ok(), Some(Route::Operation(kind)), "{path}");
            assert!(
                matches!(route(&Method::GET, path), Err(Refusal::MethodNotAllowed { allow: "POST", .. })),
                "{path}"
            );
        }
        assert_eq!(route(&Method::GET, "/v1/models").ok(), Some(Route::Models));
    }

    #[test]
    fn other_paths_are_refused_in_their_own_dialect() {
        for path in
            ["/api/gateway", "/api/gateway/v1", "/api/gateway/v1/embeddings", "/api/openrouter/v2/messages"]
        {
            assert!(matches!(route(&Method::POST, path), Err(Refusal::InvalidPath { .. })), "{path}");
            assert_eq!(dialect_of(path), Dialect::Seed, "{path}");
        }
        for path in ["/", "/v1", "/v1/chat", "/api/gatewayed/messages"] {
            assert!(matches!(route(&Method::POST, path), Err(Refusal::NotFound { .. })), "{path}");
            assert_eq!(dialect_of(path), Dialect::OpenAi, "{path}");
        }
        assert_eq!(dialect_of("/v1/messages/batches"), Dialect::Anthropic);
    }
}
