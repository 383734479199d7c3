//! The body of `GET /v1/models`.

use bytes::Bytes;
use serde::Serialize;

/// A list of models that both SDK families read: OpenAI's members, and beside them those that Anthropic's wants.
/// When a model was released is not known here, so both dates are the epoch, as Anthropic's reference allows.
#[must_use]
pub fn models_list<S: AsRef<str>>(ids: &[S]) -> Bytes {
    let data: Vec<Model<'_>> = ids.iter().map(|id| Model::new(id.as_ref())).collect();
    let list = List {
        object: "list",
        has_more: false,
        first_id: ids.first().map(AsRef::as_ref),
        last_id: ids.last().map(AsRef::as_ref),
        data,
    };
    crate::refusal::to_bytes(&list)
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
    r#type: &'static str,
    display_name: &'a str,
    created_at: &'static str,
}

impl<'a> Model<'a> {
    fn new(id: &'a str) -> Self {
        Self {
            id,
            object: "model",
            created: 0,
            owned_by: id.split_once('/').map_or("weir", |(vendor, _)| vendor),
            r#type: "model",
            display_name: id,
            created_at: "1970-01-01T00:00:00Z",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::models_list;

    #[test]
    fn the_list_has_the_members_of_both_families() {
        let body = models_list(&["openai/gpt-4o", "local"]);
        insta::assert_json_snapshot!(serde_json::from_slice::<serde_json::Value>(&body).unwrap());
    }

    #[test]
    fn an_empty_list_has_no_first_and_no_last() {
        let body: serde_json::Value = serde_json::from_slice(&models_list::<&str>(&[])).unwrap();
        assert_eq!(body["data"], serde_json::json!([]));
        assert!(body["first_id"].is_null() && body["last_id"].is_null());
    }
}
