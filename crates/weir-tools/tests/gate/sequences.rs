//! No sequence of calls and approvals runs a call that nobody permitted.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use weir_core::tool::CallSource;
use weir_store::database::{Answer, Answered, ApprovalScope};
use weir_tools::{Caller, Policies};

use crate::support::{ASK, Bench, tools};

#[derive(Clone, Copy, Debug)]
enum Step {
    Call { who: u8, what: u8 },
    Approve { which: usize },
    Deny { which: usize },
    Withdraw { which: usize },
    Pass { seconds: u16 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2_u8, 0..2_u8).prop_map(|(who, what)| Step::Call { who, what }),
        2 => (0..6_usize).prop_map(|which| Step::Approve { which }),
        1 => (0..6_usize).prop_map(|which| Step::Deny { which }),
        1 => (0..6_usize).prop_map(|which| Step::Withdraw { which }),
        1 => (1..700_u16).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

/// The slow, obvious model: how many runs of a call have been permitted and not used.
async fn play(steps: &[Step]) {
    let bench = Bench::new(tools(), ASK, Policies::new()).await;
    let mut permitted: BTreeMap<(u8, u8), usize> = BTreeMap::new();
    let mut asked: Vec<(String, (u8, u8))> = Vec::new();
    for step in steps {
        match *step {
            Step::Call { who, what } => {
                let caller = Caller::user(&who.to_string(), "web", CallSource::Session);
                let outcome = bench.run(Bench::call_as(caller, "t", json!({ "what": what }))).await;
                let left = permitted.entry((who, what)).or_default();
                if outcome.success() {
                    assert!(*left > 0, "a call ran that nobody permitted: {steps:?}");
                    *left -= 1;
                }
                if let Some(pending) = outcome.denied().and_then(|denied| denied.pending.as_ref())
                    && !asked.iter().any(|(id, _)| *id == pending.id)
                {
                    asked.push((pending.id.clone(), (who, what)));
                }
            }
            Step::Approve { which } => {
                if let Some((id, call)) = asked.get(which) {
                    let answer = Answer::Approve { scope: ApprovalScope::Once, until: None };
                    let now = bench.clock.now();
                    if let Answered::Taken(_) =
                        bench.database.approval_answer(id, &answer, "bob", now).await.unwrap()
                    {
                        *permitted.entry(*call).or_default() += 1;
                    }
                }
            }
            Step::Deny { which } => {
                if let Some((id, _)) = asked.get(which) {
                    bench
                        .database
                        .approval_answer(id, &Answer::Deny, "bob", bench.clock.now())
                        .await
                        .unwrap();
                }
            }
            Step::Withdraw { which } => {
                if let Some((id, call)) = asked.get(which)
                    && bench.database.approval_withdraw(id, "bob", bench.clock.now()).await.unwrap()
                {
                    *permitted.entry(*call).or_default() -= 1;
                }
            }
            Step::Pass { seconds } => bench.clock.advance(Duration::from_secs(u64::from(seconds))),
        }
    }
    let left: usize = permitted.values().sum();
    assert!(bench.ran() + left <= steps.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_sequence_runs_a_call_that_nobody_permitted(steps in prop::collection::vec(step(), 1..30)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(play(&steps));
    }
}
