//! What must not compile: a permit is made by the decision alone, and prompts and keys cannot be printed.

#[test]
fn a_permit_cannot_be_made_elsewhere_and_secrets_cannot_be_printed() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/*.rs");
    cases.pass("tests/compile_pass/*.rs");
}
