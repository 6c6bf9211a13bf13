//! A server on a fresh directory, callers of it, and the commands of a small programme.

use bergulir_engine::{LedgerOptions, NodeOptions};
use bergulir_proto::pb;
use bergulir_proto::pb::command::Kind;
use bergulir_proto::pb::ledger_service_client::LedgerServiceClient;
use bergulir_proto::pb::log_service_client::LogServiceClient;
use bergulir_proto::pb::query_service_client::QueryServiceClient;
use bergulir_proto::wire::{Reply, RequestParts, send};
use bergulir_server::{Denials, PRINCIPAL_KEY, Reloader, ServeError, ServerOptions, start};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::{ErrorInfo, StatusExt as _};
use uuid::Uuid;

pub(crate) const KAB: &str = "ledgers/kab";
pub(crate) const FUND: &str = "ledgers/kab/funds/dana";

/// A server that runs.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) channel: Channel,
    pub(crate) folder: PathBuf,
    pub(crate) denials: Arc<Denials>,
    pub(crate) reloader: Reloader,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    pub(crate) async fn start(folder: &Path) -> Server {
        Server::with(folder, LedgerOptions::default()).await
    }

    pub(crate) async fn with(folder: &Path, ledger: LedgerOptions) -> Server {
        let listen = "127.0.0.1:0".parse().unwrap();
        Server::run(ServerOptions { node: ledger.into(), ..ServerOptions::new(folder, listen) })
            .await
    }

    /// One that serves its logs over HTTP too.
    pub(crate) async fn with_http(folder: &Path, node: NodeOptions) -> Server {
        let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let http = Some(listen);
        Server::run(ServerOptions { node, http, ..ServerOptions::new(folder, listen) }).await
    }

    pub(crate) async fn run(options: ServerOptions) -> Server {
        let server = Server::run_unconnected(options).await;
        Server { channel: connect(server.address).await, ..server }
    }

    /// One that nobody calls yet.
    pub(crate) async fn run_unconnected(options: ServerOptions) -> Server {
        let folder = options.data.clone();
        let running = start(options, |_, _, _| {}).await.unwrap();
        let (address, http) = (running.address(), running.http_address());
        let metrics = running.metrics_address();
        let (denials, reloader) = (running.denials(), running.reloader());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(running.serve_until(async {
            let _ = stopped.await;
        }));
        let channel = unconnected(address);
        Server { address, http, metrics, channel, folder, denials, reloader, stop, task }
    }

    /// Asks the server to stop; it does so in the task that is returned.
    pub(crate) fn begin_stop(self) -> JoinHandle<Result<(), ServeError>> {
        self.stop.send(()).unwrap();
        self.task
    }

    pub(crate) async fn stop(self) {
        // A client that keeps its connection must not keep the server.
        self.begin_stop().await.unwrap().unwrap();
    }

    pub(crate) async fn restart(self) -> Server {
        let folder = self.folder.clone();
        self.stop().await;
        Server::start(&folder).await
    }

    pub(crate) fn ledgers(&self) -> LedgerServiceClient<Channel> {
        LedgerServiceClient::new(self.channel.clone())
    }

    pub(crate) fn queries(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::new(self.channel.clone()).max_decoding_message_size(64 << 20)
    }

    pub(crate) fn logs(&self) -> LogServiceClient<Channel> {
        LogServiceClient::new(self.channel.clone())
    }

    pub(crate) fn as_caller(
        &self,
        who: &'static str,
    ) -> LedgerServiceClient<InterceptedService<Channel, As>> {
        LedgerServiceClient::with_interceptor(self.channel.clone(), As(who))
            .max_decoding_message_size(64 << 20)
    }

    pub(crate) fn logs_as(
        &self,
        who: &'static str,
    ) -> LogServiceClient<InterceptedService<Channel, As>> {
        LogServiceClient::with_interceptor(self.channel.clone(), As(who))
    }

    /// One command under a fresh request id.
    pub(crate) async fn post(&self, who: &'static str, kind: Kind) -> Result<Reply, Status> {
        self.post_to("kab", who, kind).await
    }

    pub(crate) async fn post_to(
        &self,
        ledger: &str,
        who: &'static str,
        kind: Kind,
    ) -> Result<Reply, Status> {
        let parts = RequestParts { ledger: format!("ledgers/{ledger}"), ..request(kind) };
        self.send(who, parts).await
    }

    pub(crate) async fn send(
        &self,
        who: &'static str,
        parts: RequestParts,
    ) -> Result<Reply, Status> {
        send(&mut self.as_caller(who), parts).await
    }

    pub(crate) async fn batch(
        &self,
        who: &'static str,
        request: pb::SubmitBatchRequest,
    ) -> Result<pb::SubmitBatchResponse, Status> {
        let answer = self.as_caller(who).submit_batch(request).await;
        answer.map(tonic::Response::into_inner)
    }

    /// A ledger with a fund of 5.8 bn and cooperatives 1 to `cooperatives`, their accounts open.
    pub(crate) async fn prepare(&self, cooperatives: u32) {
        self.post("maker", open_ledger("kab")).await.unwrap();
        self.post("maker", open_fund()).await.unwrap();
        self.post("maker", allocate(5_800_000_000, "alloc-1")).await.unwrap();
        for n in 1..=cooperatives {
            for kind in cooperative(n) {
                self.post("maker", kind).await.unwrap();
            }
        }
    }

    /// A loan that is proposed, approved and paid out.
    pub(crate) async fn lend(&self, n: u32, rupiah: i64) {
        self.post("maker", propose_loan(n, rupiah)).await.unwrap();
        self.post("checker", approve_loan(n)).await.unwrap();
        self.post("maker", disburse(n, rupiah, &format!("out-{n}"))).await.unwrap();
    }

    pub(crate) async fn size(&self) -> u64 {
        let request = pb::GetHeadRequest { ledger: KAB.to_owned() };
        let head = self.logs().get_head(request).await.unwrap();
        head.into_inner().log_size
    }
}

