//! What a server answers to questions of every kind, and whether that is the truth, or a refusal.

use crate::pilot::allocate;
use crate::support::Client;
use bergulir_chain::note::VerifierKey;
use bergulir_domain::postings::Book;
use bergulir_proto::balance_proof::BalanceProof;
use bergulir_proto::balances::Leaf;
use bergulir_proto::pb;
use bergulir_proto::pb::get_balance_request::AsOf;
use std::fmt::{self, Debug, Formatter};
use tonic::{Code, Response, Status};
use uuid::Uuid;

/// A ledger, and some that was sent to it: request ids and bank references.
pub struct Ledger {
    pub id: &'static str,
    pub ids: Vec<(Uuid, String)>,
    /// Under which request id its fund was opened.
    pub fund: Uuid,
    /// How many records it has.
    pub size: u64,
    /// As of when its last record was recorded that somebody sent.
    pub instant: Option<AsOf>,
    /// Its key, if it is asked for proofs of balances: it has seals.
    pub key: Option<VerifierKey>,
}

/// What came back on one question.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    Given(String),
    /// Records, and the reason why there are no more of them if there should be.
    Records(Vec<Vec<u8>>, Option<Refused>),
    Refused(Refused),
}

impl Debug for Answer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Given(given) => f.write_str(given),
            Answer::Records(records, why) => write!(f, "{} records, {why:?}", records.len()),
            Answer::Refused(refused) => write!(f, "{refused:?}"),
        }
    }
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    code: Code,
    pub message: String,
}

impl From<Status> for Refused {
    fn from(status: Status) -> Refused {
        Refused { code: status.code(), message: status.message().to_owned() }
    }
}

impl Refused {
    /// A damaged file is no reason to say that the caller did something wrong, that something is not
    /// there, or that it is a defect of the server.
    fn is_fitting(&self) -> bool {
        let fits =
            matches!(self.code, Code::DataLoss | Code::Unavailable | Code::FailedPrecondition);
        fits && !self.message.is_empty()
    }
}

/// Everything that was asked of one ledger, in order.
pub type Answers = Vec<Asked>;

