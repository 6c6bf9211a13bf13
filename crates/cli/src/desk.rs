//! The desk from which the demonstration and the benchmark are driven: sends commands as the maker
//! or as the checker, and looks at every answer.

use std::future::Future;

use bergulir_proto::pb;
use bergulir_proto::pb::batch_item_result::Outcome;
use bergulir_proto::pb::ledger_service_client::LedgerServiceClient;
use bergulir_proto::pb::log_service_client::LogServiceClient;
use bergulir_proto::pb::query_service_client::QueryServiceClient;
use indicatif::ProgressBar;
use tokio::task::JoinSet;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::client::{PRINCIPAL_KEY, innermost};
use crate::failure::{Failure, Refusal};

/// So many commands go in one batch.
const BATCH: usize = 1_000;
/// So many batches are under way at a time.
const IN_FLIGHT: usize = 4;
/// The most bytes of an answer: a batch with all its balances.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Who sends a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Person {
    /// The fund officer.
    Maker,
    /// The second officer.
    Checker,
}

impl Person {
    /// The principal.
    pub(crate) const fn principal(self) -> &'static str {
        match self {
            Person::Maker => "petugas-dana",
            Person::Checker => "pejabat-pemeriksa",
        }
    }
}

/// A desk of the office.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) channel: Channel,
    ledger: String,
}

impl Desk {
    /// Connects to the server.
    pub(crate) async fn at(address: std::net::SocketAddr, ledger: &str) -> Result<Desk, Failure> {
        let endpoint =
            Endpoint::from_shared(format!("http://{address}")).map_err(Failure::could_not)?;
        let channel = endpoint.connect().await.map_err(|error| {
            let why = innermost(&error);
            Failure::CouldNotTell(format!("the server does not answer at {address}: {why}"))
        })?;
        Ok(Desk { channel, ledger: format!("ledgers/{ledger}") })
    }

    /// The same desk for another ledger of the server.
    pub(crate) fn of(&self, ledger: &str) -> Desk {
        Desk { channel: self.channel.clone(), ledger: format!("ledgers/{ledger}") }
    }

    /// `ledgers/{ledger}`.
    pub(crate) fn ledger(&self) -> String {
        self.ledger.clone()
    }