fn unconnected(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy()
}

pub(crate) async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}

/// States a principal.
#[derive(Clone, Copy)]
pub(crate) struct As(pub(crate) &'static str);

impl Interceptor for As {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let principal = MetadataValue::from_static(self.0);
        request.metadata_mut().insert(PRINCIPAL_KEY, principal);
        Ok(request)
    }
}

/// The code, the reason and the facts of a refusal.
pub(crate) fn why<T: std::fmt::Debug>(refused: Result<T, Status>) -> (Code, ErrorInfo) {
    let status = refused.unwrap_err();
    let info = status.get_details_error_info();
    let info = info.unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "bergulir");
    assert!(!status.message().is_empty());
    (status.code(), info)
}

/// The code and the reason of a refusal.
pub(crate) fn reason<T: std::fmt::Debug>(refused: Result<T, Status>) -> (Code, String) {
    let (code, info) = why(refused);
    (code, info.reason)
}

pub(crate) fn fresh() -> String {
    Uuid::new_v4().to_string()
}

pub(crate) fn request(kind: Kind) -> RequestParts {
    RequestParts {
        ledger: KAB.to_owned(),
        request_id: fresh(),
        validate_only: false,
        expected_position: None,
        kind: Some(kind),
    }
}

pub(crate) fn item(kind: Kind) -> pb::BatchItem {
    pb::BatchItem { request_id: fresh(), command: Some(pb::Command { kind: Some(kind) }) }
}

