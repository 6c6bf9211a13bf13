//! What may be asked of a ledger: one type a command, each field as the caller gave it. What the
//! caller left out stays absent, so that a retry can be compared with the event it made.

use crate::cooperative::{CooperativeKind, Office, ReadinessItem, VillageCode};
use crate::id::{AccountId, CooperativeId, FundId, LedgerId, LoanId, OfficerId};
use crate::ledger::{Origin, Region};
use crate::moment::{Date, Position, Timestamp, UtcOffset};
use crate::money::{Amount, Currency, Money};
use crate::terms::Terms;
use crate::text::{BankCode, Name, Number, Reason, Reference, SignedNote, VerifierKey};

/// Everything that may be asked of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is documented at its type of the same name")]
pub enum Command {
    OpenLedger(OpenLedger),
    AdoptRules(AdoptRules),
    RotateKey(RotateKey),
    ContinueLedger(ContinueLedger),
    OpenFund(OpenFund),
    ChangeTerms(ChangeTerms),
    AllocateFund(AllocateFund),
    ProposeAllocationWithdrawal(ProposeAllocationWithdrawal),
    ApproveAllocationWithdrawal(ApproveAllocationWithdrawal),
    ProposePeriodClose(ProposePeriodClose),
    ApprovePeriodClose(ApprovePeriodClose),
    RegisterCooperative(RegisterCooperative),
    AppointOfficer(AppointOfficer),
    ConfirmReadiness(ConfirmReadiness),
    OpenAccount(OpenAccount),
    SuspendAccount(SuspendAccount),
    ResumeAccount(ResumeAccount),
    CloseAccount(CloseAccount),
    ProposeBankAccountChange(ProposeBankAccountChange),
    ApproveBankAccountChange(ApproveBankAccountChange),
    ProposeLoan(ProposeLoan),
    ApproveLoan(ApproveLoan),
    RefuseLoan(RefuseLoan),
    WithdrawLoan(WithdrawLoan),
    Disburse(Disburse),
    DisburseGrant(DisburseGrant),
    ProposeDisbursement(ProposeDisbursement),
    ApproveDisbursement(ApproveDisbursement),
    ReturnDisbursement(ReturnDisbursement),
    Repay(Repay),
    ProposeReversal(ProposeReversal),
    ApproveReversal(ApproveReversal),
    RefuseProposal(RefuseProposal),
    WithdrawProposal(WithdrawProposal),
    Seal(Seal),
}

impl Command {
    /// The loan that this pays out or back, if it is one of the two that nearly all are.
    pub fn paid_loan(&self) -> Option<LoanId> {
        match self {
            Command::Disburse(command) => Some(command.loan),
            Command::Repay(command) => Some(command.loan),
            _ => None,
        }
    }

    /// The bank reference that the event of this command uses, if it moves cash by itself.
    pub fn bank_reference(&self) -> Option<&BankReference> {
        match self {
            Command::AllocateFund(command) => Some(&command.bank_reference),
            Command::ApproveAllocationWithdrawal(command) => Some(&command.bank_reference),
            Command::Disburse(command) => Some(&command.bank_reference),
            Command::DisburseGrant(command) => Some(&command.bank_reference),
            Command::ApproveDisbursement(command) => Some(&command.bank_reference),
            Command::ReturnDisbursement(command) => Some(&command.bank_reference),
            Command::Repay(command) => Some(&command.bank_reference),
            Command::OpenLedger(_)
            | Command::ContinueLedger(_)
            | Command::AdoptRules(_)
            | Command::RotateKey(_)
            | Command::OpenFund(_)
            | Command::ChangeTerms(_)
            | Command::ProposeAllocationWithdrawal(_)
            | Command::RegisterCooperative(_)
            | Command::AppointOfficer(_)
            | Command::ConfirmReadiness(_)
            | Command::OpenAccount(_)
            | Command::SuspendAccount(_)
            | Command::ResumeAccount(_)
            | Command::CloseAccount(_)
            | Command::ProposeLoan(_)
            | Command::ApproveLoan(_)
            | Command::RefuseLoan(_)
            | Command::WithdrawLoan(_)
            | Command::ProposeDisbursement(_)
            | Command::ProposePeriodClose(_)
            | Command::ApprovePeriodClose(_)
            | Command::ProposeBankAccountChange(_)
            | Command::ApproveBankAccountChange(_)
            | Command::ProposeReversal(_)
            | Command::ApproveReversal(_)
            | Command::RefuseProposal(_)
            | Command::WithdrawProposal(_)
            | Command::Seal(_) => None,
        }
    }

