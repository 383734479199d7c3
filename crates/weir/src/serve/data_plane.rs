//! The data plane's threads: each has a runtime of its own and takes connections from the one listener.
//!
//! A request stays with the thread that accepted its connection, and so do its timers and its connection to the provider:
//! handing work from thread to thread costs more than most requests do.

use std::num::NonZero;
use std::thread;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use weir_gateway::Gateway;

use crate::exit::Failure;

/// How many tasks a thread runs before it looks again what else has become ready: a turn, at whose end is written what
/// the tasks have come to. Four times the runtime's own number, which saves a tenth of the CPU time of a saturated gateway, half of
/// it in the kernel; further doublings save nothing.
const TURN_TASKS_MAX: u32 = 256;

/// The threads that serve. Dropping it ends them; what they serve is then cut off.
pub struct DataPlane {
    drained: Vec<oneshot::Receiver<()>>,
    ended: CancellationToken,
    threads: Vec<thread::JoinHandle<()>>,
}

impl DataPlane {
    /// Starts a thread for each processor.
    ///
    /// # Errors
    /// The system gives no thread or no further handle of the listener.
    pub fn start(
        gateway: &Gateway,
        listener: TcpListener,
        stop: &CancellationToken,
    ) -> Result<Self, Failure> {
        let listener = listener.into_std().map_err(of_plane)?;
        let mut plane = Self { drained: Vec::new(), ended: CancellationToken::new(), threads: Vec::new() };
        for number in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            let listener = listener.try_clone().map_err(of_plane)?;
            let mut runtime = Builder::new_current_thread();
            let runtime = runtime.enable_all().event_interval(TURN_TASKS_MAX).build().map_err(of_plane)?;
            let (gateway, stop, ended) = (gateway.clone(), stop.clone(), plane.ended.clone());
            let (done, drained) = oneshot::channel();
            let serve = async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => gateway.serve(listener, stop).await,
                    Err(error) => tracing::error!(%error, "a thread of the data plane cannot listen"),
                }
                // Nobody waits for it when the end is not awaited.
                let _ = done.send(());
            };
            let work = async move {
                // Connections to the stores may have been made on this runtime, and the last records need them: it runs
                // on when there is nothing left to serve.
                let serving = tokio::spawn(serve);
                ended.cancelled().await;
                serving.abort();
            };
            let thread = thread::Builder::new().name(format!("weir-data-{number}"));
            plane.threads.push(thread.spawn(move || runtime.block_on(work)).map_err(of_plane)?);
            plane.drained.push(drained);
        }
        Ok(plane)
    }

    /// Waits, after `stop`, until open requests have ended or the drain time is over.
    pub async fn drained(&mut self) {
        for drained in self.drained.drain(..) {
            if drained.await.is_err() {
                tracing::error!("a thread of the data plane ended badly");
            }
        }
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        self.ended.cancel();
        for thread in self.threads.drain(..) {
            // What it panicked with was told when it did.
            let _ = thread.join();
        }
    }
}

fn of_plane(error: std::io::Error) -> Failure {
    Failure::dependency("starting the data plane", error)
}
