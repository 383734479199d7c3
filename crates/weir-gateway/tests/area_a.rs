//! The cases of area A of the specification, each a test of its own that is named by the case's id.
//!
//! A case is data: [`given`] sets the stage, [`drive`] plays the request and moves the clock, [`expect`] reads what is
//! expected member by member. A member that none of them knows fails the test. After a case has passed, each member of
//! its expectation is turned into something wrong, and must then fail: so no member is read and not looked at.

mod drive;
mod expect;
mod given;
mod identity;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use weir_testkit::cases::{self, Case};

use given::Given;

/// Cases about a catalogue and exclusive models, which weir does not have (spec A0).
const VOID: [&str; 2] = ["A072", "A074"];

macro_rules! cases {
    ($($id:ident)*) => {
        $(
            #[tokio::test]
            #[expect(non_snake_case, reason = "the case's id")]
            async fn $id() {
                run(stringify!($id)).await;
            }
        )*
        const IDS: &[&str] = &[$(stringify!($id)),*];
    };
}

cases! {
    A000 A002 A004 A005 A007 A011 A014 A016 A017 A019 A020 A022 A023 A024 A025 A027 A028 A029 A030 A031 A032 A034 A035
    A036 A037 A038 A039 A040 A041 A042 A043 A044 A045 A046 A047 A048 A049 A050 A051 A055 A056 A057 A058 A059 A060 A061
    A063 A064 A065 A066 A068 A069 A070 A071 A075 A076
}

#[test]
fn every_case_has_its_test_or_is_void() {
    let known: BTreeSet<&str> = IDS.iter().chain(&VOID).copied().collect();
    assert_eq!(known.len(), IDS.len() + VOID.len());
    let cases = cases::area("A");
    let given: BTreeSet<&str> = cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(known, given);
    // A072 to A074 are void; there is no A073.
    let void: Vec<_> = given.iter().filter(|id| ("A072"..="A074").contains(*id)).collect();
    assert_eq!(void, [&VOID[0], &VOID[1]]);
}

async fn run(id: &str) {
    let case = cases::area("A").into_iter().find(|case| case.id == id).unwrap();
    let given = Given::read(&case.given).unwrap_or_else(|why| panic!("{id}: {why}"));
    let of_identity = ["identity", "same_identity_as"].iter().any(|member| case.expect.get(member).is_some());
    if of_identity {
        let seen = identity::play(&given).await;
        judge(&case, |expect| identity::check(expect, &given, &seen));
    } else {
        let seen = drive::play(given, &case.expect).await;
        judge(&case, |expect| expect::check(expect, &seen));
    }
}

/// The expectation holds, and no wrong one does.
fn judge(case: &Case, check: impl Fn(&Value) -> Result<(), String>) {
    check(&case.expect).unwrap_or_else(|why| panic!("{} {}: {why}", case.id, case.name));
    let wrong = wrongs(&case.expect);
    assert!(!wrong.is_empty(), "{}: nothing is expected", case.id);
    for expect in wrong {
        assert!(check(&expect).is_err(), "{}: a wrong expectation holds: {expect}", case.id);
    }
}

/// Expectations that differ from this one in one place each. `seed_behaviour` says what the seed did, and is not
/// expected of weir.
fn wrongs(expect: &Value) -> Vec<Value> {
    let mut wrong = Vec::new();
    for (name, value) in expect.as_object().unwrap().iter().filter(|(name, _)| *name != "seed_behaviour") {
        for other in others(value) {
            let mut changed = expect.clone();
            changed[name] = other;
            wrong.push(changed);
        }
    }
    let mut unknown = expect.clone();
    unknown["no_such_member"] = json!(1);
    wrong.push(unknown);
    wrong
}

fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(told) => vec![json!(!told)],
        Value::Number(number) => vec![json!(number.as_u64().unwrap() + 1)],
        Value::String(text) => vec![json!(format!("{text} and more"))],
        Value::Null => vec![json!("something")],
        Value::Array(items) => {
            let more: Vec<Value> = items.iter().cloned().chain([json!("no-such-thing")]).collect();
            vec![json!(more)]
        }
        Value::Object(_) => wrongs(value),
    }
}

#[tokio::test]
async fn a_wrong_expectation_is_noticed() {
    let case = cases::area("A").into_iter().find(|case| case.id == "A000").unwrap();
    let seen = drive::play(Given::read(&case.given).unwrap(), &case.expect).await;
    assert_eq!(expect::check(&case.expect, &seen), Ok(()));
    for (member, wrong) in [
        ("status", json!(200)),
        ("error_type", json!("rate_limit_exceeded")),
        ("message", json!("Something else.")),
        ("upstream_calls", json!(1)),
        ("delay_ms", json!(2000)),
        ("cache_value_after", json!("log")),
        ("no_such_member", json!(null)),
    ] {
        let mut expect = case.expect.clone();
        expect[member] = wrong;
        assert!(expect::check(&expect, &seen).is_err(), "{member}");
    }
    assert!(Given::read(&json!({"no_such_member": 1})).is_err());
}
