//! The threads of a ledger: what each of them runs, and how they are started. Nothing else knows of
//! threads: the parts can also be run step by step, in one.

use crate::checkpointer::{self, Checkpointer};
use crate::health::Health;
use crate::inbox::Inbox;
use crate::persister::Persister;
use crate::projector::{self, Projector};
use crate::scrub::{self, Trusted};
use crate::witnesses::Submitter;
use crate::writer::{self, Bundle, Writer};
use bergulir_store::EventLog;
use bergulir_store::index::Index;
use crossbeam_channel::{Receiver, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the index is asked whether it has work, should nobody tell: a run that was still read
/// may be removed now.
const INDEX_PAUSE: Duration = Duration::from_millis(200);

/// How much nicer threads are that [yield](yield_to_others): with a third of the weight of others. They
/// must not starve: a writer that is too far ahead of the index waits.
const NICER: i32 = 5;

/// The parts of a ledger that do its work, each with where its work comes from.
pub(crate) struct Workers {
    pub(crate) writer: (Writer, Receiver<writer::Message>),
    pub(crate) persister: Persister,
    pub(crate) projector: (Projector, Receiver<projector::Message>),
    /// What is to be scrubbed.
    pub(crate) trusted: Trusted,
    pub(crate) checkpointer: (Checkpointer, Receiver<checkpointer::Request>),
    pub(crate) submitter: Option<(Submitter, Receiver<()>)>,
}

/// The threads of a ledger that run, in the order in which they end.
#[derive(Default)]
pub(crate) struct Threads {
    /// Those that end when nothing more comes in.
    pub(crate) work: Vec<JoinHandle<()>>,
    /// The one that signs.
    pub(crate) checkpointer: Option<JoinHandle<()>>,
    /// The one that passes on what was signed.
    pub(crate) submitter: Option<JoinHandle<()>>,
}

/// What threads are started with. One that panics takes the ledger's writes with it, and tells:
/// nobody waits for an answer that will not come.
pub(crate) struct ThreadStart<'a> {
    pub(crate) log: &'a Arc<dyn EventLog>,
    pub(crate) index: &'a Arc<Index>,
    pub(crate) health: &'a Arc<Health>,
    pub(crate) inbox: &'a Arc<Inbox>,
    pub(crate) stopping: &'a Arc<AtomicBool>,
}

impl Workers {
    /// Has each part run in a thread of its own.
    pub(crate) fn start(self, start: &ThreadStart<'_>) -> Threads {
        let Workers { writer, persister, projector, trusted, checkpointer, submitter } = self;
        let (writer, messages) = writer;
        let (projector, published) = projector;
        let (checkpointer, requests) = checkpointer;
        let (full_sender, full) = bounded::<Bundle>(1);
        let (idle_sender, idle) = bounded::<Bundle>(1);
        let stopping = || Arc::clone(start.stopping);
        let (log, index, health) = (start.log, start.index, start.health);
        let keeping = (Arc::clone(index), Arc::clone(health), stopping());
        let scrub = (Arc::clone(log), Arc::clone(health), stopping());
        let work = vec![
            start.spawn("writer", move || writer.run(&messages, &full_sender, &idle)),
            start.spawn("persister", move || persister.run(&full, &idle_sender)),
            start.spawn("projector", move || projector.run(&published)),
            start.spawn("index", move || {
                let (index, health, stopping) = keeping;
                yield_to_others();
                keep_index(&index, &health, &stopping);
            }),
            start.spawn("scrub", move || {
                let (log, health, stopping) = scrub;
                yield_to_others();
                scrub::run(log.as_ref(), &trusted, &health, &stopping);
            }),
        ];
        let checkpointer = start.spawn("checkpointer", move || checkpointer.run(&requests));
        let submitter = submitter
            .map(|(submitter, news)| start.spawn("witnesses", move || submitter.run(&news)));
        Threads { work, checkpointer: Some(checkpointer), submitter }
    }
}

impl ThreadStart<'_> {
    fn spawn(&self, name: &'static str, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        let (health, inbox) = (Arc::clone(self.health), Arc::clone(self.inbox));
        let guarded = move || {
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                health.fail_for_now(&format!("the {name} failed"));
                inbox.abandon();
            }
        };
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(guarded)
            .expect("the system can start a thread")
    }
}

/// Has the thread that calls it give way to the others of this process: for work that is long, or that
/// nobody waits for. Where the system does not let it, all are alike. On Linux each thread has a niceness
/// of its own, elsewhere only a whole process, and nothing is done.
pub fn yield_to_others() {
    if cfg!(target_os = "linux")
        && let Err(error) = rustix::process::nice(NICER)
    {
        tracing::debug!(%error, "a thread of the background has the priority of all");
    }
}

/// Writes the index out, keeps its snapshots and merges its runs: nobody who adds waits for that.
fn keep_index(index: &Index, health: &Health, stopping: &AtomicBool) {
    while !stopping.load(Ordering::Relaxed) {
        match index.work_once() {
            Ok(true) => {}
            Ok(false) => index.wait_for_work(INDEX_PAUSE),
            Err(error) => {
                health.index_failed(&error);
                return;
            }
        }
    }
}
