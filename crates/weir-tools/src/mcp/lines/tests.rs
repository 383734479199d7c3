use super::*;
use tokio::io::BufReader;

async fn lines(text: &[u8], capacity: usize, bytes_max: usize) -> Vec<Line> {
    let mut lines = Lines::new(BufReader::with_capacity(capacity, text), bytes_max);
    let mut found = Vec::new();
    while let Some(line) = lines.next().await.unwrap() {
        found.push(line);
    }
    found
}

fn whole(text: &'static str) -> Line {
    Line::Whole(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn lines_are_found_however_the_pipe_cuts_them() {
    for capacity in [1, 2, 7, 100] {
        let found = lines(b"one\r\n\n  \ntwo\nthree", capacity, 100).await;
        assert_eq!(found, [whole("one"), whole("two"), whole("three")], "{capacity}");
    }
}

#[tokio::test]
async fn a_line_over_the_limit_is_told_by_its_id_and_the_next_is_read() {
    let long = "x".repeat(500);
    let text = format!(
        "{{\"result\":{{\"id\":1,\"t\":\"{long}\"}},\"id\":\"a\\\"b\"}}\n{{\"method\":\"m\",\"id\":2,\"p\":\"{long}\"}}\n{long}\nnext\n"
    );
    for capacity in [1, 3, 64, 4096] {
        let found = lines(text.as_bytes(), capacity, 64).await;
        let told = |id: Option<&str>, method| Line::TooLong { id: id.map(ToOwned::to_owned), method };
        let expected =
            [told(Some("\"a\\\"b\""), false), told(Some("2"), true), told(None, false), whole("next")];
        assert_eq!(found, expected, "{capacity}");
    }
}

#[tokio::test]
async fn a_message_is_written_as_one_line() {
    let mut written = Vec::new();
    write(&mut written, &Bytes::from_static(b"{\n  \"a\":\r\n1}")).await.unwrap();
    assert_eq!(written, b"{   \"a\":  1}\n");
}
