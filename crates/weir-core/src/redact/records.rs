//! Records on their way out: what a caller wrote of its own accord may hold what looks like a secret.

use std::borrow::Cow;

use super::redact;
use crate::record::Record;

/// No secret is shorter, in bytes.
const SHORTEST_BYTES: usize = 8;

impl Record {
    /// Takes what looks like a secret out of the texts that a caller chose: names of models, programs and features,
    /// the request's id. What weir itself or the configuration wrote is left alone.
    pub fn redact(&mut self) {
        let request = &mut self.facts.request;
        if request.api.is_empty() {
            // Else it is one of the few that are served.
            self.facts.redacted |= clean(&mut request.path);
        }
        for text in [
            &mut request.model,
            &mut request.feature,
            &mut request.editor,
            &mut request.user_agent,
            &mut request.ja4,
        ] {
            self.facts.redacted |= clean(text);
        }
        clean(&mut self.result.request_id);
    }
}

/// Whether something was taken out.
fn clean(text: &mut String) -> bool {
    if text.len() >= SHORTEST_BYTES
        && let Cow::Owned(clean) = redact(text)
    {
        *text = clean;
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::decision::Decision;
    use crate::ids::DecisionId;
    use crate::record::{RecordedFacts, RequestFacts, RequestResult};

    #[test]
    fn a_record_holds_no_key_that_a_caller_wrote_into_a_name() {
        let secret = "sk-abc123DEF456ghi";
        let text = format!("agent/1.0 {secret}");
        let id = DecisionId::new(Timestamp::UNIX_EPOCH, [7; 10]);
        let mut record = Record {
            decision: Decision::unasked(id, "user:u1".to_owned(), 1, Timestamp::UNIX_EPOCH),
            result: RequestResult { request_id: text.clone(), ..RequestResult::default() },
            facts: RecordedFacts {
                request: RequestFacts {
                    model: text.clone(),
                    path: "/v1/chat/completions".to_owned(),
                    feature: text.clone(),
                    editor: text.clone(),
                    user_agent: text.clone(),
                    ..RequestFacts::default()
                },
                ..RecordedFacts::default()
            },
            call: None,
        };
        record.redact();
        let json = serde_json::to_string(&record).unwrap();
        assert!(!json.contains(secret), "{json}");
        assert_eq!(json.matches("agent/1.0 [REDACTED]").count(), 5, "{json}");
        assert_eq!(record.facts.request.path, "/v1/chat/completions");
    }
}