pub(crate) fn batch(mode: pb::BatchMode, items: Vec<pb::BatchItem>) -> pb::SubmitBatchRequest {
    pb::SubmitBatchRequest {
        ledger: KAB.to_owned(),
        mode: mode as i32,
        items,
        ..pb::SubmitBatchRequest::default()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a message field is an Option")]
pub(crate) fn rp(units: i64) -> Option<pb::Money> {
    Some(pb::Money { currency_code: "IDR".to_owned(), units, nanos: 0 })
}

#[expect(clippy::unnecessary_wraps, reason = "a message field is an Option")]
pub(crate) fn day(year: i32, month: i32, day: i32) -> Option<pb::Date> {
    Some(pb::Date { year, month, day })
}

#[expect(clippy::unnecessary_wraps, reason = "a message field is an Option")]
pub(crate) fn bank(reference: &str) -> Option<pb::BankReference> {
    Some(pb::BankReference { bank: "bjb".to_owned(), reference: reference.to_owned(), line: None })
}

pub(crate) fn open_ledger(ledger: &str) -> Kind {
    Kind::OpenLedger(pb::OpenLedger {
        origin: format!("ledger.example.go.id/{ledger}"),
        verifier_key: None,
        region: "36.03".to_owned(),
        currency_code: "IDR".to_owned(),
        utc_offset_minutes: Some(420),
        rules_version: 2,
    })
}

pub(crate) fn open_fund() -> Kind {
    Kind::OpenFund(pb::OpenFund {
        fund: "dana".to_owned(),
        display_name: "Dana Bergulir".to_owned(),
        opening_date: day(2024, 1, 2),
        terms: Some(pb::Terms {
            kind: pb::FundKind::Loan as i32,
            ceiling: rp(3_000_000_000),
            loan: Some(pb::LoanTerms {
                rate_percent: "5".to_owned(),
                method: pb::InterestMethod::Flat as i32,
                tenor_months: 36,
                grace_months: 3,
                ..pb::LoanTerms::default()
            }),
            ..pb::Terms::default()
        }),
    })
}

pub(crate) fn allocate(units: i64, reference: &str) -> Kind {
    Kind::AllocateFund(pb::AllocateFund {
        fund: "dana".to_owned(),
        amount: rp(units),
        source: pb::AllocationSource::Apbd as i32,
        reference: "SK 12/2024".to_owned(),
        bank_reference: bank(reference),
        value_date: day(2024, 1, 10),
    })
}

/// Registered, with officers, and with its account open.
pub(crate) fn cooperative(n: u32) -> Vec<Kind> {
    let officer = |office: pb::Office, officer: String| {
        Kind::AppointOfficer(pb::AppointOfficer {
            cooperative: format!("c-{n}"),
            office: office as i32,
            officer,
            evidence: None,
        })
    };
    vec![
        register(n),
        officer(pb::Office::Chair, format!("chair-{n}")),
        officer(pb::Office::Treasurer, format!("treasurer-{n}")),
        Kind::OpenAccount(pb::OpenAccount {
            fund: "dana".to_owned(),
            account: format!("a-{n}"),
            cooperative: format!("c-{n}"),
            bank_account: Some(pb::BankAccount {
                bank: "bjb".to_owned(),
                number: format!("{n:010}"),
            }),
            holder: format!("Koperasi {n}"),
        }),
    ]
}

pub(crate) fn register(n: u32) -> Kind {
    Kind::RegisterCooperative(pb::RegisterCooperative {
        cooperative: format!("c-{n}"),
        village_code: format!("36.03.{:02}.2{:03}", n / 1_000 + 1, n % 1_000),
        kind: pb::CooperativeKind::Kdmp as i32,
        registered_name: format!("Koperasi {n}"),
        cooperative_number: None,
    })
}

/// Every loan is named after its cooperative.
pub(crate) fn propose_loan(n: u32, units: i64) -> Kind {
    Kind::ProposeLoan(pb::ProposeLoan {
        fund: "dana".to_owned(),
        account: format!("a-{n}"),
        loan: format!("l-{n}"),
        principal: rp(units),
        contract_reference: format!("PK-{n}"),
        chair: format!("chair-{n}"),
        treasurer: format!("treasurer-{n}"),
        expires_at: None,
    })
}

pub(crate) fn approve_loan(n: u32) -> Kind {
    Kind::ApproveLoan(pb::ApproveLoan { loan: format!("l-{n}") })
}

pub(crate) fn disburse(n: u32, units: i64, reference: &str) -> Kind {
    Kind::Disburse(pb::Disburse {
        loan: format!("l-{n}"),
        amount: rp(units),
        bank_reference: bank(reference),
        value_date: day(2024, 3, 1),
    })
}

pub(crate) fn repay(n: u32, principal: i64, interest: i64, reference: &str) -> Kind {
    Kind::Repay(pb::Repay {
        loan: format!("l-{n}"),
        amount: rp(principal + interest),
        principal: rp(principal),
        interest: rp(interest),
        late_fee: None,
        bank_reference: bank(reference),
        value_date: day(2024, 7, 12),
    })
}

pub(crate) fn propose_reversal(reverses: u64) -> Kind {
    Kind::ProposeReversal(pb::ProposeReversal {
        reverses,
        reason: "posted to the wrong cooperative".to_owned(),
        evidence: None,
        expires_at: None,
    })
}

pub(crate) fn approve_reversal(proposal: u64) -> Kind {
    Kind::ApproveReversal(pb::ApproveReversal { proposal })
}

pub(crate) fn fund_balance(balance: Option<pb::Balance>) -> pb::FundBalances {
    match balance.and_then(|balance| balance.of) {
        Some(pb::balance::Of::Fund(balances)) => balances,
        other => panic!("not of a fund: {other:?}"),
    }
}

pub(crate) fn account_balance(balance: Option<pb::Balance>) -> pb::AccountBalances {
    match balance.and_then(|balance| balance.of) {
        Some(pb::balance::Of::Account(balances)) => balances,
        other => panic!("not of an account: {other:?}"),
    }
}

pub(crate) fn loan_balance(balance: Option<pb::Balance>) -> pb::LoanBalances {
    match balance.and_then(|balance| balance.of) {
        Some(pb::balance::Of::Loan(balances)) => balances,
        other => panic!("not of a loan: {other:?}"),
    }
}

/// Waits until something holds.
pub(crate) async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if holds().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("it never came to hold");
}
