//! How long each stage of a request took.

use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! stages {
    ($($variant:ident $name:ident: $about:literal,)+) => {
        /// A stage of a request, as ARCHITECTURE.md lists them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Stage { $(#[doc = $about] $variant,)+ }

        impl Stage {
            /// All stages, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word in records and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($name),)+ }
            }

            /// What happens in it, for people.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)+ }
            }
        }

        /// How long each stage took, in whole microseconds; 0 also for one that was not reached.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct StageTimes { $(#[doc = $about] pub $name: u64,)+ }

        impl StageTimes {
            /// Adds to the time of a stage.
            pub fn add(&mut self, stage: Stage, spent: Duration) {
                let us = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
                let time = match stage { $(Stage::$variant => &mut self.$name,)+ };
                *time = time.saturating_add(us);
            }

            /// The time of a stage in microseconds.
            #[must_use]
            pub const fn get(&self, stage: Stage) -> u64 {
                match stage { $(Stage::$variant => self.$name,)+ }
            }
        }
    };
}

stages! {
    Route route: "Path and method.",
    Admit admit: "The key, and the limit of an unauthenticated address.",
    Read read: "The body, as fast as the caller sends it.",
    Identify identify: "The model and who the caller is.",
    Resolve resolve: "The provider and its credential; the start of a remote classification.",
    Precheck precheck: "What precedes enforcement.",
    Decide decide: "The rules, or the action cache and the classifier.",
    Limit limit: "The limits that rules put on the identity.",
    Enforce enforce: "What the decision asks for.",
    Hold hold: "The artificial delay.",
    Send send: "The provider, up to the head of its answer; all attempts.",
    Pass pass: "The answer, as fast as the provider sends and the caller takes it.",
}

impl StageTimes {
    /// The stages that took a measurable time, in order, with their microseconds.
    pub fn measured(&self) -> impl Iterator<Item = (Stage, u64)> + '_ {
        Stage::ALL.iter().map(|stage| (*stage, self.get(*stage))).filter(|(_, us)| *us > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_has_a_time_of_its_own_and_adds_up() {
        let mut times = StageTimes::default();
        for (at, stage) in (1..).zip(Stage::ALL) {
            times.add(*stage, Duration::from_micros(at));
            times.add(*stage, Duration::from_nanos(999));
        }
        let seen: Vec<u64> = times.measured().map(|(_, us)| us).collect();
        assert_eq!(seen, (1..=12).collect::<Vec<u64>>(), "less than a microsecond is none");
        let json = serde_json::to_value(times).unwrap();
        for stage in Stage::ALL {
            assert_eq!(json[stage.as_str()], times.get(*stage), "{}", stage.as_str());
        }
    }

    #[test]
    fn a_record_of_before_has_no_times() {
        let old: super::super::Timings = serde_json::from_str("{\"total_ms\": 2.0}").unwrap();
        assert_eq!(old.stages_us, StageTimes::default());
    }
}
