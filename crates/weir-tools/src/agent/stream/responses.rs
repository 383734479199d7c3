//! Events of OpenAI responses.

use serde_json::{Value as Json, json};

use super::{Step, part, place, text};

#[derive(Default)]
struct Item {
    item: Json,
    /// The arguments of a call, until the item is whole.
    arguments: String,
}

#[derive(Default)]
pub(super) struct Parts {
    items: Vec<Item>,
    /// The answer as the last event has it.
    response: Option<Json>,
}

impl Parts {
    pub(super) fn take(&mut self, event: &Json) -> Step {
        let at = place(event, "output_index");
        match text(event, "type") {
            "response.output_text.delta" | "response.refusal.delta" => {
                return Step::Said(text(event, "delta").to_owned());
            }
            "response.output_item.added" | "response.output_item.done" => {
                if let Some(known) = part(&mut self.items, at) {
                    known.item = event.get("item").cloned().unwrap_or_default();
                }
            }
            "response.function_call_arguments.delta" => {
                if let Some(known) = part(&mut self.items, at) {
                    known.arguments.push_str(text(event, "delta"));
                }
            }
            "response.completed" | "response.incomplete" => {
                self.response = event.get("response").cloned();
                return Step::Whole;
            }
            "response.failed" => {
                let error = event.pointer("/response/error").or_else(|| event.get("error"));
                return Step::Failed(error.cloned().unwrap_or_default());
            }
            "error" => return Step::Failed(event.get("error").unwrap_or(event).clone()),
            _ => {}
        }
        Step::nothing()
    }

    pub(super) fn answer(self) -> Json {
        let response = self.response.unwrap_or_default();
        if response.get("output").and_then(Json::as_array).is_some_and(|output| !output.is_empty()) {
            return response;
        }
        let items: Vec<Json> =
            self.items.into_iter().filter(|item| item.item.is_object()).map(Item::whole).collect();
        json!({"output": items})
    }
}

impl Item {
    fn whole(mut self) -> Json {
        let unsaid = text(&self.item, "arguments").is_empty();
        if let Some(members) = self.item.as_object_mut().filter(|_| unsaid && !self.arguments.is_empty()) {
            members.insert("arguments".to_owned(), self.arguments.into());
        }
        self.item
    }
}
