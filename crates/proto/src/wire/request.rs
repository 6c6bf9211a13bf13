//! The envelope that every command travels in, the same for each method of `LedgerService`.

use bergulir_chain::LogSize;
use bergulir_domain::money::Currency;
use bergulir_domain::{Command, LedgerId};
use prost::bytes::Bytes;
use tonic::Status;
use tonic::client::GrpcService;
use tonic::codegen::{Body, StdError};
use uuid::Uuid;

use super::fields::Fields;
use super::{InvalidFields, read};
use crate::pb;
use crate::pb::command::Kind;
use crate::pb::ledger_service_client::LedgerServiceClient;

/// A checked request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The ledger that the command goes to.
    pub ledger: LedgerId,
    /// The caller's id of the request; never nil.
    pub request_id: Uuid,
    /// Decide, and record nothing.
    pub validate_only: bool,
    /// How many records the log must have, if the caller cares.
    pub expected: Option<LogSize>,
    /// The command.
    pub command: Command,
}

impl Envelope {
    /// Checks a request. `currency` is that of the ledger that it names.
    ///
    /// # Errors
    /// With every field that is wrong, in the envelope and in the command.
    pub fn read<R: CommandRequest>(
        request: R,
        currency: Currency,
    ) -> Result<Envelope, InvalidFields> {
        let parts = request.into_parts();
        let mut fields = Fields::new(currency);
        let ledger = fields.ledger(&parts.ledger);
        let request_id = fields.request_id(&parts.request_id);
        let kind = fields.present(R::COMMAND, parts.kind);
        // A command can be read under any ledger; a wrong one is refused already.
        let stand_in = || LedgerId::new("x").expect("one letter is an id");
        let command = kind.and_then(|kind| {
            read::command(&mut fields, ledger.unwrap_or_else(|_| stand_in()), Some(kind))
        });
        let envelope = match (ledger, request_id, command) {
            (Ok(ledger), Ok(request_id), Ok(command)) => Ok(Envelope {
                ledger,
                request_id,
                validate_only: parts.validate_only,
                expected: Fields::log_size(parts.expected_position),
                command,
            }),
            (Err(refused), _, _) | (_, Err(refused), _) | (_, _, Err(refused)) => Err(refused),
        };
        fields.finish(envelope)
    }
}

/// A request of any method, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestParts {
    /// "ledgers/{ledger}".
    pub ledger: String,
    /// A UUID as text.
    pub request_id: String,
    /// Decide, and record nothing.
    pub validate_only: bool,
    /// How many records the log must have.
    pub expected_position: Option<u64>,
    /// The command. Its kind chooses the method.
    pub kind: Option<Kind>,
}

/// What a response of any method carries.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reply {
    /// Where the command was recorded; absent for `validate_only`.
    pub receipt: Option<pb::Receipt>,
    /// The balances as of its record.
    pub balances: Option<pb::Balances>,
    /// What it concerned, as it is now.
    pub resource: Option<Resource>,
}

/// A request of one method of `LedgerService` that carries a command.
pub trait CommandRequest: Sized + Send + 'static {
    /// The method's response.
    type Response: Send + 'static;
    /// The field of the command, such as `disburse`.
    const COMMAND: &'static str;
    /// What kind of resource the response carries.
    const RESOURCE: ResourceKind;
    /// The name of the ledger, as it was given.
    fn ledger(&self) -> &str;
    /// The request taken apart.
    fn into_parts(self) -> RequestParts;
    /// The response put together. A resource of another kind than
    /// [`RESOURCE`](CommandRequest::RESOURCE) is left out.
    fn response(reply: Reply) -> Self::Response;
}

macro_rules! resources {
    ($($resource:ident),+) => {
        /// What a command concerned.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "each is documented at its message of the same name")]
        pub enum Resource {
            $($resource(pb::$resource),)+
        }

        /// A kind of [`Resource`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is documented at its message of the same name")]
        pub enum ResourceKind {
            $($resource,)+
        }
    };
}

resources!(Ledger, Fund, Cooperative, Account, Loan, Proposal);

macro_rules! commands {
    ($($command:ident $request:ident $response:ident $field:ident $resource:ident $place:ident;)+) => {
        $(
            impl CommandRequest for pb::$request {
                type Response = pb::$response;
                const COMMAND: &'static str = stringify!($field);
                const RESOURCE: ResourceKind = ResourceKind::$resource;

                fn ledger(&self) -> &str {
                    &self.ledger
                }

                fn into_parts(self) -> RequestParts {
                    RequestParts {
                        ledger: self.ledger,
                        request_id: self.request_id,
                        validate_only: self.validate_only,
                        expected_position: self.expected_position,
                        kind: self.$field.map(Kind::$command),
                    }
                }

                fn response(reply: Reply) -> pb::$response {
                    pb::$response {
                        receipt: reply.receipt,
                        balances: reply.balances,
                        $place: match reply.resource {
                            Some(Resource::$resource(resource)) => Some(resource),
                            _ => None,
                        },
                    }
                }
            }
        )+

        /// Calls the method of the command's kind.
        ///
        /// # Errors
        /// The status that the server answers with; `INVALID_ARGUMENT` without a call if there is
        /// no command.
        pub async fn send<T>(
            client: &mut LedgerServiceClient<T>,
            parts: RequestParts,
        ) -> Result<Reply, Status>
        where
            T: GrpcService<tonic::body::Body>,
            T::Error: Into<StdError>,
            T::ResponseBody: Body<Data = Bytes> + Send + 'static,
            <T::ResponseBody as Body>::Error: Into<StdError> + Send,
        {
            let RequestParts { ledger, request_id, validate_only, expected_position, kind } = parts;
            match kind {
                None => Err(Status::invalid_argument("there is no command to send")),
                $(
                    Some(Kind::$command(command)) => {
                        let request = pb::$request {
                            ledger,
                            request_id,
                            validate_only,
                            expected_position,
                            $field: Some(command),
                        };
                        let response = client.$field(request).await?.into_inner();
                        Ok(Reply {
                            receipt: response.receipt,
                            balances: response.balances,
                            resource: response.$place.map(Resource::$resource),
                        })
                    }
                )+
            }
        }
    };
}

