//! Chunks of OpenAI chat completions.

use serde_json::{Value as Json, json};

use super::{Step, part, place, text};

#[derive(Default)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

#[derive(Default)]
pub(super) struct Parts {
    content: String,
    calls: Vec<Call>,
    finish: Option<Json>,
}

impl Parts {
    pub(super) fn take(&mut self, event: &Json) -> Step {
        if let Some(error) = event.get("error").filter(|error| !error.is_null()) {
            return Step::Failed(error.clone());
        }
        let Some(choice) = event.pointer("/choices/0") else { return Step::nothing() };
        let delta = choice.get("delta").unwrap_or(&Json::Null);
        for call in delta.get("tool_calls").and_then(Json::as_array).into_iter().flatten() {
            let Some(known) = part(&mut self.calls, place(call, "index")) else { continue };
            let function = call.get("function").unwrap_or(&Json::Null);
            // Some providers send the whole id and name again with each piece.
            if known.id.is_empty() {
                text(call, "id").clone_into(&mut known.id);
            }
            if known.name.is_empty() {
                text(function, "name").clone_into(&mut known.name);
            }
            known.arguments.push_str(text(function, "arguments"));
        }
        let said = text(delta, "content").to_owned();
        self.content.push_str(&said);
        if let Some(finish) = choice.get("finish_reason").filter(|finish| !finish.is_null()) {
            self.finish = Some(finish.clone());
        }
        Step::Said(said)
    }

    pub(super) fn answer(self) -> Json {
        let call = |call: Call| json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}});
        let calls: Vec<Json> = self
            .calls
            .into_iter()
            .filter(|call| !call.name.is_empty() || !call.id.is_empty())
            .map(call)
            .collect();
        let content =
            if self.content.is_empty() && !calls.is_empty() { Json::Null } else { self.content.into() };
        let mut message = json!({"role": "assistant", "content": content});
        if let Some(members) = message.as_object_mut().filter(|_| !calls.is_empty()) {
            members.insert("tool_calls".to_owned(), calls.into());
        }
        json!({"choices": [{"index": 0, "message": message, "finish_reason": self.finish}]})
    }
}
