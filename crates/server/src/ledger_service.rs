//! `LedgerService`: every method takes the same way, from the request to the receipt.

use crate::access::Pass;
use crate::concerned::{Concerned, there_already};
use crate::deadline::{Deadline, within};
use crate::quotas::Pace;
use crate::refusal;
use crate::resources::View;
use crate::sending::{many_messages, one_message};
use crate::services::{CURRENCY, Services, parse_ledger};
use crate::underway::Underway;
use crate::{batch, query, seal, stream};
use bergulir_domain::ledger::Origin;
use bergulir_domain::text::VerifierKey;
use bergulir_domain::{Command, LedgerId, Position, Touched};
use bergulir_engine::{Accepted, Answer, Balances, Caller, Ledger, Refusal, Slot, Terms, Work};
use bergulir_proto::pb::ledger_service_server::LedgerService;
use bergulir_proto::wire::{
    self, BatchAnswer, BatchBytes, CommandRequest, Envelope, PaymentAnswer, Reply, Resource,
    ResourceKind,
};
use bergulir_proto::{pb, record};
use futures::stream::BoxStream;
use prost::Message;
use std::sync::Arc;
use std::time::Instant;
use tonic::{Request, Response, Status, Streaming, async_trait};
use uuid::Uuid;

macro_rules! commands {
    ($($method:ident: $request:ident => $response:ident,)+) => {
        #[async_trait]
        impl LedgerService for Services {
            $(
                async fn $method(
                    &self,
                    request: Request<pb::$request>,
                ) -> Result<Response<pb::$response>, Status> {
                    self.command(request).await
                }
            )+

            async fn disburse(
                &self,
                request: Request<pb::DisburseRequest>,
            ) -> Result<Response<PaymentAnswer>, Status> {
                self.payment(request).await
            }

            async fn repay(
                &self,
                request: Request<pb::RepayRequest>,
            ) -> Result<Response<PaymentAnswer>, Status> {
                self.payment(request).await
            }

            async fn create_seal(
                &self,
                request: Request<pb::CreateSealRequest>,
            ) -> Result<Response<pb::CreateSealResponse>, Status> {
                let pass = self.pass(request.extensions())?;
                pass.caller(request.metadata().as_ref())?;
                let deadline = Deadline::of(request.extensions());
                let id = parse_ledger("ledger", &request.get_ref().ledger)?;
                let (ledger, _) = self.ledger(&pass, id)?;
                within(deadline, seal::create(&ledger)).await?.map(Response::new)
            }

            async fn submit_batch(
                &self,
                request: Request<BatchBytes>,
            ) -> Result<Response<BatchAnswer>, Status> {
                let pass = self.pass(request.extensions())?;
                let caller = pass.caller(request.metadata().as_ref())?;
                let deadline = Deadline::of(request.extensions());
                let pace = request.extensions().get::<Pace>().cloned();
                let batch =
                    self.batch(&pass, caller, request.into_inner(), deadline, pace.as_ref());
                within(deadline, batch).await?.map(one_message)
            }

            type SubmitStreamStream =
                BoxStream<'static, Result<BatchAnswer, Status>>;

            async fn submit_stream(
                &self,
                request: Request<Streaming<BatchBytes>>,
            ) -> Result<Response<Self::SubmitStreamStream>, Status> {
                let pass = self.pass(request.extensions())?;
                let caller = pass.caller(request.metadata().as_ref())?;
                let deadline = pass.deadline(Deadline::of(request.extensions()));
                let pace = request.extensions().get::<Pace>().cloned();
                let underway = request.extensions().get::<Arc<Underway>>().cloned();
                let incoming = request.into_inner();
                let answers =
                    stream::answers(self, pass, caller, incoming, deadline, pace, underway);
                Ok(many_messages(answers))
            }
        }
    };
}

