use super::*;

fn read(status: u16, body: &str) -> Evidence {
    Evidence::read(&FailureInput { status: Some(status), body: body.as_bytes(), ..FailureInput::default() })
}
