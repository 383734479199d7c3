//! Any bytes as the body of a failure: read and classified without a panic, in bounded time and memory.
//!
//! Seeds are files (`fuzz/seeds`), the labelled failures of real providers, the cases of the specification, and bodies
//! that are made here because they are large. Every seed is run as it is; then they are mutated, some hundred times in
//! an ordinary test, and for as long as it is told by `make fuzz`. An input that breaks something is written to a file,
//! whose place among the seeds makes it a test for good.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test that fails should panic; the environment says how long to fuzz"
)]

#[path = "fuzz/input.rs"]
mod input;
#[path = "fuzz/memory.rs"]
mod memory;
#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "fuzz/seeds.rs"]
mod seeds;

use std::time::{Duration, Instant};

use input::Input;
use mutate::Mutator;

#[global_allocator]
static ALLOCATOR: memory::Peaking = memory::Peaking;

/// How long one input may take. Optimised it takes at most 3 ms; this is for a build that is not, on a machine that
/// does other things.
const TIME_MAX: Duration = Duration::from_secs(3);

/// How often an input that took longer is tried again.
const TRIES: usize = 5;

/// How much may be allocated at a time for one input, in bytes, beside the input itself.
const MEMORY_BYTES_MAX: usize = 48 * 1024 * 1024;

/// How many mutations an ordinary test runs.
const MUTATIONS: usize = 1500;

/// Runs one input and holds it to the bounds; says what was wrong.
fn run(bytes: &[u8]) -> Result<(), String> {
    let begun = Instant::now();
    let (outcome, peak) = memory::peak_of(|| std::panic::catch_unwind(|| Input::of(bytes).check()));
    let took = begun.elapsed();
    match outcome {
        Err(_) => return Err("it panicked".to_owned()),
        Ok(Err(wrong)) => return Err(wrong),
        Ok(Ok(())) => {}
    }
    if peak > MEMORY_BYTES_MAX {
        return Err(format!("it allocated {peak} bytes at a time"));
    }
    if took > TIME_MAX {
        // Others may have had the machine: what is really slow is slow every time.
        let again = std::iter::repeat_with(|| {
            let begun = Instant::now();
            let _ = Input::of(bytes).check();
            begun.elapsed()
        });
        let quickest = again.take(TRIES).find(|took| *took <= TIME_MAX);
        if quickest.is_none() {
            return Err(format!(
                "it took {took:?}, and was never quicker than {TIME_MAX:?} in {TRIES} tries"
            ));
        }
    }
    Ok(())
}

/// Runs one input, and keeps it when it breaks something.
fn run_or_keep(what: &str, bytes: &[u8]) {
    if let Err(wrong) = run(bytes) {
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let kept = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{hash:016x}"));
        std::fs::write(&kept, bytes).unwrap();
        panic!("{what}: {wrong}; the input is kept in {}", kept.display());
    }
}

#[test]
fn every_seed_is_classified_in_bounded_time_and_memory() {
    let seeds = seeds::small();
    assert!(seeds.len() >= 300, "only {} seeds", seeds.len());
    for (name, bytes) in seeds.iter().chain(&seeds::large()) {
        run_or_keep(name, bytes);
    }
}

#[test]
fn mutated_seeds_are_classified_in_bounded_time_and_memory() {
    let mut mutator = Mutator::new(seeds::small(), 1);
    for n in 0..MUTATIONS {
        run_or_keep(&format!("mutation {n}"), mutator.next());
    }
}

#[test]
fn a_mutator_gives_the_same_inputs_again_and_others_for_another_seed() {
    let some = |seed| {
        let mut mutator = Mutator::new(seeds::small(), seed);
        (0..20).map(|_| mutator.next().to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(some(1), some(1));
    assert_ne!(some(1), some(2));
}

#[test]
fn what_breaks_a_bound_is_noticed() {
    let (sum, peak) =
        memory::peak_of(|| vec![1_u8; 3 << 20].iter().map(|byte| u64::from(*byte)).sum::<u64>());
    assert_eq!(sum, 3 << 20);
    assert!((3 << 20..4 << 20).contains(&peak), "{peak}");
}

/// `make fuzz`: for `FUZZ_SECONDS`, from `FUZZ_SEED` on.
#[test]
#[ignore = "takes as long as it is told: make fuzz"]
fn for_as_long_as_it_is_told() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seconds, seed) = (number("FUZZ_SECONDS", 60), number("FUZZ_SEED", 1));
    let mut mutator = Mutator::new(seeds::small(), seed);
    let begun = Instant::now();
    let mut runs = 0_u64;
    while begun.elapsed() < Duration::from_secs(seconds) {
        run_or_keep(&format!("run {runs} of seed {seed}"), mutator.next());
        runs += 1;
    }
    println!("{runs} inputs in {seconds} s, none of which broke anything (FUZZ_SEED={seed})");
}