commands! {
    open_ledger: OpenLedgerRequest => OpenLedgerResponse,
    adopt_rules: AdoptRulesRequest => AdoptRulesResponse,
    rotate_key: RotateKeyRequest => RotateKeyResponse,
    open_fund: OpenFundRequest => OpenFundResponse,
    change_terms: ChangeTermsRequest => ChangeTermsResponse,
    allocate_fund: AllocateFundRequest => AllocateFundResponse,
    propose_allocation_withdrawal: ProposeAllocationWithdrawalRequest => ProposeAllocationWithdrawalResponse,
    approve_allocation_withdrawal: ApproveAllocationWithdrawalRequest => ApproveAllocationWithdrawalResponse,
    propose_period_close: ProposePeriodCloseRequest => ProposePeriodCloseResponse,
    approve_period_close: ApprovePeriodCloseRequest => ApprovePeriodCloseResponse,
    register_cooperative: RegisterCooperativeRequest => RegisterCooperativeResponse,
    appoint_officer: AppointOfficerRequest => AppointOfficerResponse,
    confirm_readiness: ConfirmReadinessRequest => ConfirmReadinessResponse,
    open_account: OpenAccountRequest => OpenAccountResponse,
    suspend_account: SuspendAccountRequest => SuspendAccountResponse,
    resume_account: ResumeAccountRequest => ResumeAccountResponse,
    close_account: CloseAccountRequest => CloseAccountResponse,
    propose_bank_account_change: ProposeBankAccountChangeRequest => ProposeBankAccountChangeResponse,
    approve_bank_account_change: ApproveBankAccountChangeRequest => ApproveBankAccountChangeResponse,
    propose_loan: ProposeLoanRequest => ProposeLoanResponse,
    approve_loan: ApproveLoanRequest => ApproveLoanResponse,
    refuse_loan: RefuseLoanRequest => RefuseLoanResponse,
    withdraw_loan: WithdrawLoanRequest => WithdrawLoanResponse,
    disburse_grant: DisburseGrantRequest => DisburseGrantResponse,
    propose_disbursement: ProposeDisbursementRequest => ProposeDisbursementResponse,
    approve_disbursement: ApproveDisbursementRequest => ApproveDisbursementResponse,
    return_disbursement: ReturnDisbursementRequest => ReturnDisbursementResponse,
    propose_write_off: ProposeWriteOffRequest => ProposeWriteOffResponse,
    approve_write_off: ApproveWriteOffRequest => ApproveWriteOffResponse,
    record_recovery: RecordRecoveryRequest => RecordRecoveryResponse,
    propose_restructuring: ProposeRestructuringRequest => ProposeRestructuringResponse,
    approve_restructuring: ApproveRestructuringRequest => ApproveRestructuringResponse,
    propose_reversal: ProposeReversalRequest => ProposeReversalResponse,
    approve_reversal: ApproveReversalRequest => ApproveReversalResponse,
    refuse_proposal: RefuseProposalRequest => RefuseProposalResponse,
    withdraw_proposal: WithdrawProposalRequest => WithdrawProposalResponse,
}

impl Services {
    /// Any command by itself.
    async fn command<R: CommandRequest>(
        &self,
        request: Request<R>,
    ) -> Result<Response<R::Response>, Status> {
        let pass = self.pass(request.extensions())?;
        let caller = pass.caller(request.metadata().as_ref())?;
        let deadline = Deadline::of(request.extensions());
        let envelope =
            Envelope::read(request.into_inner(), CURRENCY).map_err(|invalid| invalid.status())?;
        let reply = async {
            let decided = self.decide(&pass, caller, envelope, deadline).await?;
            self.answer(decided, R::RESOURCE).await
        };
        let reply = within(deadline, reply).await??;
        Ok(Response::new(R::response(reply)))
    }

    /// A payment of a loan by itself: what comes all the time.
    async fn payment<R>(&self, request: Request<R>) -> Result<Response<PaymentAnswer>, Status>
    where
        R: CommandRequest,
        R::Response: Message,
    {
        let pass = self.pass(request.extensions())?;
        let caller = pass.caller(request.metadata().as_ref())?;
        let deadline = Deadline::of(request.extensions());
        let envelope =
            Envelope::read(request.into_inner(), CURRENCY).map_err(|invalid| invalid.status())?;
        let answer = async {
            let decided = self.decide(&pass, caller, envelope, deadline).await?;
            if let Some(answer) = decided.paid() {
                return Ok(answer);
            }
            let reply = self.answer(decided, R::RESOURCE).await?;
            Ok(PaymentAnswer::from(R::response(reply).encode_to_vec()))
        };
        within(deadline, answer).await?.map(Response::new)
    }

