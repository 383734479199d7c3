//! The window: exact while it is small, unbiased beyond, and what is old goes.

use std::time::Duration;

use weir_core::Timestamp;

use super::window::Watch;

const WINDOW: Duration = Duration::from_secs(160);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).expect("in range")
}

#[test]
fn an_identity_counts_once_and_for_one_window() {
    let mut watch = Watch::default();
    watch.turn(WINDOW, at(0));
    for n in 0..200 {
        let subject = format!("user:{}", n % 100);
        watch.see(&subject);
        let (hit, seen) = if n % 10 == 0 { watch.hit("r", "v", &subject) } else { continue };
        assert!(hit <= 10 && seen <= 100 && hit * 10 >= seen, "{hit} of {seen}");
    }
    assert_eq!(watch.hit("r", "v", "user:0"), (10, 100));
    assert_eq!(watch.hit("r", "v2", "user:0"), (1, 100), "another version");
    watch.turn(WINDOW, at(140));
    watch.see("user:0");
    assert_eq!(watch.hit("r", "v", "user:0"), (10, 100), "within the window");
    watch.turn(WINDOW, at(165));
    assert_eq!(watch.hit("r", "v", "user:1"), (2, 1), "user:0 was there again, the others were not");
    watch.turn(Duration::from_secs(60), at(166));
    watch.see("user:5");
    assert_eq!(watch.hit("r", "v", "user:5"), (1, 1), "another window begins anew");
}

#[test]
fn however_many_there_are_memory_is_bounded_and_the_share_is_right() {
    let mut watch = Watch::default();
    watch.turn(WINDOW, at(0));
    let mut last = (0, 0);
    for n in 0..400_000_u32 {
        let subject = format!("user:{n}");
        watch.see(&subject);
        if n % 5 == 0 {
            last = watch.hit("r", "v", &subject);
        }
    }
    assert!(watch.entries() <= 131_072, "{}", watch.entries());
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let share = last.0 as f64 / last.1 as f64;
    assert!((share - 0.2).abs() < 0.01, "{share}");
    assert!((380_000..420_000).contains(&last.1), "{}", last.1);
}