    /// The oldest rules under which a ledger takes this command.
    pub fn rules_needed(&self) -> u32 {
        match self {
            Command::OpenFund(OpenFund { terms, .. })
            | Command::ChangeTerms(ChangeTerms { terms, .. }) => terms.rules_needed(),
            Command::ProposeDisbursement(_)
            | Command::ApproveDisbursement(_)
            | Command::ProposeBankAccountChange(_)
            | Command::ApproveBankAccountChange(_)
            | Command::ProposePeriodClose(_)
            | Command::ApprovePeriodClose(_) => 2,
            _ => 1,
        }
    }
}

/// Opens the ledger: position 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenLedger {
    /// The ledger's name on its node.
    pub ledger: LedgerId,
    /// The ledger's name everywhere, for ever; the chain binds every later record to it.
    pub origin: Origin,
    /// The key that checkpoints are checked with, as a C2SP verifier key. Absent: none yet.
    pub verifier_key: Option<VerifierKey>,
    /// The region whose villages it serves.
    pub region: Region,
    /// The currency of all its money.
    pub currency: Currency,
    /// Where an instant becomes a date.
    pub utc_offset: UtcOffset,
    /// The rules in force from position 0.
    pub rules_version: u32,
}

/// Switches to newer rules from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptRules {
    /// The version to switch to, above the one in force.
    pub version: u32,
}

/// Names the key that signs the log's checkpoints from here on, in place of the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotateKey {
    /// The key, as a C2SP verifier key whose name is the origin; each is named once in a log.
    pub verifier_key: VerifierKey,
}

/// Goes on, after a loss, with the records that survived, under another origin. It is not asked of a
/// server: an operator does it to a log that no server has open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContinueLedger {
    /// The ledger's name on its node from here on.
    pub ledger: LedgerId,
    /// The ledger's name everywhere from here on; the log never had it before.
    pub origin: Origin,
    /// The key that checkpoints are checked with from here on, as a C2SP verifier key whose name is
    /// the new origin. Those of before sign no more.
    pub verifier_key: VerifierKey,
    /// The origin until here.
    pub from_origin: Origin,
    /// The newest checkpoint of that origin that the log does not lead to; if it leads to all that
    /// are known, the newest of them. Absent: none is known.
    pub last_known: Option<LastKnown>,
}

/// The newest that is known of a log that suffered a loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastKnown {
    /// The signed checkpoint, byte for byte.
    pub checkpoint: SignedNote,
    /// The log has as many records as the checkpoint covers, or more, and they are not those: two
    /// histories were recorded under one origin.
    pub forked: bool,
}

/// Opens a fund with its terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFund {
    /// The fund.
    pub fund: FundId,
    /// Its name for people.
    pub name: Name,
    /// The day from which it exists; may lie in the past, never after today. No value date of the
    /// fund may lie before it.
    pub opening_date: Date,
    /// Its terms from that day on.
    pub terms: Terms,
}

/// Changes a fund's terms from a day on; loans already approved keep theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeTerms {
    /// The fund.
    pub fund: FundId,
    /// The first day of the new terms: today or later.
    pub effective_from: Date,
    /// The new terms, whole.
    pub terms: Terms,
    /// The decree or decision that changed them.
    pub reference: Reference,
}

/// Where allocated money comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AllocationSource {
    /// The national budget.
    Apbn,
    /// The regional budget.
    Apbd,
    /// Corporate social responsibility.
    Csr,
    /// Any other source; its reference says which.
    Other,
}

/// Puts money into a fund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocateFund {
    /// The fund.
    pub fund: FundId,
    /// How much.
    pub amount: Amount,
    /// Where it comes from.
    pub source: AllocationSource,
    /// The decree or budget document.
    pub reference: Reference,
    /// The credit on the fund's bank account.
    pub bank_reference: BankReference,
    /// The day on which the bank booked it.
    pub value_date: Date,
}

/// Proposes to take money of an allocation out of the fund: a part of it, or all, which cancels it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposeAllocationWithdrawal {
    /// The fund.
    pub fund: FundId,
    /// The record that allocated it.
    pub allocation: Position,
    /// How much of it goes back.
    pub amount: Amount,
    /// Why.
    pub reason: Reason,
    /// When the proposal lapses. Absent: after the validity that the terms state.
    pub expires_at: Option<Timestamp>,
}

/// Approves a proposed withdrawal, and with it the cash leaves; by another principal than its
/// maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproveAllocationWithdrawal {
    /// The record of the proposal.
    pub proposal: Position,
    /// The debit on the fund's bank account.
    pub bank_reference: BankReference,
    /// The day on which the bank booked it.
    pub value_date: Date,
}

