//! A call of a tool: read strictly, looked up, and through the gate.

use serde_json::Value;
use weir_core::tool::Arguments;

use super::list::Asked;
use super::*;
use crate::call::ToolCall;
use crate::mcp::answer::Form;
use crate::mcp::client::Asking;
use crate::mcp::members::strict_value;
use crate::outcome::{Ended, Executed, ToolOutcome, UsedApproval};

/// The members of a call's parameters that have a meaning.
const KNOWN: [&str; 5] = ["name", "arguments", "_meta", "requestState", "inputResponses"];

/// What a call asks for.
pub(super) struct Call {
    pub(super) tool: String,
    pub(super) arguments: Arguments,
    meta: Value,
    /// What an earlier result asked for: `requestState` and `inputResponses`.
    pub(super) theirs: Value,
}

impl Call {
    /// Reads the parameters as strictly as the most different servers together: what one of them could take for
    /// another call is refused.
    fn read(params: Option<&str>) -> Result<Self, String> {
        let members = Members::read(params.ok_or("`params` is missing")?)?;
        members.unmistakable(&KNOWN)?;
        let tool = members.string("name").ok_or("`params.name` must be a string")?;
        let arguments = match members.get("arguments") {
            None | Some("null") => Value::Object(serde_json::Map::new()),
            Some(text) => strict_value(text).map_err(|said| format!("`params.arguments`: {said}"))?,
        };
        if !arguments.is_object() {
            return Err("`params.arguments` must be an object".to_owned());
        }
        let meta = members.get("_meta").map_or(Ok(Value::Null), strict_value);
        let meta = meta.map_err(|said| format!("`params._meta`: {said}"))?;
        let mut theirs = serde_json::Map::new();
        for name in ["requestState", "inputResponses"] {
            if let Some(text) = members.get(name) {
                let value = strict_value(text).map_err(|said| format!("`params.{name}`: {said}"))?;
                theirs.insert(name.to_owned(), value);
            }
        }
        Ok(Self { tool, arguments: Arguments::new(arguments), meta, theirs: theirs.into() })
    }
}

impl Session {
    pub(crate) async fn call(self: Arc<Self>, incoming: Incoming) -> Answer {
        let id = incoming.frame.id().unwrap_or_default().to_owned();
        let call = match Call::read(incoming.frame.params()) {
            Ok(call) => call,
            Err(said) => return answer::error(&id, answer::INVALID_PARAMS, &said).into(),
        };
        let (mut form, asking) = self.client().of_request(&call.meta);
        let asked = Asked { meta: &call.meta, headers: &incoming.headers, outlet: &incoming.outlet };
        if let Err(trouble) = self.look_up(&call.tool, &asked).await {
            return answer::failed(&id, &self.said(&trouble), form).into();
        }
        form.promised = self.shared.tools.promises_output(&call.tool).await;
        self.gated(incoming, call, form, asking).await
    }

    async fn gated(&self, mut incoming: Incoming, call: Call, form: Form, asking: Asking) -> Answer {
        let id = incoming.frame.id().unwrap_or_default().to_owned();
        let (asked, leg) = match self.comes_back(&incoming.frame, &call).await {
            Ok(Some(back)) => {
                incoming.frame = back.frame;
                (back.answered, back.leg)
            }
            Ok(None) => (false, None),
            Err(said) => return answer::error(&id, answer::INVALID_PARAMS, &said).into(),
        };
        let mut outcome = self.through_the_gate(&incoming, &call, leg.as_ref()).await;
        if let Some(pending) = outcome.denied().and_then(|denied| denied.pending.clone()) {
            match asking {
                Asking::Elicitation
                    if self.asked_meanwhile(&pending, &call.arguments, &incoming.outlet).await =>
                {
                    outcome = self.through_the_gate(&incoming, &call, None).await;
                }
                // Once: a person who has answered and whose answer changes nothing is told so.
                Asking::InputRequired if !asked => {
                    if let Some(question) = self.question(&id, &call, &pending) {
                        return question.into();
                    }
                }
                _ => {}
            }
        }
        let used = outcome.used.clone();
        let mut told = self.told(&id, outcome, form);
        if let Some(used) = used {
            told.frame = self.with_leg(told.frame, &call, &used);
        }
        told
    }

