//! The limit of open files: raised as far as it may be, and what connections fit below it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// One file in this many is kept back for stores, logs and connections to providers.
const KEPT_BACK: u64 = 10;

/// Raises the soft limit of open files to the hard one and returns what is in force; `None`: no limit.
pub fn raise() -> Option<u64> {
    let found = getrlimit(Resource::Nofile);
    if found.current != found.maximum {
        let wanted = Rlimit { current: found.maximum, maximum: found.maximum };
        // Where raising is not allowed the old limit holds, and is what is returned.
        let _ = setrlimit(Resource::Nofile, wanted);
    }
    getrlimit(Resource::Nofile).current
}

/// How many client connections fit below a limit of open files; at least one.
pub fn connections(wanted: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return wanted };
    let room = limit - limit.div_ceil(KEPT_BACK);
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_kept_back() {
        let table = [
            (18_000, None, 18_000),
            (18_000, Some(1_048_576), 18_000),
            (18_000, Some(20_000), 18_000),
            (18_000, Some(1024), 921),
            (100, Some(1024), 100),
            (100, Some(1), 1),
            (100, Some(0), 1),
        ];
        for (wanted, limit, expected) in table {
            assert_eq!(connections(wanted, limit), expected, "{wanted} {limit:?}");
        }
    }
}
