//! What happens around every call: when it arrived, how it ended, and errors of the protocol in
//! the form that all others have.

use crate::access::{Access, Connection, Pass};
use crate::connections::{Lane, Lanes};
use crate::deadline::{self, Deadline};
use crate::door::Peer;
use crate::identity::PRINCIPAL_KEY;
use crate::quotas::{Account, Kind, Memory, Place, Quotas};
use crate::receiving::{Receiving, Sends};
use crate::sending::Sending;
use crate::telemetry::{self, Measured, Method};
use crate::underway::Underway;
use bergulir_domain::PrincipalId;
use bergulir_proto::Described;
use bergulir_proto::pb::backup_service_server::SERVICE_NAME as BACKUP;
use bergulir_proto::pb::ledger_service_server::SERVICE_NAME as LEDGER;
use bergulir_proto::pb::log_service_server::SERVICE_NAME as LOG;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The services, with what happens around every call.
#[derive(Clone)]
pub(crate) struct Calls<L> {
    /// What takes commands: called without the way through the routes, which costs a tenth of a single
    /// command.
    ledger: L,
    others: Routes,
    measured: Arc<Measured>,
    quotas: Arc<Quotas>,
    /// Whether calls are parts of traces.
    traced: bool,
    from: From,
}

/// Of which connections the calls are.
#[derive(Clone)]
enum From {
    /// Of all.
    All(Arc<Access>),
    /// Of one.
    One(Arc<One>),
}

/// One connection.
struct One {
    connection: Arc<Connection>,
    memory: Arc<Memory>,
    /// The account of who called last over it: mostly the same one.
    account: Mutex<Option<Arc<Account>>>,
}

impl One {
    /// The account of a caller: of the one that was authenticated, or else that it states.
    fn account(&self, quotas: &Quotas, request: &Request<Incoming>) -> Arc<Account> {
        let name = principal(request).unwrap_or_default();
        let mut last = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        match last.as_ref() {
            Some(account) if account.name() == name => Arc::clone(account),
            _ => {
                // Who states what is no name is refused for that later.
                let account = quotas.account(PrincipalId::new(name).ok());
                *last = Some(Arc::clone(&account));
                account
            }
        }
    }
}

impl<L> Calls<L> {
    pub(crate) fn new(
        ledger: L,
        others: Routes,
        access: Arc<Access>,
        measured: Arc<Measured>,
        quotas: Arc<Quotas>,
        traced: bool,
    ) -> Calls<L> {
        Calls { ledger, others, measured, quotas, traced, from: From::All(access) }
    }

    /// Lets a call in, and gives it the pass and the place that it needs.
    fn admit(
        &self,
        request: &mut Request<Incoming>,
        kind: Option<Kind>,
        now: Instant,
    ) -> Result<Option<Place>, Status> {
        let From::One(one) = &self.from else { return Ok(None) };
        if !one.connection.is_open()
            && let Some(pass) = one.connection.admit(request.uri().path(), request.headers())?
        {
            request.extensions_mut().insert(pass);
        }
        let Some(kind) = kind else { return Ok(None) };
        let account = one.account(&self.quotas, request);
        let method = ledger_method(request);
        let reads_commands = matches!(method, Some("SubmitBatch" | "SubmitStream"));
        // A batch counts by its commands. It is taken whole or not at all, and so from a full bucket if
        // it is long: nothing may be taken out before.
        let commands = u64::from(method != Some("SubmitBatch"));
        let place = self.quotas.begin(&account, kind, commands, now);
        let place = place.map_err(|exceeded| exceeded.status())?;
        if reads_commands {
            request.extensions_mut().insert(place.pace());
        }
        Ok(Some(place))
    }
}

/// Where a call is to run.
fn lane<A>(request: &Request<A>) -> Lane {
    match ledger_method(request) {
        Some("SubmitBatch" | "SubmitStream") => Lane::Bulk,
        Some("CreateSeal" | "OpenLedger") => Lane::Own,
        // Single commands.
        Some(_) => Lane::Connection,
        None => other_lane(request.uri().path()),
    }
}

