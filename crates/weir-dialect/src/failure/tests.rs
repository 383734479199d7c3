use super::*;

fn read(status: u16, body: &str) -> Evidence {
    Evidence::read(&FailureInput { status: Some(status), body: body.as_bytes(), ..FailureInput::default() })
}

#[test]
fn a_page_is_told_by_its_headlines() {
    let evidence = read(200, "<!doctype html><html><head><title>Hello</title></head></html>");
    assert_eq!((evidence.text.as_str(), evidence.message.as_str()), ("<html>\nhello", "Hello"));
}
