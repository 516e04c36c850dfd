//! A future that goes on by itself when it is woken while it is polled.
//!
//! hyper wakes its own task for every body that a call brings. The runtime would queue the task again
//! and wake another of its threads to look for work: that costs more than the whole of a short call.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// How often it goes on before others have their turn.
const MOST: usize = 8;

const RESTING: u8 = 0;
const POLLED: u8 = 1;
const WOKEN: u8 = 2;

/// A future whose wake-ups while it is polled stay with it.
pub struct InPlace<F> {
    work: Pin<Box<F>>,
    /// The same as `waker`.
    state: Arc<State>,
    waker: Waker,
}

#[derive(Default)]
struct State {
    now: AtomicU8,
    task: AtomicWaker,
}

impl<F: Future> InPlace<F> {
    pub fn new(work: F) -> Self {
        let state = Arc::<State>::default();
        Self { work: Box::pin(work), waker: state.clone().into(), state }
    }
}

impl<F: Future> Future for InPlace<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { work, state, waker } = &mut *self;
        // Before it can rest: whoever wakes it then finds whom to tell.
        state.task.register(context.waker());
        for _ in 0..MOST {
            state.now.store(POLLED, Ordering::Release);
            if let ended @ Poll::Ready(_) = work.as_mut().poll(&mut Context::from_waker(waker)) {
                return ended;
            }
            let rests = state.now.compare_exchange(POLLED, RESTING, Ordering::AcqRel, Ordering::Acquire);
            if rests.is_ok() {
                return Poll::Pending;
            }
        }
        state.now.store(RESTING, Ordering::Release);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match self.now.compare_exchange(POLLED, WOKEN, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) | Err(WOKEN) => {}
            Err(_) => self.task.wake(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    /// Counts how often the task is woken from outside.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Wakes itself so many times before it ends.
    fn restless(times: usize) -> InPlace<impl Future<Output = usize>> {
        let mut polled = 0;
        InPlace::new(poll_fn(move |context| {
            polled += 1;
            if polled > times {
                return Poll::Ready(polled);
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }))
    }

    #[test]
    fn it_goes_on_in_place_but_not_for_ever() {
        let task = Arc::<Task>::default();
        let waker = Waker::from(task.clone());
        let poll = |work: &mut InPlace<_>| Pin::new(work).poll(&mut Context::from_waker(&waker));
        assert_eq!(poll(&mut restless(MOST - 1)), Poll::Ready(MOST));
        assert_eq!(task.0.load(Ordering::Relaxed), 0);
        let mut longer = restless(MOST);
        assert_eq!(poll(&mut longer), Poll::Pending);
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
        assert_eq!(poll(&mut longer), Poll::Ready(MOST + 1));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_up_of_another_thread_is_lost() {
        let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
        let sender = std::thread::spawn(move || (0..20_000).for_each(|n| send.send(n).unwrap_or_default()));
        let work = InPlace::new(async move {
            let mut got = 0;
            while receive.recv().await.is_some() {
                got += 1;
            }
            got
        });
        let got = tokio::time::timeout(Duration::from_secs(60), tokio::spawn(work)).await;
        assert_eq!(got.expect("it hangs").unwrap(), 20_000);
        sender.join().unwrap();
    }
}