/// A question and its answer.
pub type Asked = (&'static str, Answer);

fn given<T: Debug>(answer: Result<Response<T>, Status>) -> Answer {
    match answer {
        Ok(answer) => Answer::Given(format!("{:?}", answer.into_inner())),
        Err(status) => Answer::Refused(status.into()),
    }
}

impl Ledger {
    pub fn new(id: &'static str) -> Ledger {
        Ledger { id, fund: Uuid::new_v4(), ids: Vec::new(), size: 0, instant: None, key: None }
    }

    pub fn name(&self) -> String {
        format!("ledgers/{}", self.id)
    }

    /// Asks all that can be asked; last, that one more is recorded.
    pub async fn ask(&self, client: &mut Client) -> Answers {
        let mut answers = self.query(client).await;
        answers.extend(self.look_back(client).await);
        let new = allocate(3, &format!("{}-new", self.id));
        let new = client.send_to(&self.name(), Uuid::new_v4(), &new).await;
        // The rest depends on the time, and on whether the server sealed before what it had to index anew.
        let new = new.map(|new| Response::new((new.position >= self.size, new.duplicate)));
        answers.push(("a record more", given(new)));
        answers
    }

    /// Asks for proofs and records, and sends again what was recorded.
    pub async fn look_back(&self, client: &mut Client) -> Answers {
        let mut answers = self.prove(client).await;
        answers.push(("the records", self.records(client).await));
        for (id, reference) in &self.ids {
            let again = client.send_to(&self.name(), *id, &allocate(3, reference)).await;
            answers.push(("a retry", given(again.map(Response::new))));
        }
        answers
    }

    /// Asks for balances.
    pub async fn query(&self, client: &mut Client) -> Answers {
        let (ledger, fund) = (self.name(), format!("{}/funds/f", self.name()));
        let last = Some(self.size - 1);
        let query = &mut client.query;
        let mut answers = Answers::new();
        let request = pb::GetFundRequest { name: fund.clone(), min_position: last };
        answers.push(("a fund", given(query.get_fund(request).await)));
        for (question, as_of) in [
            ("an early balance", Some(AsOf::AsOfPosition(5))),
            ("the last balance", last.map(AsOf::AsOfPosition)),
            ("a balance of an instant", self.instant),
            ("the balance", None),
        ] {
            let min_position = if as_of.is_none() { last } else { None };
            let request = pb::GetBalanceRequest { name: fund.clone(), min_position, as_of };
            answers.push((question, given(query.get_balance(request).await)));
        }
        let request = pb::ListTrailRequest {
            parent: fund,
            page_size: 100,
            min_position: last,
            as_of: last.map(pb::list_trail_request::AsOf::AsOfPosition),
            ..pb::ListTrailRequest::default()
        };
        answers.push(("a trail", given(query.list_trail(request).await)));
        let request = pb::GetTrialBalanceRequest {
            name: ledger,
            min_position: last,
            as_of: last.map(pb::get_trial_balance_request::AsOf::AsOfPosition),
        };
        answers.push(("a trial balance", given(query.get_trial_balance(request).await)));
        answers
    }

    async fn prove(&self, client: &mut Client) -> Answers {
        let (ledger, position) = (self.name(), 5);
        let (log, log_size) = (&mut client.log, Some(self.size));
        let mut answers = Answers::new();
        let request = pb::GetCheckpointRequest { ledger: ledger.clone(), min_log_size: log_size };
        let newest = log.get_checkpoint(request).await.map(|answer| {
            // Of when nothing that is signed tells, nor of what cosignatures there were.
            let signed = answer.into_inner().checkpoint;
            Response::new(signed.map(|it| it.note.split("\n\n").next().map(str::to_owned)))
        });
        answers.push(("the checkpoint", given(newest)));
        let request = pb::GetInclusionProofRequest { ledger: ledger.clone(), position, log_size };
        let proof = log.get_inclusion_proof(request).await;
        answers.push(("a proof", given(proof.map(|it| Response::new(it.into_inner().path)))));
        let request = pb::GetConsistencyProofRequest {
            ledger: ledger.clone(),
            from_log_size: 7,
            to_log_size: log_size,
        };
        let proof = log.get_consistency_proof(request).await;
        let proof = proof.map(|it| Response::new(it.into_inner().path));
        answers.push(("that the log was extended", given(proof)));
        let request = pb::GetRecordRequest { ledger, position };
        let record = log.get_record(request).await;
        answers.push(("a record", given(record.map(|it| Response::new(it.into_inner().record)))));
        if let Some(key) = &self.key {
            let name = format!("{}/funds/f", self.name());
            let request = pb::GetBalanceProofRequest { name, fresh: false };
            let proof = log.get_balance_proof(request).await;
            // Which seal it is of depends on what is left of the index.
            let proof = proof.map(|it| Response::new(holds(&it.into_inner().proof, key)));
            answers.push(("a proof of a balance", given(proof)));
        }
        answers
    }

    async fn records(&self, client: &mut Client) -> Answer {
        let request = pb::ReadRecordsRequest {
            ledger: self.name(),
            limit: Some(self.size),
            verbatim_only: true,
            ..pb::ReadRecordsRequest::default()
        };
        let mut records = Vec::new();
        let why = match client.log.read_records(request).await.map(Response::into_inner) {
            Err(status) => Some(status.into()),
            Ok(mut stream) => loop {
                match stream.message().await {
                    Ok(Some(more)) => records.extend(more.records.into_iter().map(|it| it.record)),
                    Ok(None) => break None,
                    Err(status) => break Some(status.into()),
                }
            },
        };
        Answer::Records(records, why)
    }
}

/// Whether a proof holds, and says of a fund what was allocated to it, 3 by each of its records but the
/// first.
fn holds(proof: &str, key: &VerifierKey) -> bool {
    let Ok(proof) = BalanceProof::parse(proof.as_bytes()) else { return false };
    let Ok(proved) = proof.verify(key.name(), [key]) else { return false };
    let Some(Leaf::Fund { balances, statement, .. }) = proved.leaf else { return false };
    let allocated = 300 * (statement.records - 1);
    u64::try_from(balances.books.amount(Book::Capital)) == Ok(allocated)
}

/// What is wrong with answers: where they are neither the truth nor a refusal.
pub fn untrue(truth: &[Asked], answers: &[Asked]) -> Option<String> {
    assert_eq!(truth.len(), answers.len());
    for ((question, true_one), (_, answer)) in truth.iter().zip(answers) {
        let fits = true_one == answer
            || match (true_one, answer) {
                (_, Answer::Refused(refused)) => refused.is_fitting(),
                (Answer::Records(all, _), Answer::Records(some, Some(why))) => {
                    all.starts_with(some) && why.is_fitting()
                }
                _ => false,
            };
        if !fits {
            return Some(format!("{question}: {answer:?} instead of {true_one:?}"));
        }
    }
    None
}

/// All that is said why something is not answered that is answered in truth.
pub fn refusals(truth: &[Asked], answers: &[Asked]) -> Vec<String> {
    let told = truth.iter().zip(answers).filter(|((_, true_one), (_, answer))| {
        let both = matches!((true_one, answer), (Answer::Refused(_), Answer::Refused(_)));
        !both && true_one != answer
    });
    let told = told.map(|(_, (question, answer))| match answer {
        Answer::Refused(refused) | Answer::Records(_, Some(refused)) => {
            format!("{question}: {}", refused.message)
        }
        Answer::Records(..) => format!("{question}: fewer"),
        Answer::Given(given) => format!("{question}: {given}"),
    });
    told.collect()
}

/// The answers that stay when more is recorded.
pub fn lasting(answers: &[Asked]) -> Vec<Asked> {
    let passes = ["a fund", "the balance", "the checkpoint", "a record more"];
    answers.iter().filter(|(question, _)| !passes.contains(question)).cloned().collect()
}