/// The same for the methods that take no commands, by their paths.
fn other_lane(path: &str) -> Lane {
    let (service, method) = path.rsplit_once('/').unwrap_or_default();
    match service.strip_prefix('/').map(|service| (service, method)) {
        // They send records, as many as there are.
        Some((LOG, "ReadRecords" | "Subscribe") | (BACKUP, "ReadBackup")) => Lane::Bulk,
        Some(_) | None => Lane::Own,
    }
}

/// The method of the service that takes commands, if that one is called.
fn ledger_method<A>(request: &Request<A>) -> Option<&str> {
    let (service, method) = request.uri().path().strip_prefix('/')?.split_once('/')?;
    (service == LEDGER).then_some(method)
}

impl<L> Lanes for Calls<L>
where
    L: tower::Service<Request<Receiving>, Response = Response<Body>, Error = Infallible>,
    L: Clone + Send + Sync + 'static,
    L::Future: Unpin + Send + 'static,
{
    type Body = Sending;
    type Answer = Call<L::Future>;

    fn of(&self, peer: Peer) -> Calls<L> {
        let from = match &self.from {
            From::All(access) => {
                let most = self.quotas.limits.connection_memory_bytes;
                From::One(Arc::new(One {
                    connection: Arc::new(Connection::new(Arc::clone(access), peer)),
                    memory: Arc::new(Memory::of_connection(&self.quotas.memory, most)),
                    account: Mutex::default(),
                }))
            }
            From::One(one) => From::One(Arc::clone(one)),
        };
        Calls {
            ledger: self.ledger.clone(),
            others: self.others.clone(),
            measured: Arc::clone(&self.measured),
            quotas: Arc::clone(&self.quotas),
            traced: self.traced,
            from,
        }
    }

    fn lane(request: &Request<Incoming>) -> Lane {
        lane(request)
    }

    fn underway(&self) -> Arc<Underway> {
        let memory = match &self.from {
            From::All(_) => &self.quotas.memory,
            From::One(one) => &one.memory,
        };
        Arc::new(Underway::new(memory, &self.quotas.limits))
    }

    fn begin(&self, request: Request<Incoming>, underway: Arc<Underway>) -> Call<L::Future> {
        let mut request = request;
        let arrived = Instant::now();
        let limits = &self.quotas.limits;
        let counted = Counted::began(&self.measured, request.uri().path());
        let (kind, sends) = (counted.method().kind, counted.method().sends);
        let most = limits.call_seconds.filter(|_| kind == Some(Kind::Call));
        let most = most.map(|seconds| Duration::from_secs(seconds.into()));
        let mut ends = None;
        if let Some((timeout, deadline)) = Deadline::read(request.headers(), arrived, most) {
            request.extensions_mut().insert(deadline);
            ends = Some(Box::pin(tokio::time::sleep(timeout)));
        }
        let admitted = self.admit(&mut request, kind, arrived);
        let (admitted, place) = match admitted {
            Ok(place) => (Ok(()), place),
            Err(refused) => (Err(refused), None),
        };
        // Streams of commands answer what they have taken, and see to this themselves.
        let lasting = request.extensions().get::<Pass>().filter(|pass| pass.lasts()).cloned();
        let lasting = lasting.filter(|_| sends != Sends::Commands);
        if sends == Sends::Commands {
            request.extensions_mut().insert(Arc::clone(&underway));
        }
        let span = if self.traced { traced_span(&request) } else { span(&request) };
        let of = Arc::clone(&underway);
        let request = request.map(|body| Receiving::new(body, of, sends, limits.message_bytes));
        let answer = span.in_scope(|| match (admitted, ledger_method(&request)) {
            (Err(refused), _) => Answer::Refused(Some(refused)),
            (Ok(()), Some(_)) => {
                Answer::Ledger(tower::Service::call(&mut self.ledger.clone(), request))
            }
            (Ok(()), None) => {
                Answer::Other(Box::new(tower::Service::call(&mut self.others.clone(), request)))
            }
        });
        Call { answer, arrived, ends, span, counted, place, lasting, underway }
    }
}

