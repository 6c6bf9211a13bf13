//! The connections of callers: HTTP/2, for gRPC, with TLS or without.

use crate::door::{Arrival, Door, Peer};
use crate::gathered::gathered;
use crate::limits::{
    ACCEPT_PAUSE, CONNECTION_WINDOW_BYTES, Limits, MAX_CALLS_PER_CONNECTION, MAX_FRAME_BYTES,
    MAX_HEADER_BYTES, MAX_RESET_CALLS, MAX_UNREAD_ANSWER_BYTES, STREAM_WINDOW_BYTES, TICK,
};
use crate::threads::LaneHandles;
use crate::underway::Underway;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use hyper::body::{Body, Bytes, Incoming};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use slab::Slab;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tonic::Status;
use tonic::codegen::http::{Request, Response};

/// What a client says first, at least: the preface of HTTP/2 and the head of a frame of settings.
const GREETING_BYTES: usize = 24 + 9;

/// Serves until `stop` is ready; then takes no more calls, and waits for those that are in flight.
/// `open` counts them. Calls that take long run on `threads` of their own.
pub(crate) async fn serve<S>(
    listener: TcpListener,
    door: Arc<Door>,
    service: S,
    threads: LaneHandles,
    open: Arc<AtomicUsize>,
    stop: impl Future<Output = ()>,
) where
    S: Lanes + Send + Sync + 'static,
{
    let (stopping, stopped) = watch::channel(false);
    let service = Arc::new(service);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => {
                open.store(connections.len(), Ordering::Relaxed);
                continue;
            }
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, from)) => {
                // Who finds no room is sent away at once, and costs nothing more.
                let Some(room) = door.room(from) else { continue };
                let (door, service) = (Arc::clone(&door), Arc::clone(&service));
                let (threads, stopped) = (threads.clone(), stopped.clone());
                connections.spawn(async move {
                    arrive(stream, from, &door, &*service, threads, stopped).await;
                    drop(room);
                });
                open.store(connections.len(), Ordering::Relaxed);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Who connects now is refused at once, and not left waiting.
    drop(listener);
    stopping.send_replace(true);
    while connections.join_next().await.is_some() {
        open.store(connections.len(), Ordering::Relaxed);
    }
}

/// Lets a connection in, and serves it.
async fn arrive<S>(
    stream: TcpStream,
    from: SocketAddr,
    door: &Door,
    service: &S,
    threads: LaneHandles,
    mut stopped: watch::Receiver<bool>,
) where
    S: Lanes,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection sends late");
    }
    let arrival = tokio::select! {
        arrival = door.let_in(stream, from) => arrival,
        _ = stopped.wait_for(|stopped| *stopped) => return,
    };
    match arrival {
        Ok(Arrival::Plain(stream, peer)) => {
            let (incoming, outgoing) = stream.into_split();
            connection(incoming, outgoing, door.limits(), service.of(peer), threads, stopped).await;
        }
        Ok(Arrival::Encrypted(stream, peer)) => {
            let (incoming, outgoing) = tokio::io::split(*stream);
            connection(incoming, outgoing, door.limits(), service.of(peer), threads, stopped).await;
        }
        Err(why) => tracing::debug!(%from, %why, "a connection was not let in"),
    }
}

