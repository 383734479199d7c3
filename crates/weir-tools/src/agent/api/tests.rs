use super::*;

/// The same answer in the three protocols: a text and a call.
fn answers() -> [(Api, Json); 3] {
    [
        (
            Api::ChatCompletions,
            json!({"choices": [{"message": {"content": "so", "tool_calls": [
                {"id": "c1", "function": {"name": "read", "arguments": "{\"path\":\"a\"}"}},
            ]}}]}),
        ),
        (
            Api::Responses,
            json!({"output": [
                {"type": "reasoning", "id": "r1"},
                {"type": "message", "content": [{"type": "output_text", "text": "so"}]},
                {"type": "function_call", "call_id": "c1", "name": "read", "arguments": "{\"path\":\"a\"}"},
            ]}),
        ),
        (
            Api::Messages,
            json!({"content": [
                {"type": "text", "text": "so"},
                {"type": "tool_use", "id": "c1", "name": "read", "input": {"path": "a"}},
            ]}),
        ),
    ]
}

#[test]
fn a_call_and_its_failed_result_go_round_in_each_protocol() {
    for (api, answer) in answers() {
        let mut conversation = Conversation::new(api, "m", "be brief", "hello");
        let said = conversation.take(&answer, 1).unwrap();
        assert_eq!(said.text, "so", "{api:?}");
        let call = &said.calls[0];
        assert_eq!((call.id.as_str(), call.name.as_str()), ("c1", "read"), "{api:?}");
        conversation.results(&[CallResult { id: "c1".into(), content: "Blocked".into(), failed: true }]);
        let request = conversation.request(&Offer::default());
        let text = request.to_string();
        assert!(text.contains("be brief") && text.contains("hello"), "{text}");
        let last =
            request.get("messages").or(request.get("input")).unwrap().as_array().unwrap().last().unwrap();
        let expected = match api {
            Api::ChatCompletions => json!({"role": "tool", "tool_call_id": "c1", "content": "Blocked"}),
            Api::Responses => json!({"type": "function_call_output", "call_id": "c1", "output": "Blocked"}),
            Api::Messages => json!({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "Blocked", "is_error": true},
            ]}),
        };
        assert_eq!(last, &expected, "{api:?}");
    }
}

#[test]
fn an_answer_of_another_form_is_no_answer_and_a_call_without_an_id_is_given_one() {
    for (api, _) in answers() {
        for bad in
            [json!(null), json!([]), json!({"choices": []}), json!({"output": 1}), json!({"content": "x"})]
        {
            assert!(Conversation::new(api, "m", "", "p").take(&bad, 1).is_err(), "{api:?} {bad}");
        }
    }
    let answer = json!({"choices": [{"message": {"tool_calls": [{"function": {"name": "read"}}, 7]}}]});
    let mut conversation = Conversation::new(Api::ChatCompletions, "m", "", "p");
    let said = conversation.take(&answer, 3).unwrap();
    assert!(said.calls[0].id.starts_with("turn-3-read-"), "{said:?}");
    assert_eq!(said.calls[1].name, "");
    let request = conversation.request(&Offer::default());
    assert_eq!(request["messages"][1]["tool_calls"][0]["id"], said.calls[0].id.as_str());
}
