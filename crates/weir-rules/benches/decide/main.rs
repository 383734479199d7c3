//! Deciding over many rules, beside the interpreter of the `cel` crate in the same run; loading; memory; prompts.
//!
//! `cargo bench -p weir-rules`. The first lines are the memory that a rule keeps, measured once; then the timings.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark that cannot be set up should say so and stop, and prints what it measures"
)]

mod memory;
mod rules;

use std::sync::{LazyLock, Mutex};

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use weir_core::action::QuarantineDelays;
use weir_core::{Boundary, DecisionId, Timestamp};
use weir_rules::{
    DecideContext, EvaluateContext, Fact, Facts, LoadOptions, OwnedFacts, RuleSet, SourceFile, load,
    prompt_window,
};

use rules::Mix;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

fn at() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn load_text(text: String) -> RuleSet {
    match load(&[SourceFile { name: "bench.yaml".to_owned(), text }], &LoadOptions { now: at() }) {
        Ok(loaded) => loaded.rules,
        Err(failure) => panic!("{}", failure.diagnostics[0]),
    }
}

/// Sets are made once: divan calls a benchmark's function several times.
fn set(mix: Mix, count: usize) -> &'static RuleSet {
    type Sets = Vec<((Mix, usize), &'static RuleSet)>;
    static SETS: LazyLock<Mutex<Sets>> = LazyLock::new(Mutex::default);
    let mut sets = SETS.lock().unwrap();
    if let Some((_, set)) = sets.iter().find(|(key, _)| *key == (mix, count)) {
        return set;
    }
    let made: &'static RuleSet = Box::leak(Box::new(load_text(rules::text(mix, count))));
    sets.push(((mix, count), made));
    made
}

fn request() -> &'static OwnedFacts {
    static REQUEST: LazyLock<OwnedFacts> =
        LazyLock::new(|| OwnedFacts::from_json(Boundary::Request, &rules::request()).unwrap());
    &REQUEST
}

const COUNTS: [usize; 4] = [100, 1_000, 10_000, 100_000];

fn evaluate(bencher: Bencher<'_, '_>, mix: Mix, count: usize) {
    let set = set(mix, count);
    let facts = request().as_facts();
    let context = EvaluateContext { subject: "user:bench", at: at() };
    bencher.bench_local(|| set.evaluate(Boundary::Request, black_box(&facts), black_box(&context)));
}

/// Rules of ten shapes, all of which lookups decide.
#[divan::bench(args = COUNTS)]
fn indexable(bencher: Bencher<'_, '_>, count: usize) {
    evaluate(bencher, Mix::Indexable, count);
}

/// The same, but a tenth that no lookup decides.
#[divan::bench(args = COUNTS)]
fn a_tenth_not_indexable(bencher: Bencher<'_, '_>, count: usize) {
    evaluate(bencher, Mix::TenthNot, count);
}

/// The same, but a tenth with nothing but tests of numbers: what no literal finds.
#[divan::bench(args = COUNTS)]
fn a_tenth_numeric(bencher: Bencher<'_, '_>, count: usize) {
    evaluate(bencher, Mix::TenthNumeric, count);
}

/// Nothing but rules that no lookup decides.
#[divan::bench(args = [1_000, 10_000])]
fn none_indexable(bencher: Bencher<'_, '_>, count: usize) {
    evaluate(bencher, Mix::NoneIndexable, count);
}

/// The whole decision, the facts and the value that is recorded included.
#[divan::bench(args = COUNTS)]
fn whole_decision(bencher: Bencher<'_, '_>, count: usize) {
    let set = set(Mix::Indexable, count);
    let context = DecideContext {
        id: DecisionId::new(at(), [0; 10]),
        subject: "user:bench",
        epoch: 1,
        at: at(),
        delays: QuarantineDelays::default(),
    };
    bencher.bench_local(|| set.decide_request(&black_box(request()).as_facts(), black_box(&context)));
}

/// Each rule by the interpreter of the `cel` crate, its context made once.
#[divan::bench(args = [100, 1_000, 10_000], sample_count = 20)]
fn interpreter(bencher: Bencher<'_, '_>, count: usize) {
    let programs: Vec<cel::Program> = rules::conditions(Mix::Indexable, count)
        .iter()
        .map(|when| cel::Program::compile(when).unwrap())
        .collect();
    let mut context = cel::Context::default();
    for (root, fields) in rules::request().as_object().unwrap() {
        context.add_variable(root.clone(), fields).unwrap();
    }
    let hits = || {
        let held = |program: &&cel::Program| program.execute(&context) == Ok(cel::Value::Bool(true));
        programs.iter().filter(held).count()
    };
    let facts = request().as_facts();
    let ours = set(Mix::Indexable, count).evaluate(
        Boundary::Request,
        &facts,
        &EvaluateContext { subject: "user:bench", at: at() },
    );
    assert_eq!(hits(), ours.matched.len(), "both must find the same rules");
    bencher.bench_local(hits);
}

/// From the text to rules in force, without examples.
#[divan::bench(args = [1_000, 10_000], sample_count = 10)]
fn loading(bencher: Bencher<'_, '_>, count: usize) {
    let text = rules::text(Mix::NoRegex, count);
    bencher.with_inputs(|| text.clone()).bench_local_values(load_text);
}

/// The facts of a request alone.
#[divan::bench]
fn facts() -> u64 {
    let facts = black_box(request()).as_facts();
    black_box(&facts).int(Fact::RequestMaxTokens).unsigned_abs()
}

/// Literals searched in a prompt as long as the window; divide by its bytes.
#[divan::bench(args = [10, 100, 1_000, 10_000], sample_count = 50)]
fn prompt_search(bencher: Bencher<'_, '_>, count: usize) {
    let set = set(Mix::Prompts, count);
    let prompt = rules::prompt(50_000);
    let seen = prompt_window(&prompt).len();
    let mut facts = Facts::new(Boundary::Request);
    facts.set_str(Fact::RequestUserPrompt, &prompt);
    let context = EvaluateContext { subject: "user:bench", at: at() };
    bencher
        .counter(BytesCount::new(seen))
        .bench_local(|| set.evaluate(Boundary::Request, black_box(&facts), black_box(&context)));
}

fn main() {
    for (name, mix) in [("without regular expressions", Mix::NoRegex), ("of all shapes", Mix::Indexable)] {
        for count in [1_000, 10_000] {
            let text = rules::text(mix, count);
            let before = memory::live_bytes();
            let set = load_text(text.clone());
            // What is shared by all sets and made on first use is counted with the first one.
            let kept = memory::live_bytes() - before;
            let source = text.len() / count;
            println!(
                "memory: {count} rules {name}: {} bytes a rule (source: {source} bytes)",
                kept / count as isize
            );
            drop(set);
        }
    }
    divan::main();
}