    /// The service that answers questions.
    pub(crate) fn queries(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// The service that reads the log.
    pub(crate) fn log(&self) -> LogServiceClient<Channel> {
        LogServiceClient::new(self.channel.clone())
    }

    /// The head of the log.
    pub(crate) async fn head(&self) -> Result<pb::GetHeadResponse, Failure> {
        let request = pb::GetHeadRequest { ledger: self.ledger() };
        let mut log = self.log();
        let answer = log.get_head(Desk::from(Person::Maker, request));
        Ok(answer.await.map_err(|status| refused(&status))?.into_inner())
    }

    /// The balances of a fund, after everything that was sent before.
    pub(crate) async fn fund(&self, fund: &str) -> Result<pb::FundBalances, Failure> {
        let request = pb::GetFundRequest {
            name: format!("{}/funds/{fund}", self.ledger()),
            min_position: Some(self.head().await?.log_size.saturating_sub(1)),
        };
        let mut queries = self.queries();
        let answer = queries.get_fund(Desk::from(Person::Maker, request));
        answer
            .await
            .map_err(|status| refused(&status))?
            .into_inner()
            .fund
            .and_then(|fund| fund.balances)
            .ok_or_else(|| Failure::CouldNotTell("the fund came without balances".to_owned()))
    }

    /// The service that takes commands.
    pub(crate) fn commands(&self) -> LedgerServiceClient<Channel> {
        LedgerServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// A message as that person sends it.
    pub(crate) fn from<T>(person: Person, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let principal = MetadataValue::from_static(person.principal());
        request.metadata_mut().insert(PRINCIPAL_KEY, principal);
        request
    }

    /// Sends groups of commands. The commands of a group stay in their order; the groups go in any.
    /// Every answer is looked at: all commands must be accepted, each once.
    pub(crate) async fn send(
        &self,
        person: Person,
        groups: impl Iterator<Item = Vec<pb::Command>>,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        let mut under_way = JoinSet::new();
        let mut batch = Vec::with_capacity(BATCH);
        for group in groups {
            batch.extend(group);
            if batch.len() >= BATCH {
                self.start(&mut under_way, person, std::mem::take(&mut batch), bar);
            }
            while under_way.len() >= IN_FLIGHT {
                finished(&mut under_way).await?;
            }
        }
        if !batch.is_empty() {
            self.start(&mut under_way, person, batch, bar);
        }
        while !under_way.is_empty() {
            finished(&mut under_way).await?;
        }
        Ok(())
    }

    fn start(
        &self,
        under_way: &mut JoinSet<Result<(), Failure>>,
        person: Person,
        commands: Vec<pb::Command>,
        bar: &ProgressBar,
    ) {
        let desk = self.clone();
        let bar = bar.clone();
        under_way.spawn(async move {
            let count = commands.len() as u64;
            desk.submit(person, commands).await?;
            bar.inc(count);
            Ok(())
        });
    }

    async fn submit(&self, person: Person, commands: Vec<pb::Command>) -> Result<(), Failure> {
        let sent = commands.len();
        let items = commands.into_iter().map(|command| pb::BatchItem {
            request_id: Uuid::now_v7().to_string(),
            command: Some(command),
        });
        let request = pb::SubmitBatchRequest {
            ledger: self.ledger(),
            mode: pb::BatchMode::Independent.into(),
            expected_position: None,
            validate_only: false,
            items: items.collect(),
        };
        let answer = self
            .commands()
            .submit_batch(Desk::from(person, request))
            .await
            .map_err(|status| refused(&status))?;
        check(answer.get_ref(), sent)
    }
}

/// Waits for one batch.
async fn finished(under_way: &mut JoinSet<Result<(), Failure>>) -> Result<(), Failure> {
    match under_way.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(Failure::CouldNotTell(format!("a batch was lost: {error}"))),
        None => Ok(()),
    }
}

/// Every command of a batch was recorded, and for the first time.
fn check(answer: &pb::SubmitBatchResponse, sent: usize) -> Result<(), Failure> {
    if answer.results.len() != sent {
        return Err(Failure::CouldNotTell(format!(
            "{sent} commands were sent, and {} answers came",
            answer.results.len()
        )));
    }
    for result in &answer.results {
        match &result.outcome {
            Some(Outcome::Receipt(receipt)) if !receipt.duplicate => {}
            Some(Outcome::Error(error)) => {
                return Err(Failure::Refused(Box::new(Refusal::of_item(error))));
            }
            Some(Outcome::Receipt(_)) | None => {
                return Err(Failure::CouldNotTell(
                    "a new command was answered as one that is known".to_owned(),
                ));
            }
        }
    }
    Ok(())
}

/// A refusal of something that was expected to be accepted.
pub(crate) fn refused(status: &Status) -> Failure {
    Failure::of_query(status)
}

/// A new request id.
pub(crate) fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// Where a command was recorded, which must be new.
pub(crate) async fn first<A>(
    answer: impl Future<Output = Result<Response<A>, Status>>,
    receipt: impl Fn(A) -> Option<pb::Receipt>,
) -> Result<u64, Failure> {
    let answer = answer.await.map_err(|status| refused(&status))?.into_inner();
    match receipt(answer) {
        Some(receipt) if !receipt.duplicate => Ok(receipt.position),
        _ => {
            Err(Failure::CouldNotTell("a new command was answered as one that is known".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_of_a_batch_is_looked_at() {
        let receipt = |duplicate| pb::BatchItemResult {
            outcome: Some(Outcome::Receipt(pb::BatchReceipt {
                duplicate,
                ..pb::BatchReceipt::default()
            })),
        };
        let error = pb::BatchItemResult {
            outcome: Some(Outcome::Error(pb::CommandError {
                code: 9,
                reason: "CEILING_EXCEEDED".to_owned(),
                ..pb::CommandError::default()
            })),
        };
        let answer = |results: &[pb::BatchItemResult]| pb::SubmitBatchResponse {
            results: results.to_vec(),
            log_size: 1,
        };
        assert!(check(&answer(&[receipt(false), receipt(false)]), 2).is_ok());
        assert!(check(&answer(&[receipt(false)]), 2).is_err());
        assert!(check(&answer(&[receipt(true)]), 1).is_err());
        assert!(check(&answer(&[pb::BatchItemResult { outcome: None }]), 1).is_err());
        let refused = check(&answer(&[receipt(false), error]), 2).unwrap_err();
        assert_eq!(refused.exit_code(), crate::exit::REFUSED);
    }
}