/// The answer of one service or the other.
enum Answer<L> {
    Ledger(L),
    Other(Box<<Routes as tower::Service<Request<Receiving>>>::Future>),
    /// Not let in; taken when it is answered.
    Refused(Option<Status>),
}

/// A call that is under way.
pub(crate) struct Call<L> {
    answer: Answer<L>,
    arrived: Instant,
    /// When its caller has given up.
    ends: Option<Pin<Box<Sleep>>>,
    span: Span,
    counted: Counted,
    /// Goes along with the answer.
    place: Option<Place>,
    /// What its caller may do, as long as it lasts.
    lasting: Option<Pass>,
    underway: Arc<Underway>,
}

/// A call that is counted as under way until it is dropped.
struct Counted {
    measured: Arc<Measured>,
    place: usize,
}

impl Counted {
    fn began(measured: &Arc<Measured>, path: &str) -> Counted {
        let place = measured.calls.place(path);
        measured.calls.method(place).began();
        Counted { measured: Arc::clone(measured), place }
    }

    fn method(&self) -> &Method {
        self.measured.calls.method(self.place)
    }

    fn answered(&self, status: Option<&Status>, took: Duration) {
        let code = status.map_or(Code::Ok, Status::code);
        self.method().answered(code, took);
        if let Some(status) = status.filter(|status| status.code() != Code::Ok) {
            let reason = status.get_details_error_info().map(|info| info.reason);
            self.measured.refused.count(reason.as_deref().unwrap_or("PROTOCOL"));
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.method().ended();
    }
}

impl<L> Future for Call<L>
where
    L: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<Sending>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let call = &mut *self;
        let _entered = call.span.enter();
        let answer = match &mut call.answer {
            Answer::Ledger(answer) => Pin::new(answer).poll(context),
            Answer::Other(answer) => Pin::new(answer).poll(context),
            Answer::Refused(status) => {
                let status = status.take().unwrap_or_else(|| Status::internal("asked twice"));
                Poll::Ready(Ok(status.into_http()))
            }
        };
        let mut response = match answer {
            Poll::Ready(answer) => answer?,
            Poll::Pending if call.underway.is_overdue() => deadline::passed().into_http(),
            Poll::Pending => match call.ends.as_mut().map(|ends| ends.as_mut().poll(context)) {
                Some(Poll::Ready(())) => deadline::passed().into_http(),
                Some(Poll::Pending) | None => return Poll::Pending,
            },
        };
        let status = Status::from_header_map(response.headers());
        if let Some(status) = status.as_ref().and_then(of_the_protocol) {
            response = status.into_http();
        }
        let status = Status::from_header_map(response.headers());
        call.counted.answered(status.as_ref(), call.arrived.elapsed());
        tell(status.as_ref(), call.arrived, &call.span);
        call.underway.answered();
        let (of, place) = (Arc::clone(&call.underway), call.place.take());
        let lasting = call.lasting.take();
        let measured = Arc::clone(&call.counted.measured);
        Poll::Ready(Ok(Sending::of(response, of, measured, place, lasting)))
    }
}

/// The ledger is filled in by the service, which reads the request.
fn span<A>(request: &Request<A>) -> Span {
    tracing::debug_span!(
        "call",
        method = request.uri().path(),
        principal = principal(request),
        ledger = field::Empty,
    )
}

/// The same as part of the caller's trace, under the names that OpenTelemetry has for it.
fn traced_span<A>(request: &Request<A>) -> Span {
    let span = tracing::debug_span!(
        "call",
        otel.name = request.uri().path().trim_start_matches('/'),
        otel.kind = "server",
        otel.status_code = field::Empty,
        rpc.system = "grpc",
        rpc.grpc.status_code = field::Empty,
        principal = principal(request),
        ledger = field::Empty,
    );
    // Fails only if the span goes nowhere.
    let _ = span.set_parent(telemetry::parent(request.headers()));
    span
}