/// Proposes to close a fund's books through a day: no later record may carry a value date up to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposePeriodClose {
    /// The fund.
    pub fund: FundId,
    /// The last day of the period, before today. The first closes everything up to it.
    pub through: Date,
    /// The report that was made of it.
    pub reference: Reference,
    /// When the proposal lapses. Absent: after the validity that the terms state.
    pub expires_at: Option<Timestamp>,
}

/// Approves a proposed close; by another principal than its maker. A closed period is never opened
/// again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovePeriodClose {
    /// The record of the proposal.
    pub proposal: Position,
}

/// Registers the cooperative of a village.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterCooperative {
    /// The cooperative.
    pub cooperative: CooperativeId,
    /// Its village; one cooperative per village.
    pub village: VillageCode,
    /// Its kind, which must be the one that the village's code tells.
    pub kind: CooperativeKind,
    /// Its registered name, which the holder of its bank account must have.
    pub name: Name,
    /// Nomor Induk Koperasi, the cooperative's own number (never a person's).
    pub cooperative_number: Option<Number>,
}

/// Appoints an officer, in place of the former one if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppointOfficer {
    /// The cooperative.
    pub cooperative: CooperativeId,
    /// The office.
    pub office: Office,
    /// Who holds it from now on: an opaque id.
    pub officer: OfficerId,
    /// The minutes or the decision.
    pub evidence: Option<Evidence>,
}

/// A reference to a document and a salted digest of it: enough to recognise it, not to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where the document lies.
    pub reference: Reference,
    /// SHA-256 over a salt of at least 16 random bytes kept with the document, then the document.
    /// A plain hash of a 16-digit number can be guessed.
    pub salted_digest: [u8; 32],
}

/// Confirms one readiness item of a cooperative; confirming it again replaces the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmReadiness {
    /// The cooperative.
    pub cooperative: CooperativeId,
    /// The item.
    pub item: ReadinessItem,
    /// The number that the registry gave, for the items that have one.
    pub number: Option<Number>,
    /// The document.
    pub evidence: Evidence,
}

/// Opens a cooperative's account in a fund, the prerequisite of every disbursement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAccount {
    /// The fund.
    pub fund: FundId,
    /// The account.
    pub account: AccountId,
    /// Whose it is.
    pub cooperative: CooperativeId,
    /// The bank account that it is tied to.
    pub bank_account: BankAccount,
    /// The holder's name at the bank: the cooperative's registered name.
    pub holder: Name,
}

/// An account at a bank.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BankAccount {
    /// The bank.
    pub bank: BankCode,
    /// The number: a text, because leading zeros count.
    pub number: Number,
}

/// Stops loans and disbursements of an account; repayments and corrections go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuspendAccount {
    /// The fund.
    pub fund: FundId,
    /// The account.
    pub account: AccountId,
    /// Why.
    pub reason: Reason,
}

/// Lets a suspended account borrow again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeAccount {
    /// The fund.
    pub fund: FundId,
    /// The account.
    pub account: AccountId,
    /// Why.
    pub reason: Reason,
}

/// Closes an account for good; only when nothing is outstanding, promised or pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseAccount {
    /// The fund.
    pub fund: FundId,
    /// The account.
    pub account: AccountId,
    /// Why.
    pub reason: Reason,
}

/// Proposes to tie an open account to another bank account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposeBankAccountChange {
    /// The fund.
    pub fund: FundId,
    /// The account.
    pub account: AccountId,
    /// The bank account from then on.
    pub bank_account: BankAccount,
    /// The holder's name at the bank: the cooperative's registered name.
    pub holder: Name,
    /// Why.
    pub reason: Reason,
    /// The cooperative's request and the bank's confirmation.
    pub evidence: Evidence,
    /// When the proposal lapses. Absent: after the validity that the terms state.
    pub expires_at: Option<Timestamp>,
}

/// Approves a proposed change of a bank account; by another principal than its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproveBankAccountChange {
    /// The record of the proposal.
    pub proposal: Position,
}

/// Proposes a loan to an open account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposeLoan {
    /// The fund that lends.
    pub fund: FundId,
    /// The account that borrows.
    pub account: AccountId,
    /// The loan; its id is unique in the ledger.
    pub loan: LoanId,
    /// How much.
    pub principal: Amount,
    /// The contract.
    pub contract_reference: Reference,
    /// The chair who signs, in office now.
    pub chair: OfficerId,
    /// The treasurer who signs, in office now.
    pub treasurer: OfficerId,
    /// When the proposal lapses. Absent: after the validity that the terms state.
    pub expires_at: Option<Timestamp>,
}

/// Approves a proposed loan; by another principal than its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproveLoan {
    /// The loan.
    pub loan: LoanId,
}

