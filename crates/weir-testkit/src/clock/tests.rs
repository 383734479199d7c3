use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_sleep_ends_exactly_when_its_time_has_come() {
    let clock = ManualClock::at_ten();
    let start = clock.now();
    let sleep = tokio::spawn(clock.sleep(2 * SECOND));
    clock.wait_for_sleep_of(2 * SECOND).await;
    clock.advance(Duration::from_millis(1999));
    tokio::task::yield_now().await;
    assert!(!sleep.is_finished());
    assert_eq!((clock.sleepers(), clock.next_deadline()), (1, Some(start + SignedDuration::from_secs(2))));
    clock.advance(Duration::from_millis(1));
    sleep.await.unwrap();
    assert_eq!((clock.sleepers(), clock.now()), (0, start + SignedDuration::from_secs(2)));
}

#[tokio::test]
async fn sleepers_wake_in_the_order_in_which_they_are_due() {
    let clock = ManualClock::at_ten();
    let order = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = [3_u32, 1, 2, 1]
        .into_iter()
        .enumerate()
        .map(|(index, seconds)| {
            let (sleep, order) = (clock.sleep(seconds * SECOND), Arc::clone(&order));
            tokio::spawn(async move {
                sleep.await;
                order.lock().unwrap().push((seconds, index));
            })
        })
        .collect();
    clock.wait_for_sleepers(4).await;
    tokio::task::yield_now().await;
    clock.advance(5 * SECOND);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [(1, 1), (1, 3), (2, 2), (3, 0)]);
}

#[tokio::test]
async fn a_dropped_sleep_is_no_sleeper() {
    let clock = ManualClock::at_ten();
    let (first, second) = (clock.sleep(SECOND), clock.sleep(2 * SECOND));
    assert_eq!(clock.sleeping(), [SECOND, 2 * SECOND]);
    let waiting = tokio::spawn({
        let clock = clock.clone();
        async move { clock.wait_for_at_most(1).await }
    });
    drop(first);
    waiting.await.unwrap();
    assert_eq!(clock.sleepers(), 1);
    drop(second);
    assert_eq!(clock.next_deadline(), None);
}

#[tokio::test]
async fn a_sleep_counts_from_the_call_and_none_is_over_at_once() {
    let clock = ManualClock::at_ten();
    let unpolled = clock.sleep(SECOND);
    clock.advance(SECOND);
    unpolled.await;
    clock.sleep(Duration::ZERO).await;
    assert_eq!(clock.sleepers(), 0);
}