    fn told(&self, id: &str, outcome: ToolOutcome<Result<Answer, Trouble>>, form: Form) -> Answer {
        let error = outcome.error().unwrap_or_default();
        match outcome.ended {
            Ended::Ran(Executed { value: Ok(answer), .. }) => answer,
            Ended::Ran(Executed { value: Err(trouble), .. }) => {
                answer::failed(id, &self.said(&trouble), form).into()
            }
            Ended::Denied(denied) => answer::denied(id, &denied, form).into(),
            Ended::TimedOut(_) => answer::failed(id, &error, form).into(),
        }
    }

    async fn through_the_gate(
        &self,
        incoming: &Incoming,
        call: &Call,
        leg: Option<&UsedApproval>,
    ) -> ToolOutcome<Result<Answer, Trouble>> {
        let call = ToolCall {
            id: incoming.frame.id().map(ToOwned::to_owned),
            tool: call.tool.clone(),
            server: self.shared.server.clone(),
            args: call.arguments.clone(),
            iteration: 0,
            caller: Arc::clone(&self.caller),
        };
        let outgoing = Outgoing {
            frame: incoming.frame.clone(),
            outlet: incoming.outlet.clone(),
            headers: incoming.headers.clone(),
        };
        // What is sent are the bytes that were judged: the permit is for them.
        self.shared.gate.go_on(call, leg, |_permitted| self.run(outgoing)).await
    }

    async fn run(&self, outgoing: Outgoing) -> Executed<Result<Answer, Trouble>> {
        let answered = match self.link.begin(outgoing).await {
            Ok(waiting) => waiting.await,
            Err(trouble) => Err(trouble),
        };
        match answered {
            Ok(answer) => match tool_error(&answer.frame) {
                Some(error) => Executed::failed(Ok(answer), error),
                None => Executed::ok(Ok(answer)),
            },
            Err(trouble) => {
                let said = self.said(&trouble);
                Executed::failed(Err(trouble), said)
            }
        }
    }

    fn said(&self, trouble: &Trouble) -> String {
        format!("Tool server `{}`: {trouble}.", self.shared.server)
    }
}

/// Whether the tool itself says that it failed. Its words may hold anything and stay out of records.
fn tool_error(answer: &Frame) -> Option<&'static str> {
    let Some(result) = answer.result() else { return Some("the server answered with an error") };
    let failed = Members::read(result).is_ok_and(|members| members.get("isError") == Some("true"));
    failed.then_some("the tool reported an error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_could_be_read_in_two_ways_is_refused() {
        for text in [
            "{}",
            r#"{"name":1}"#,
            r#"{"name":"a","name":"b"}"#,
            r#"{"name":"a","Name":"b"}"#,
            r#"{"name":"a","arguments":[]}"#,
            r#"{"name":"a","arguments":"{}"}"#,
            r#"{"name":"a","arguments":{"x":{"y":1,"y":2}}}"#,
            r#"{"name":"a","arguments":{},"ARGUMENTS":{"x":1}}"#,
            r#"{"name":"a","_meta":{"k":1,"k":2}}"#,
        ] {
            assert!(Call::read(Some(text)).is_err(), "{text}");
        }
        assert!(Call::read(None).is_err());
        for text in [
            r#"{"name":"a"}"#,
            r#"{"name":"a","arguments":null}"#,
            r#"{"name":"a","arguments":{"x":1},"new":2}"#,
        ] {
            assert!(Call::read(Some(text)).is_ok(), "{text}");
        }
    }
}