/// Refuses a proposed loan; by another principal than its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefuseLoan {
    /// The loan.
    pub loan: LoanId,
    /// Why.
    pub reason: Reason,
}

/// Takes a proposed loan back; by its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithdrawLoan {
    /// The loan.
    pub loan: LoanId,
    /// Why.
    pub reason: Reason,
}

/// The bank's own name for a movement of cash. At most one live posting of a ledger uses it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BankReference {
    /// The bank.
    pub bank: BankCode,
    /// The bank's reference of the transfer.
    pub reference: Reference,
    /// Tells the parts of a bulk transfer apart; absent is the same line as 0.
    pub line: Option<u32>,
}

/// Pays out a tranche of an approved loan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disburse {
    /// The loan.
    pub loan: LoanId,
    /// How much of it.
    pub amount: Amount,
    /// The debit on the fund's bank account.
    pub bank_reference: BankReference,
    /// The day on which the bank booked it.
    pub value_date: Date,
}

/// Pays out a grant, which creates no receivable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisburseGrant {
    /// The fund that gives.
    pub fund: FundId,
    /// The account that receives.
    pub account: AccountId,
    /// How much.
    pub amount: Amount,
    /// The decree or agreement.
    pub reference: Reference,
    /// The debit on the fund's bank account.
    pub bank_reference: BankReference,
    /// The day on which the bank booked it.
    pub value_date: Date,
}

/// Whom a proposed disbursement is to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payee {
    /// A tranche of an approved loan.
    Loan(LoanId),
    /// A grant, which creates no receivable.
    Grant {
        /// The fund that gives.
        fund: FundId,
        /// The account that receives.
        account: AccountId,
        /// The decree or agreement.
        reference: Reference,
    },
}

/// Proposes a tranche or a grant, which another person approves once the bank has paid it. It may
/// be proposed where the terms do not ask for it, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposeDisbursement {
    /// Whom to pay.
    pub payee: Payee,
    /// How much.
    pub amount: Amount,
    /// When the proposal lapses. Absent: after the validity that the terms state.
    pub expires_at: Option<Timestamp>,
}

/// Approves a proposed disbursement, and with it the cash leaves; by another principal than its
/// maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproveDisbursement {
    /// The record of the proposal.
    pub proposal: Position,
    /// The debit on the fund's bank account.
    pub bank_reference: BankReference,
    /// The day on which the bank booked it.
    pub value_date: Date,
}

/// The bank sent a disbursement back, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnDisbursement {
    /// The record of the tranche or grant that came back.
    pub disbursement: Position,
    /// The credit on the fund's bank account: a reference of its own.
    pub bank_reference: BankReference,
    /// The day on which the bank booked it.
    pub value_date: Date,
}

/// A payment of a borrower, in stated parts that sum to its amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repay {
    /// The loan.
    pub loan: LoanId,
    /// The whole payment.
    pub amount: Amount,
    /// Pokok: what lowers the outstanding principal.
    pub principal: Option<Money>,
    /// Jasa.
    pub interest: Option<Money>,
    /// Denda.
    pub late_fee: Option<Money>,
    /// The credit on the fund's bank account.
    pub bank_reference: BankReference,
    /// The day on which the bank booked it.
    pub value_date: Date,
}

impl Repay {
    /// Principal, interest and late fee in minor units; zero for what was left out.
    pub(crate) fn parts(&self) -> [i64; 3] {
        [self.principal, self.interest, self.late_fee].map(|part| part.unwrap_or_default().minor())
    }
}

/// Proposes to undo a wrong money event by a new one that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposeReversal {
    /// The record to undo.
    pub reverses: Position,
    /// Why.
    pub reason: Reason,
    /// The papers.
    pub evidence: Option<Evidence>,
    /// When the proposal lapses. Absent: after the validity that the terms state.
    pub expires_at: Option<Timestamp>,
}

/// Approves a proposed reversal; by another principal than its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproveReversal {
    /// The record of the proposal.
    pub proposal: Position,
}

/// Refuses a proposal other than a loan's; by another principal than its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefuseProposal {
    /// The record of the proposal.
    pub proposal: Position,
    /// Why.
    pub reason: Reason,
}

/// Takes a proposal other than a loan's back; by its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithdrawProposal {
    /// The record of the proposal.
    pub proposal: Position,
    /// Why.
    pub reason: Reason,
}

/// Binds all balances and the whole state at a position into the chain; made by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The last record that the seal covers; it ends its batch.
    pub through: Position,
    /// Merkle root over every account and every fund's books.
    pub balance_root: [u8; 32],
    /// SHA-256 of the canonical encoding of the state.
    pub state_digest: [u8; 32],
}