/// Who calls, as far as it is known, or else who that says it is.
fn principal<A>(request: &Request<A>) -> Option<&str> {
    let known = request.extensions().get::<Pass>().and_then(Pass::principal);
    known.or_else(|| request.headers().get(PRINCIPAL_KEY)?.to_str().ok())
}

/// Says how a call ended, or for a stream how it began. Trouble of the server is a warning; what a
/// caller did wrong is the caller's own to log.
fn tell(status: Option<&Status>, arrived: Instant, span: &Span) {
    let code = status.map_or(Code::Ok, Status::code);
    span.record("rpc.grpc.status_code", code as i32);
    let micros = || u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX);
    match code {
        Code::Internal | Code::DataLoss | Code::Unavailable | Code::Unknown => {
            let why = status.map_or("", Status::message);
            span.record("otel.status_code", "ERROR");
            tracing::warn!(outcome = ?code, micros = micros(), why, "call failed");
        }
        _ => tracing::debug!(outcome = ?code, micros = micros(), "call"),
    }
}

/// Our words for what the protocol refuses before a service sees it.
pub(crate) fn of_the_protocol(status: &Status) -> Option<Status> {
    if !status.details().is_empty() {
        return None;
    }
    let (reason, message) = match status.code() {
        // No service of ours answers with this code: the decoder found a message too long.
        Code::OutOfRange => {
            let message = format!(
                "the message is longer than what is taken: send less in one call ({})",
                status.message()
            );
            ("MESSAGE_TOO_LARGE", message)
        }
        Code::Internal if status.message().starts_with("failed to decode Protobuf message") => {
            let message = format!("the message cannot be read: {}", status.message());
            ("MALFORMED_MESSAGE", message)
        }
        _ => return None,
    };
    Some(Described::new(Code::InvalidArgument, reason, message).status())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::AuthOptions;
    use crate::connections;
    use crate::door::Door;
    use crate::limits::Limits;
    use crate::threads::LaneHandles;
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    use std::future::pending;
    use tokio::net::TcpListener;

    #[test]
    fn what_has_many_commands_or_records_is_in_nobodys_way() {
        let of = |path: &str| lane(&Request::post(path).body(()).unwrap());
        for (method, expected) in [
            ("LedgerService/Repay", Lane::Connection),
            ("LedgerService/SubmitBatch", Lane::Bulk),
            ("LedgerService/SubmitStream", Lane::Bulk),
            ("LedgerService/CreateSeal", Lane::Own),
            ("LogService/ReadRecords", Lane::Bulk),
            ("LogService/Subscribe", Lane::Bulk),
            ("BackupService/ReadBackup", Lane::Bulk),
            ("QueryService/GetBalance", Lane::Own),
            ("QueryService/ListTrail", Lane::Own),
            ("Other/ReadRecords", Lane::Own),
        ] {
            assert_eq!(of(&format!("/bergulir.v1.{method}")), expected, "{method}");
        }
    }

    #[tokio::test]
    async fn whatever_a_call_waits_for_its_caller_is_told_in_time() {
        let waiting = axum::Router::new().fallback(pending::<()>);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/some.Service/Method", listener.local_addr().unwrap());
        let access = Arc::new(Access::new(AuthOptions::default(), None).unwrap());
        let (none, waiting) = (Routes::default(), Routes::from(waiting));
        let quotas = Arc::new(Quotas::new(Limits::default()));
        let calls = Calls::new(none, waiting, access, Arc::default(), quotas, false);
        let door = Arc::new(Door::new(None, Limits::default()));
        let (threads, open) = (LaneHandles::here(), Arc::default());
        let serving =
            tokio::spawn(connections::serve(listener, door, calls, threads, open, pending()));
        let client: Client<_, Body> =
            Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let request = Request::post(url).header("grpc-timeout", "50m").body(Body::empty());
        let answer = client.request(request.unwrap());
        let answer = tokio::time::timeout(Duration::from_secs(5), answer).await.unwrap().unwrap();
        let status = Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        serving.abort();
    }
}
