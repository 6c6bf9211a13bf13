//! The rules by their names, more coarsely than the ledger's own rejections.

use bergulir_domain::Rejection;

/// A rule of the trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    Ledger,
    Rules,
    Key,
    Origin,
    System,
    NotFound,
    Exists,
    Terms,
    FundKind,
    Registration,
    Village,
    Number,
    Officers,
    AccountOpening,
    BankChange,
    Period,
    PeriodClosed,
    AccountStatus,
    AccountNotEmpty,
    NotPending,
    SamePerson,
    NotMaker,
    Expiry,
    SecondPerson,
    LoanNotApproved,
    Ceiling,
    Funds,
    Allocation,
    LoanLimit,
    Outstanding,
    WriteOff,
    Claim,
    LoanWrittenOff,
    Restructuring,
    Parts,
    ValueDate,
    BankReference,
    Undone,
    NotThatRecord,
}

impl Why {
    /// The rule by which the ledger refused something.
    pub(crate) fn of(rejection: &Rejection) -> Why {
        use bergulir_domain::rejection::Resource;
        match rejection {
            Rejection::LedgerAlreadyOpen
            | Rejection::RulesNotNewer { .. }
            | Rejection::UnknownRulesVersion { .. }
            | Rejection::SealOutOfOrder { .. } => Why::Ledger,
            Rejection::RulesTooOld { .. } => Why::Rules,
            Rejection::NeedsSecondPerson { .. } => Why::SecondPerson,
            Rejection::KeyNotOfOrigin { .. } | Rejection::KeyNamedBefore { .. } => Why::Key,
            Rejection::OriginNotCurrent { .. } | Rejection::OriginUsedBefore { .. } => Why::Origin,
            Rejection::ReservedPrincipal | Rejection::SystemOnly => Why::System,
            Rejection::NotFound(Resource::Record(_))
            | Rejection::NotADisbursement { .. }
            | Rejection::NotReversible { .. }
            | Rejection::ReversalNotReversible { .. } => Why::NotThatRecord,
            Rejection::NotFound(_) => Why::NotFound,
            Rejection::AlreadyExists(_) => Why::Exists,
            Rejection::OpeningDateInFuture { .. }
            | Rejection::TermsInPast { .. }
            | Rejection::InvalidTerms(_)
            | Rejection::FundKindFixed => Why::Terms,
            Rejection::WrongFundKind { .. } => Why::FundKind,
            Rejection::VillageTaken { .. } => Why::Registration,
            Rejection::VillageOutsideRegion { .. } | Rejection::VillageKindMismatch { .. } => {
                Why::Village
            }
            Rejection::InvalidNumber { .. }
            | Rejection::UnexpectedNumber { .. }
            | Rejection::CooperativeNumberMismatch => Why::Number,
            Rejection::SameOfficer { .. } | Rejection::NotInOffice { .. } => Why::Officers,
            Rejection::NotReady { .. }
            | Rejection::HolderNameMismatch { .. }
            | Rejection::BankAccountTaken { .. }
            | Rejection::BankAccountReserved { .. }
            | Rejection::CooperativeHasAccount { .. } => Why::AccountOpening,
            Rejection::BankAccountUnchanged { .. }
            | Rejection::BankAccountChangePending { .. }
            | Rejection::DisbursementPending { .. } => Why::BankChange,
            Rejection::PeriodNotOver { .. }
            | Rejection::PeriodOutOfOrder { .. }
            | Rejection::PeriodClosePending { .. } => Why::Period,
            Rejection::PeriodClosed { .. } => Why::PeriodClosed,
            Rejection::AccountNotOpen { .. } | Rejection::AccountNotSuspended { .. } => {
                Why::AccountStatus
            }
            Rejection::AccountNotEmpty { .. } => Why::AccountNotEmpty,
            Rejection::ProposalNotPending { .. } | Rejection::LoanNotPending { .. } => {
                Why::NotPending
            }
            Rejection::SamePerson { .. } => Why::SamePerson,
            Rejection::NotMaker { .. } => Why::NotMaker,
            Rejection::ExpiryOutOfRange { .. } => Why::Expiry,
            Rejection::LoanNotApproved { .. } | Rejection::NothingDisbursed { .. } => {
                Why::LoanNotApproved
            }
            Rejection::CeilingExceeded { .. } => Why::Ceiling,
            Rejection::InsufficientFunds { .. } => Why::Funds,
            Rejection::AllocationExceeded { .. } => Why::Allocation,
            Rejection::LoanLimitExceeded { .. } => Why::LoanLimit,
            Rejection::OutstandingExceeded { .. } | Rejection::DisbursementRepaid { .. } => {
                Why::Outstanding
            }
            Rejection::WriteOffPending { .. }
            | Rejection::WriteOffExceeded { .. }
            | Rejection::RecoveryExceeded { .. }
            | Rejection::WriteOffRecovered { .. } => Why::WriteOff,
            Rejection::ClaimEnded { .. } => Why::Claim,
            Rejection::LoanWrittenOff { .. } => Why::LoanWrittenOff,
            Rejection::RestructuringPending { .. }
            | Rejection::NothingOutstanding { .. }
            | Rejection::RestructuringOutOfRange { .. } => Why::Restructuring,
            Rejection::PartsDoNotSum { .. } => Why::Parts,
            Rejection::ValueDateOutOfRange { .. } => Why::ValueDate,
            Rejection::BankReferenceUsed { .. } => Why::BankReference,
            Rejection::AlreadyUndone { .. } | Rejection::ReversalPending { .. } => Why::Undone,
            other => panic!("no command of a sequence is refused so: {other:?}"),
        }
    }
}