    async fn decide(
        &self,
        pass: &Pass,
        caller: Caller,
        envelope: Envelope,
        deadline: Option<Instant>,
    ) -> Result<Decided, Status> {
        let Envelope { ledger: id, request_id, validate_only, expected, mut command } = envelope;
        let opens = matches!(command, Command::OpenLedger(_));
        let ledger = if opens {
            pass.enter(id)?;
            None
        } else {
            let (ledger, scope) = self.ledger(pass, id)?;
            self.may_ask(&scope, &ledger, &command).await?;
            Some(ledger)
        };
        if let Command::OpenLedger(opening) = &mut command
            && opening.verifier_key.is_none()
        {
            opening.verifier_key = self.first_key(id, &opening.origin, validate_only).await?;
        }
        let terms = Terms { validate_only, expected_position: expected, deadline, ..Terms::PLAIN };
        let request = bergulir_engine::Request { request_id: *request_id.as_bytes(), command };
        let command = validate_only.then(|| request.command.clone());

        let (ledger, answer) = if let Some(ledger) = ledger {
            let answer = ledger.submit(caller, Work::Single(request), terms).await;
            (Some(ledger), answer)
        } else {
            if let Some(Slot::Broken(error)) = self.node.ledger(id) {
                return Err(refusal::not_open(id, &error));
            }
            let answer = self.node.create(id, caller, request, terms).await;
            let slot = self.node.ledger(id);
            if slot.is_some() {
                self.health.follow(&self.node, id).await;
            }
            match slot {
                Some(Slot::Open(ledger)) => (Some(ledger), answer),
                Some(Slot::Broken(_)) | None => (None, answer),
            }
        };
        let accepted = the_one(answer, request_id)?;
        let touched = match &command {
            Some(command) => there_already(command, accepted.touched),
            None => accepted.touched,
        };
        Ok(Decided { ledger, accepted, touched })
    }

    async fn answer(&self, decided: Decided, resource: ResourceKind) -> Result<Reply, Status> {
        let Decided { ledger, accepted, touched } = decided;
        // Only `validate_only` accepts without a ledger that is open.
        let Some(ledger) = ledger else { return Ok(Reply::default()) };
        let recorded = accepted.receipt.map(|receipt| receipt.position.get());
        let reply = self.reply(&ledger, accepted, touched, resource).await;
        reply.map_err(|why| match recorded {
            Some(at) => refusal::recorded_unanswered("the command IS recorded", at, &why),
            None => why,
        })
    }

    /// The key that a new ledger begins with where its caller names none: that of the node. For a
    /// ledger that is there it is the one that it began with, so that the request sent again is the
    /// same. A ledger that is only tried needs none.
    async fn first_key(
        &self,
        id: LedgerId,
        origin: &Origin,
        validate_only: bool,
    ) -> Result<Option<VerifierKey>, Status> {
        match self.node.ledger(id) {
            Some(Slot::Open(ledger)) => {
                let opened = |view: &View<'_>| Ok(view.state.opened().cloned());
                let (opened, _) = self.look(&ledger, Some(0), opened).await?;
                Ok(opened.and_then(|opened| opened.verifier_key))
            }
            // Refused below.
            Some(Slot::Broken(_)) => Ok(None),
            None if validate_only => Ok(None),
            None => {
                let (node, origin) = (Arc::clone(&self.node), origin.clone());
                let made = tokio::task::spawn_blocking(move || node.verifier_key(&origin, id));
                let key = made.await.map_err(|error| Status::internal(error.to_string()))?;
                let key = key.map_err(|error| refusal::no_key(id, &error))?.to_string();
                let key = VerifierKey::new(&key);
                key.map(Some).map_err(|error| Status::internal(error.to_string()))
            }
        }
    }