/// Serves one connection. Its task also has its short calls: one that is answered then wakes no
/// other task, and what many say together is sent together.
async fn connection<R, W, S>(
    incoming: R,
    outgoing: W,
    limits: &Limits,
    service: S,
    threads: LaneHandles,
    mut stopped: watch::Receiver<bool>,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    S: Lanes,
{
    let (stream, gathered) = gathered(incoming, outgoing);
    let begun = Begun { beginning: Arc::default(), roster: Roster::default(), threads };
    let mut http = http2::Builder::new(begun.clone());
    http.timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(MAX_CALLS_PER_CONNECTION)
        .max_header_list_size(MAX_HEADER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_send_buf_size(MAX_UNREAD_ANSWER_BYTES)
        .max_pending_accept_reset_streams(MAX_RESET_CALLS)
        .max_local_error_reset_streams(MAX_RESET_CALLS)
        .keep_alive_interval(limits.keepalive_every)
        .keep_alive_timeout(limits.keepalive_timeout);
    let service = Sorted { service, begun: begun.clone() };
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let mut calls = FuturesUnordered::new();
    let mut ticks = interval_at(Instant::now() + TICK, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = pin!(stopped.wait_for(|stopped| *stopped));
    let mut stopping = false;
    // Once a client has greeted, it is asked again and again whether it is there.
    let mut greeting = pin!(tokio::time::sleep(limits.handshake_timeout));
    let mut greeted = false;
    let served = poll_fn(|context| {
        if !stopping && stop.as_mut().poll(context).is_ready() {
            stopping = true;
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            return Poll::Ready(ended);
        }
        begun.take_over(&mut calls);
        if !begun.roster.is_empty() {
            while ticks.poll_tick(context).is_ready() {
                begun.roster.tick();
            }
        }
        while let Poll::Ready(Some(())) = calls.poll_next_unpin(context) {}
        // An answer that was given just now has woken this task: it is sent at the end of its next
        // turn, with those of the calls that are ready until then.
        if let Err(error) = gathered.send(context) {
            tracing::debug!(%error, "a connection broke");
            return Poll::Ready(Ok(()));
        }
        if !greeted {
            greeted = gathered.heard() >= GREETING_BYTES;
            if !greeted && greeting.as_mut().poll(context).is_ready() {
                tracing::debug!("a connection said nothing in time");
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    });
    // Whatever ends a connection ends that one only.
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Where a call runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// In the task of its connection, whose other calls can wait for it: it takes little of the
    /// processor's time, never blocks, and its answer has one message.
    Connection,
    /// In a task of its own, on the threads of the connections.
    Own,
    /// On threads where nobody waits who asks for little: it has many commands or records, and takes a
    /// thread for a millisecond at a time.
    Bulk,
}

/// A service of many connections, which knows where each of its calls runs.
pub(crate) trait Lanes: Sized {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error = Status> + Send + 'static;
    /// The way to an answer.
    type Answer: Future<Output = Result<Response<Self::Body>, Infallible>> + Send + 'static;

    /// The service of one connection.
    fn of(&self, peer: Peer) -> Self;

    /// Where a call is to run.
    fn lane(request: &Request<Incoming>) -> Lane;

    /// A call that is about to begin.
    fn underway(&self) -> Arc<Underway>;

    /// Begins a call.
    fn begin(&self, request: Request<Incoming>, underway: Arc<Underway>) -> Self::Answer;
}

/// Calls that have begun, on their way to where they run.
#[derive(Clone)]
struct Begun {
    beginning: Arc<Mutex<Beginning>>,
    roster: Roster,
    threads: LaneHandles,
}

#[derive(Default)]
struct Beginning {
    /// The newest call, and where it runs.
    next: Option<(Lane, Arc<Underway>)>,
    calls: Vec<WatchedCall>,
}

impl Begun {
    fn take_over(&self, calls: &mut FuturesUnordered<WatchedCall>) {
        calls.extend(self.held().calls.drain(..));
    }

    fn held(&self) -> MutexGuard<'_, Beginning> {
        self.beginning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What HTTP/2 asks to run is the call that the service was given right before.
impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Begun {
    fn execute(&self, call: F) {
        let mut begun = self.held();
        match begun.next.take() {
            Some((Lane::Connection, underway)) => {
                // A panic is logged where it happens, and ends its call.
                let call = AssertUnwindSafe(call).catch_unwind().map(|_| ());
                let entry = self.roster.enter(underway);
                begun.calls.push(WatchedCall { call: Box::pin(call), entry });
            }
            Some((lane, underway)) => {
                let entry = self.roster.enter(underway);
                let call = WatchedCall { call: Box::pin(call), entry };
                match self.threads.of(lane) {
                    Some(threads) => threads.spawn(call),
                    None => tokio::spawn(call),
                };
            }
            None => {
                tokio::spawn(call);
            }
        }
    }
}

/// The calls of a connection that are under way.
#[derive(Clone, Default)]
struct Roster(Arc<Mutex<Slab<Arc<Underway>>>>);

impl Roster {
    fn enter(&self, underway: Arc<Underway>) -> Entry {
        let place = self.held().insert(Arc::clone(&underway));
        Entry { roster: self.clone(), place, underway }
    }

    fn is_empty(&self) -> bool {
        self.held().is_empty()
    }

    /// Tells all calls that a second has passed.
    fn tick(&self) {
        let due: Vec<Arc<Underway>> = {
            let calls = self.held();
            calls.iter().filter(|(_, call)| call.tick()).map(|(_, call)| Arc::clone(call)).collect()
        };
        for call in due {
            call.wake();
        }
    }

    fn held(&self) -> MutexGuard<'_, Slab<Arc<Underway>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call in the roster, until this is dropped.
struct Entry {
    roster: Roster,
    place: usize,
    underway: Arc<Underway>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.roster.held().try_remove(self.place);
    }
}

/// A call that ends when its caller does not read its answer: HTTP/2 has nobody else who would.
struct WatchedCall {
    call: Pin<Box<dyn Future<Output = ()> + Send>>,
    entry: Entry,
}

impl Future for WatchedCall {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.call.as_mut().poll(context).is_ready() || self.entry.underway.is_unread() {
            return Poll::Ready(());
        }
        self.entry.underway.is_of(context.waker());
        Poll::Pending
    }
}

/// A service that says of each call where it runs.
struct Sorted<S> {
    service: S,
    begun: Begun,
}

impl<S: Lanes> Service<Request<Incoming>> for Sorted<S> {
    type Response = Response<S::Body>;
    type Error = Infallible;
    type Future = S::Answer;

    fn call(&self, request: Request<Incoming>) -> S::Answer {
        let underway = self.service.underway();
        self.begun.held().next = Some((S::lane(&request), Arc::clone(&underway)));
        self.service.begin(request, underway)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quotas::Quotas;
    use crate::threads::Threads;
    use hyper_util::client::legacy::{Client, connect::HttpConnector};
    use hyper_util::rt::TokioExecutor;
    use tokio::sync::oneshot;
    use tonic::body::Body;

    /// Answers with the task and the thread that it runs in; a path with "panic" in it panics.
    #[derive(Clone)]
    struct Where;

    type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    impl Lanes for Where {
        type Body = Body;
        type Answer = Answer;
        fn of(&self, _: Peer) -> Where {
            Where
        }
        fn lane(request: &Request<Incoming>) -> Lane {
            match request.uri().path() {
                path if path.starts_with("/short") => Lane::Connection,
                path if path.starts_with("/bulk") => Lane::Bulk,
                _ => Lane::Own,
            }
        }
        fn underway(&self) -> Arc<Underway> {
            let quotas = Quotas::new(Limits::default());
            Arc::new(Underway::new(&quotas.memory, &quotas.limits))
        }
        fn begin(&self, request: Request<Incoming>, _: Arc<Underway>) -> Answer {
            Box::pin(async move {
                tokio::task::yield_now().await;
                assert!(!request.uri().path().contains("panic"), "as it was asked for");
                let here = std::thread::current();
                let place = format!("{} {}", here.name().unwrap_or_default(), tokio::task::id());
                let answer = Response::builder().header("place", place).body(Body::empty());
                Ok(answer.unwrap())
            })
        }
    }

    type Caller = Client<HttpConnector, Body>;

    async fn serving() -> (Caller, String, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let door = Arc::new(Door::new(None, Limits::default()));
        let serving = tokio::spawn(async move {
            let threads = Threads::start().unwrap();
            let stop = async {
                let _ = stopped.await;
            };
            serve(listener, door, Where, threads.handles(), Arc::default(), stop).await;
        });
        let caller = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        (caller, origin, stop, serving)
    }

    async fn place(caller: &Caller, url: String) -> Option<String> {
        let answer = caller.get(url.parse().unwrap()).await.ok()?;
        Some(answer.headers()["place"].to_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn short_calls_run_in_the_task_of_their_connection_and_others_beside_it() {
        let (caller, origin, stop, serving) = serving().await;
        let ask = |path: &str| place(&caller, format!("{origin}/{path}"));
        let (first, second) = tokio::join!(ask("short"), ask("short/2"));
        assert!(first.is_some());
        assert_eq!(first, second);
        let (long, other) = tokio::join!(ask("long"), ask("long/2"));
        assert!(long.is_some() && long != first && long != other);
        let long = long.unwrap();
        let own = ask("bulk").await.unwrap();
        let of_lane = |place: &str| place.starts_with("bulk ");
        assert!(of_lane(&own) && !of_lane(&long), "{own}, {long}");
        stop.send(()).unwrap();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_call_that_panics_ends_alone() {
        let (caller, origin, stop, serving) = serving().await;
        let ask = |path: &str| place(&caller, format!("{origin}/{path}"));
        let first = ask("short").await;
        let (panicked, beside) = tokio::join!(ask("short/panic"), ask("short/2"));
        assert_eq!(panicked, None);
        assert_eq!(beside, first);
        assert_eq!(ask("short/3").await, first);
        stop.send(()).unwrap();
        serving.await.unwrap();
    }
}
