use super::*;

fn answer(result: &str) -> Frame {
    Frame::answer("1", "result", result)
}

#[test]
fn what_may_not_be_shown_is_cut_out_and_the_rest_is_as_it_came() {
    let a = r#"{"name":"a","x-new":1e400,"annotations":{"readOnlyHint":true}}"#;
    let table = [
        (
            format!(r#"{{"tools":[{a}, {{"name":"b"}}],"z":1}}"#),
            vec!["a", "b"],
            format!(r#"{{"tools":[{a}, {{"name":"b"}}],"z":1}}"#),
        ),
        (
            format!(r#"{{"tools":[{a}, {{"name":"b"}}],"z":1}}"#),
            vec!["a"],
            format!(r#"{{"tools":[{a}],"z":1}}"#),
        ),
        (
            format!(r#"{{"tools":[{a}],"nextCursor":"n"}}"#),
            vec![],
            r#"{"tools":[],"nextCursor":"n"}"#.to_owned(),
        ),
        (
            r#"{"cacheScope":"public","tools":[{"name":"a"},{"name":"b"}],"ttlMs":60000}"#.to_owned(),
            vec!["b"],
            r#"{"cacheScope":"private","tools":[{"name":"b"}],"ttlMs":10000}"#.to_owned(),
        ),
        // What cannot be judged is not shown, whoever asks.
        (
            r#"{"tools":[{"name":1},7,{"name":"a","name":"b"},{"name":"b","Name":"a"},{"name":"a"}]}"#
                .to_owned(),
            vec!["a", "b"],
            r#"{"tools":[{"name":"a"}]}"#.to_owned(),
        ),
    ];
    for (given, visible, expected) in table {
        let visible = visible.into_iter().map(ToOwned::to_owned).collect();
        let page = Page::read(&given, "s").unwrap();
        assert_eq!(page.shown(&answer(&given), &visible).result(), Some(expected.as_str()), "{given}");
    }
}

#[test]
fn what_is_no_list_is_an_error() {
    for text in ["1", "{}", r#"{"tools":{}}"#, r#"{"tools":[],"tools":[]}"#] {
        assert!(Page::read(text, "s").is_err(), "{text}");
    }
}