    async fn reply(
        &self,
        ledger: &Ledger,
        accepted: Accepted,
        touched: Touched,
        kind: ResourceKind,
    ) -> Result<Reply, Status> {
        let position = accepted.receipt.map(|receipt| receipt.position.get());
        let look = |view: &View<'_>| {
            let now = match position {
                Some(_) => accepted.balances,
                None => balances_now(view, touched),
            };
            let concerned = Concerned::new(view, touched);
            Ok((concerned, now, resource(view, touched, position, kind)))
        };
        // Who sends a command again may know of what came since, and sees no less than that.
        let is_new = accepted.receipt.is_some_and(|receipt| !receipt.duplicate);
        let min_position = position.filter(|_| is_new);
        let ((concerned, balances, mut resource), _) =
            self.look(ledger, min_position, look).await?;
        if let Some(Resource::Ledger(shown)) = &mut resource {
            query::add_head(ledger, shown)?;
        }
        Ok(Reply {
            receipt: accepted.receipt.as_ref().map(receipt),
            balances: Some(concerned.balances(&balances)),
            resource,
        })
    }
}

/// A single command that was accepted.
struct Decided {
    /// `None` if it is not open.
    ledger: Option<Arc<Ledger>>,
    accepted: Accepted,
    /// Whom it concerned, of those who are there.
    touched: Touched,
}

impl Decided {
    /// The answer to a payment that was recorded just now. Nothing changes of a loan that is approved
    /// but its balances, and those came with the receipt: so nobody waits for the projections. One that
    /// was restructured is shown with its terms, as by any other answer.
    fn paid(&self) -> Option<PaymentAnswer> {
        let Accepted { receipt, named, balances, .. } = &self.accepted;
        let receipt = receipt.as_ref().filter(|receipt| !receipt.duplicate)?;
        let (ledger, loan) = (self.ledger.as_ref()?, named.loan?.0);
        let recorded_at = receipt.recorded_at;
        let receipt = batch::receipt(receipt, named, balances);
        ledger.glance(|state| {
            let index = state.loans().find(&loan)?;
            if state.restructurings_of(index).next().is_some() {
                return None;
            }
            let loan = state.loans().get(index);
            wire::payment(ledger.id(), &receipt, recorded_at, loan, CURRENCY)
        })
    }
}

/// The answer to a single command.
fn the_one(answer: Answer, id: Uuid) -> Result<Accepted, Status> {
    let unknown = || Refusal::OutcomeUnknown { why: "there was no answer".to_owned() };
    let outcome = match answer {
        Answer::Items(items) => items.into_iter().next().unwrap_or_else(|| Err(unknown())),
        Answer::Refused { refusal, .. } => Err(refusal),
    };
    outcome.map_err(|refusal| refusal::command_status(&refusal, Some(id)))
}

/// Where a command is in the log, as the wire has it.
pub(crate) fn receipt(receipt: &bergulir_engine::Receipt) -> pb::Receipt {
    pb::Receipt {
        position: receipt.position.get(),
        record_hash: receipt.record_hash.as_bytes().to_vec(),
        log_size: receipt.position.size_through().get(),
        duplicate: receipt.duplicate,
        recorded_at: Some(record::recorded_at_to_wire(receipt.recorded_at)),
    }
}

/// The balances as they are.
fn balances_now(view: &View<'_>, touched: Touched) -> Balances {
    let state = view.state;
    Balances {
        fund: touched.fund.map(|index| state.funds().get(index).balances),
        account: touched.account.map(|index| state.accounts().get(index).balances()),
        loan: touched.loan.and_then(|index| Some(state.loans().get(index).active()?.balances())),
    }
}

/// What a command concerned, as it is now.
fn resource(
    view: &View<'_>,
    touched: Touched,
    position: Option<u64>,
    kind: ResourceKind,
) -> Option<Resource> {
    Some(match kind {
        ResourceKind::Ledger => Resource::Ledger(view.ledger()),
        ResourceKind::Fund => Resource::Fund(view.fund(touched.fund?)),
        ResourceKind::Cooperative => Resource::Cooperative(view.cooperative(touched.cooperative?)),
        ResourceKind::Account => Resource::Account(view.account(touched.account?)),
        ResourceKind::Loan => Resource::Loan(view.loan(touched.loan?)),
        ResourceKind::Proposal => {
            let at = Position::new(position?);
            // Closed already if a retry comes late.
            let proposal = view.state.proposals().get(&at)?;
            Resource::Proposal(view.proposal(at, proposal)?)
        }
    })
}