commands! {
    OpenLedger OpenLedgerRequest OpenLedgerResponse open_ledger Ledger ledger;
    AdoptRules AdoptRulesRequest AdoptRulesResponse adopt_rules Ledger ledger;
    RotateKey RotateKeyRequest RotateKeyResponse rotate_key Ledger ledger;
    OpenFund OpenFundRequest OpenFundResponse open_fund Fund fund;
    ChangeTerms ChangeTermsRequest ChangeTermsResponse change_terms Fund fund;
    AllocateFund AllocateFundRequest AllocateFundResponse allocate_fund Fund fund;
    ProposeAllocationWithdrawal ProposeAllocationWithdrawalRequest ProposeAllocationWithdrawalResponse propose_allocation_withdrawal Proposal proposal;
    ApproveAllocationWithdrawal ApproveAllocationWithdrawalRequest ApproveAllocationWithdrawalResponse approve_allocation_withdrawal Fund fund;
    ProposePeriodClose ProposePeriodCloseRequest ProposePeriodCloseResponse propose_period_close Proposal proposal;
    ApprovePeriodClose ApprovePeriodCloseRequest ApprovePeriodCloseResponse approve_period_close Fund fund;
    RegisterCooperative RegisterCooperativeRequest RegisterCooperativeResponse register_cooperative Cooperative cooperative;
    AppointOfficer AppointOfficerRequest AppointOfficerResponse appoint_officer Cooperative cooperative;
    ConfirmReadiness ConfirmReadinessRequest ConfirmReadinessResponse confirm_readiness Cooperative cooperative;
    OpenAccount OpenAccountRequest OpenAccountResponse open_account Account account;
    SuspendAccount SuspendAccountRequest SuspendAccountResponse suspend_account Account account;
    ResumeAccount ResumeAccountRequest ResumeAccountResponse resume_account Account account;
    CloseAccount CloseAccountRequest CloseAccountResponse close_account Account account;
    ProposeBankAccountChange ProposeBankAccountChangeRequest ProposeBankAccountChangeResponse propose_bank_account_change Proposal proposal;
    ApproveBankAccountChange ApproveBankAccountChangeRequest ApproveBankAccountChangeResponse approve_bank_account_change Account account;
    ProposeLoan ProposeLoanRequest ProposeLoanResponse propose_loan Loan loan;
    ApproveLoan ApproveLoanRequest ApproveLoanResponse approve_loan Loan loan;
    RefuseLoan RefuseLoanRequest RefuseLoanResponse refuse_loan Loan loan;
    WithdrawLoan WithdrawLoanRequest WithdrawLoanResponse withdraw_loan Loan loan;
    Disburse DisburseRequest DisburseResponse disburse Loan loan;
    DisburseGrant DisburseGrantRequest DisburseGrantResponse disburse_grant Account account;
    ProposeDisbursement ProposeDisbursementRequest ProposeDisbursementResponse propose_disbursement Proposal proposal;
    ApproveDisbursement ApproveDisbursementRequest ApproveDisbursementResponse approve_disbursement Account account;
    ReturnDisbursement ReturnDisbursementRequest ReturnDisbursementResponse return_disbursement Account account;
    Repay RepayRequest RepayResponse repay Loan loan;
    ProposeWriteOff ProposeWriteOffRequest ProposeWriteOffResponse propose_write_off Proposal proposal;
    ApproveWriteOff ApproveWriteOffRequest ApproveWriteOffResponse approve_write_off Loan loan;
    RecordRecovery RecordRecoveryRequest RecordRecoveryResponse record_recovery Loan loan;
    ProposeRestructuring ProposeRestructuringRequest ProposeRestructuringResponse propose_restructuring Proposal proposal;
    ApproveRestructuring ApproveRestructuringRequest ApproveRestructuringResponse approve_restructuring Loan loan;
    ProposeReversal ProposeReversalRequest ProposeReversalResponse propose_reversal Proposal proposal;
    ApproveReversal ApproveReversalRequest ApproveReversalResponse approve_reversal Fund fund;
    RefuseProposal RefuseProposalRequest RefuseProposalResponse refuse_proposal Fund fund;
    WithdrawProposal WithdrawProposalRequest WithdrawProposalResponse withdraw_proposal Fund fund;
}
