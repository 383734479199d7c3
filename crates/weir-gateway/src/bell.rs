//! A waker that is heard when somebody listens.
//!
//! A task is woken for many things and polls all that it consists of each time. What has a bell of its own is polled when
//! that rang, and left alone else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

/// Rings when its waker is woken, and wakes the task that waits for that.
pub(crate) struct Bell {
    heard: Arc<Heard>,
    waker: Waker,
}

#[derive(Default)]
struct Heard(Mutex<State>);

#[derive(Default)]
struct State {
    rang: bool,
    /// The task that it wakes, once.
    task: Option<Waker>,
}

impl Heard {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Heard {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.state();
        state.rang = true;
        let task = state.task.take();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Default for Bell {
    /// A bell that has not rung.
    fn default() -> Self {
        let heard = Arc::<Heard>::default();
        let waker = Waker::from(Arc::clone(&heard));
        Self { heard, waker }
    }
}

impl Bell {
    /// What rings it.
    pub(crate) const fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Whether it has rung since it was asked last.
    pub(crate) fn has_rung(&self) -> bool {
        std::mem::take(&mut self.heard.state().rang)
    }

    /// The same; if it has not, it wakes this task when it does.
    pub(crate) fn has_rung_or_wakes(&self, cx: &Context<'_>) -> bool {
        let mut state = self.heard.state();
        if std::mem::take(&mut state.rang) {
            return true;
        }
        if !state.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            state.task = Some(cx.waker().clone());
        }
        false
    }

    /// Wakes no task any more, and keeps nothing of one.
    pub(crate) fn forget_task(&self) {
        self.heard.state().task = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts how often it wakes.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn task() -> (Arc<Woken>, Waker) {
        let woken = Arc::<Woken>::default();
        (Arc::clone(&woken), woken.into())
    }

    #[test]
    fn a_task_is_woken_for_each_ring_that_it_waits_for() {
        let (woken, task) = task();
        let cx = Context::from_waker(&task);
        let bell = Bell::default();
        for rings in 1..4 {
            assert!(!bell.has_rung_or_wakes(&cx));
            assert!(!bell.has_rung_or_wakes(&cx), "it waits already");
            bell.waker().wake_by_ref();
            assert_eq!(woken.0.load(Ordering::Relaxed), rings);
            bell.waker().wake_by_ref();
            assert_eq!(woken.0.load(Ordering::Relaxed), rings, "it is awake");
            assert!(bell.has_rung_or_wakes(&cx));
        }
        bell.waker().wake_by_ref();
        assert!(bell.has_rung(), "it is heard without a task, too");
        assert!(!bell.has_rung());
    }

    #[test]
    fn another_task_takes_over_and_one_that_is_forgotten_is_let_go() {
        let ((first_woken, first), (second_woken, second)) = (task(), task());
        let bell = Bell::default();
        assert!(!bell.has_rung_or_wakes(&Context::from_waker(&first)));
        assert!(!bell.has_rung_or_wakes(&Context::from_waker(&second)));
        bell.waker().wake_by_ref();
        let woken = [&first_woken, &second_woken].map(|woken| woken.0.load(Ordering::Relaxed));
        assert_eq!(woken, [0, 1]);
        assert!(bell.has_rung());
        assert!(!bell.has_rung_or_wakes(&Context::from_waker(&first)));
        bell.forget_task();
        drop((first, second));
        assert_eq!([first_woken, second_woken].map(|woken| Arc::strong_count(&woken)), [1, 1]);
    }
}
