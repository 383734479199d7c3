//! Events of Anthropic messages.

use serde_json::{Value as Json, json};

use super::{Step, part, place, text};

#[derive(Default)]
struct Block {
    block: Json,
    /// The input of a call, as text until it is whole.
    input: String,
}

#[derive(Default)]
pub(super) struct Parts {
    blocks: Vec<Block>,
}

impl Parts {
    pub(super) fn take(&mut self, event: &Json) -> Step {
        match text(event, "type") {
            "error" => return Step::Failed(event.get("error").cloned().unwrap_or_default()),
            "message_stop" => return Step::Whole,
            "content_block_start" => {
                let block = event.get("content_block").cloned().unwrap_or_default();
                let said = text(&block, "text").to_owned();
                if let Some(known) = part(&mut self.blocks, place(event, "index")) {
                    known.block = block;
                }
                return Step::Said(said);
            }
            "content_block_delta" => {
                let delta = event.get("delta").unwrap_or(&Json::Null);
                if let Some(known) = part(&mut self.blocks, place(event, "index")) {
                    known.add(delta);
                }
                if text(delta, "type") == "text_delta" {
                    return Step::Said(text(delta, "text").to_owned());
                }
            }
            _ => {}
        }
        Step::nothing()
    }

    pub(super) fn answer(self) -> Json {
        let blocks: Vec<Json> =
            self.blocks.into_iter().filter(|block| block.block.is_object()).map(Block::whole).collect();
        json!({"type": "message", "role": "assistant", "content": blocks})
    }
}

impl Block {
    /// Adds what a piece brings: each kind of piece grows the member of its name.
    fn add(&mut self, delta: &Json) {
        let member = match text(delta, "type") {
            "input_json_delta" => {
                self.input.push_str(text(delta, "partial_json"));
                return;
            }
            "text_delta" => "text",
            "thinking_delta" => "thinking",
            "signature_delta" => "signature",
            _ => return,
        };
        if let Some(members) = self.block.as_object_mut() {
            let mut whole = members.get(member).and_then(Json::as_str).unwrap_or_default().to_owned();
            whole.push_str(text(delta, member));
            members.insert(member.to_owned(), whole.into());
        }
    }

    fn whole(mut self) -> Json {
        if let Some(members) = self.block.as_object_mut().filter(|_| !self.input.is_empty()) {
            // What is no JSON stays a text, which is told the model.
            let input = serde_json::from_str(&self.input).unwrap_or(Json::String(self.input));
            members.insert("input".to_owned(), input);
        }
        self.block
    }
}
