//! What the editor asks while somebody types: is this rule right, and which words are there?

use axum::Json;
use axum::extract::{RawQuery, Request, State};
use serde_json::{Value, json};

use crate::console::Console;
use crate::extract::read;
use crate::problem::Problem;
use crate::query::Parameters;

/// How large a rule that is being written may be. Larger ones are no rules that somebody types.
pub(super) const DRAFT_BYTES_MAX: usize = 1 << 20;

/// What a rule that is being written comes to: its mistakes at their places, and its examples.
#[utoipa::path(post, path = "/api/rules/draft", operation_id = "checkRule", tag = "rules",
    request_body(content = String, content_type = "application/yaml", description = "One rule, in YAML or JSON"),
    params(("replaces" = Option<String>, Query, description = "The id of the rule that it would replace; none: it would be added")),
    responses(
        (status = 200, description = "`{id, diagnostics, examples}`: errors and warnings with the places of this text, and whether each example holds; nothing is changed", body = Object),
        (status = 413, description = "The rule is too large", body = crate::problem::Details),
    ))]
pub(crate) async fn check(
    State(console): State<Console>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let parameters = Parameters::read(query.as_deref(), &["replaces"]);
    let replaces = parameters.take("replaces");
    parameters.finish()?;
    let body = read(request, DRAFT_BYTES_MAX).await?;
    let text = String::from_utf8_lossy(&body);
    let draft = console.parts.rulebook.draft(&text, replaces.as_deref()).await;
    let spans: Vec<usize> = draft.diagnostics.iter().map(|diagnostic| diagnostic.span_len).collect();
    let mut answer = json!(draft);
    // An editor marks the characters that are meant.
    if let Some(diagnostics) = answer.get_mut("diagnostics").and_then(Value::as_array_mut) {
        for (diagnostic, span) in diagnostics.iter_mut().zip(spans) {
            if let Some(members) = diagnostic.as_object_mut() {
                members.insert("length".to_owned(), json!(span));
            }
        }
    }
    Ok(Json(answer))
}

/// The facts and functions that a condition may use, for completion.
#[utoipa::path(get, path = "/api/rules/vocabulary", operation_id = "listRuleWords", tag = "rules",
    responses((status = 200, description = "`{facts, functions}`: what conditions can read, with types, and what they can call", body = Object)))]
pub(crate) async fn vocabulary() -> Json<&'static weir_rules::vocabulary::Vocabulary> {
    Json(weir_rules::vocabulary::vocabulary())
}
