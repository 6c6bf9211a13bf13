//! `LogService`: the records as they are stored, and proofs of them.

mod filter;
mod proofs;
mod read;
mod subscribe;

pub(crate) use read::still_wanted;

use crate::deadline::Deadline;
use crate::records::{Reader, parse as parse_record};
use crate::refusal::not_found;
use crate::services::{Services, parse_ledger};
use bergulir_chain::{LogSize, Position, record};
use bergulir_domain::rejection::Resource;
use bergulir_engine::{Head, Ledger};
use bergulir_proto::pb;
use bergulir_proto::pb::log_service_server::LogService;
use bergulir_proto::record::{RecordsAnswer, recorded_at_to_wire};
use bergulir_proto::record_to_wire;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status, async_trait};

#[async_trait]
impl LogService for Services {
    type ReadRecordsStream = BoxStream<'static, Result<RecordsAnswer, Status>>;
    type SubscribeStream = BoxStream<'static, Result<pb::SubscribeResponse, Status>>;

    async fn get_head(
        &self,
        request: Request<pb::GetHeadRequest>,
    ) -> Result<Response<pb::GetHeadResponse>, Status> {
        let pass = self.pass(request.extensions())?;
        let (ledger, _) = self.ledger(&pass, parse_ledger("ledger", &request.get_ref().ledger)?)?;
        head(&ledger, ledger.head()).map(Response::new)
    }

    async fn get_record(
        &self,
        request: Request<pb::GetRecordRequest>,
    ) -> Result<Response<pb::GetRecordResponse>, Status> {
        let pass = self.pass(request.extensions())?;
        let request = request.into_inner();
        let (ledger, _) = self.ledger(&pass, parse_ledger("ledger", &request.ledger)?)?;
        let position = Position::new(request.position);
        if !ledger.head().size.holds(position) {
            let position = bergulir_domain::Position::new(request.position);
            return Err(not_found(Resource::Record(position)));
        }
        let mut reader = Reader::new(&ledger);
        let bytes = reader.bytes(position)?;
        let parsed = parse_record(position, bytes)?;
        let shown = record_to_wire(bytes, &parsed, record::hash(bytes), false);
        Ok(Response::new(pb::GetRecordResponse { record: Some(shown) }))
    }

    async fn read_records(
        &self,
        request: Request<pb::ReadRecordsRequest>,
    ) -> Result<Response<Self::ReadRecordsStream>, Status> {
        let deadline = Deadline::of(request.extensions());
        let pass = self.pass(request.extensions())?;
        read::records(self, &pass, request.get_ref(), deadline).map(Response::new)
    }

    async fn subscribe(
        &self,
        request: Request<pb::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let deadline = Deadline::of(request.extensions());
        let pass = self.pass(request.extensions())?;
        subscribe::records(self, &pass, request.into_inner(), deadline).map(Response::new)
    }

    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Result<Response<pb::GetCheckpointResponse>, Status> {
        let pass = self.pass(request.extensions())?;
        proofs::get_checkpoint(self, &pass, request.into_inner()).await.map(Response::new)
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<pb::GetInclusionProofRequest>,
    ) -> Result<Response<pb::GetInclusionProofResponse>, Status> {
        let pass = self.pass(request.extensions())?;
        proofs::get_inclusion_proof(self, &pass, request.into_inner()).await.map(Response::new)
    }

    async fn get_consistency_proof(
        &self,
        request: Request<pb::GetConsistencyProofRequest>,
    ) -> Result<Response<pb::GetConsistencyProofResponse>, Status> {
        let pass = self.pass(request.extensions())?;
        proofs::get_consistency_proof(self, &pass, request.into_inner()).await.map(Response::new)
    }

    async fn get_balance_proof(
        &self,
        request: Request<pb::GetBalanceProofRequest>,
    ) -> Result<Response<pb::GetBalanceProofResponse>, Status> {
        let pass = self.pass(request.extensions())?;
        proofs::get_balance_proof(self, &pass, request).await.map(Response::new)
    }
}

fn head(ledger: &Ledger, head: Head) -> Result<pb::GetHeadResponse, Status> {
    let last = LogSize::last(head.size);
    let recorded_at = last.map(|last| {
        let mut reader = Reader::new(ledger);
        let bytes = reader.bytes(last)?;
        Ok::<_, Status>(recorded_at_to_wire(parse_record(last, bytes)?.recorded_at))
    });
    Ok(pb::GetHeadResponse {
        log_size: head.size.get(),
        record_hash: head.hash.as_bytes().to_vec(),
        recorded_at: recorded_at.transpose()?,
        projected_size: ledger.projected_size().get().min(head.size.get()),
    })
}
