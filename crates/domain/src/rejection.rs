//! Why a command is refused, with the facts that a caller can act on. Knows no transport.

use crate::cooperative::{CooperativeKind, Office, ReadinessItem, ReadinessSet, VillageCode};
use crate::id::{AccountId, CooperativeId, FundId, LoanId, OfficerId, PrincipalId};
use crate::ledger::{Origin, RULES_VERSIONS, Region};
use crate::moment::{Date, Position, Timestamp};
use crate::money::{Amount, Currency, Money, to_decimal};
use crate::terms::{MAX_PROPOSAL_VALIDITY_DAYS, TermsError};
use crate::text::Name;
use alloc::boxed::Box;
use core::fmt;

/// Something that a command names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// A fund.
    Fund(FundId),
    /// A cooperative.
    Cooperative(CooperativeId),
    /// An account of a fund.
    Account(FundId, AccountId),
    /// A loan.
    Loan(LoanId),
    /// A record of the log.
    Record(Position),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::Fund(id) => write!(f, "fund {id}"),
            Resource::Cooperative(id) => write!(f, "cooperative {id}"),
            Resource::Account(fund, id) => write!(f, "account {id} of fund {fund}"),
            Resource::Loan(id) => write!(f, "loan {id}"),
            Resource::Record(position) => write!(f, "record {position}"),
        }
    }
}

/// Which part of a fund's money did not suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purse {
    /// What may be disbursed.
    Available,
    /// What may be promised.
    Committable,
    /// Income kept apart from what may be lent.
    IncomeApart,
}

impl fmt::Display for Purse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Purse::Available => "available",
            Purse::Committable => "committable",
            Purse::IncomeApart => "kept apart as income",
        })
    }
}

/// What an account is, for a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountStatus {
    /// It may borrow.
    Open,
    /// It may only repay and be corrected.
    Suspended,
    /// It is closed for good.
    Closed,
}

impl fmt::Display for AccountStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AccountStatus::Open => "open",
            AccountStatus::Suspended => "suspended",
            AccountStatus::Closed => "closed",
        })
    }
}

/// What a loan is, for a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoanStatus {
    /// Proposed; waits for a second person.
    Pending,
    /// Refused by a second person.
    Refused,
    /// Taken back by its maker.
    Withdrawn,
    /// Nobody decided in time.
    Expired,
    /// Approved, and not all of it disbursed.
    Approved,
    /// All of it disbursed, and not all of it repaid.
    Disbursed,
    /// All of it disbursed and repaid.
    Settled,
    /// Nothing is outstanding any more because something was written off.
    WrittenOff,
}

impl fmt::Display for LoanStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LoanStatus::Pending => "pending",
            LoanStatus::Refused => "refused",
            LoanStatus::Withdrawn => "withdrawn",
            LoanStatus::Expired => "expired",
            LoanStatus::Approved => "approved",
            LoanStatus::Disbursed => "disbursed",
            LoanStatus::Settled => "settled",
            LoanStatus::WrittenOff => "written off",
        })
    }
}

/// The one kind of fund that a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeedsFund {
    /// A fund that lends.
    Loan,
    /// A fund that gives.
    Grant,
}

impl fmt::Display for NeedsFund {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NeedsFund::Loan => "loan",
            NeedsFund::Grant => "grant",
        })
    }
}

struct Minor(i64);

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        to_decimal(self.0, Currency::Idr).fmt(f)
    }
}

/// Why a command is refused. Money is in minor units.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its facts are")]
pub enum Rejection {
    // The ledger
    #[error("the ledger is not open yet: send OpenLedger first")]
    LedgerNotOpen,
    #[error("the ledger is open already")]
    LedgerAlreadyOpen,
    #[error(
        "rules version {version} is not known here: this build knows {} to {}",
        RULES_VERSIONS.start(), RULES_VERSIONS.end()
    )]
    UnknownRulesVersion { version: u32 },
    #[error("rules version {version} is not newer than {in_force}, which is in force")]
    RulesNotNewer { version: u32, in_force: u32 },
    #[error(
        "this needs rules version {needed}, and {in_force} is in force: send AdoptRules with \
         version {needed} first"
    )]
    RulesTooOld { needed: u32, in_force: u32 },
    #[error("the name of the log's key must be its origin, {}", origin.as_str())]
    KeyNotOfOrigin { origin: Origin },
    #[error("record {by} named this key before, and each is named once: make a new one")]
    KeyNamedBefore { by: Position },
    #[error("the log's origin is {}, not the one that is to be continued", current.as_str())]
    OriginNotCurrent { current: Origin },
    #[error(
        "the log had the origin {} before, and signed another history under it: choose a new one",
        origin.as_str()
    )]
    OriginUsedBefore { origin: Origin },
    #[error("the principal 'system' is the server's own: act under a name of your own")]
    ReservedPrincipal,
    #[error("only the server itself makes seals: ask it to with CreateSeal")]
    SystemOnly,
    #[error("a seal through {through} does not come after the last one and before the head")]
    SealOutOfOrder { through: Position },
    #[error("{time:?} lies outside the years that dates can be written for: check the clock")]
    TimeOutOfRange { time: Timestamp },
    #[error(
        "the disk does not give what has to be looked up to decide this, and nothing was recorded: send \
         the same again; the log of the server says which position or file it is"
    )]
    LookupFailed,

    // Names
    #[error("{0} does not exist")]
    NotFound(Resource),
    #[error("{0} exists already: choose another id")]
    AlreadyExists(Resource),

    // Funds
    #[error("{0}")]
    InvalidTerms(#[from] TermsError),
    #[error("opening date {opening_date} lies after today, {today}")]
    OpeningDateInFuture { opening_date: Date, today: Date },
    #[error("new terms hold from today, {today}, or later, not from {effective_from}")]
    TermsInPast { effective_from: Date, today: Date },
    #[error("a fund stays what it is, loan or grant: open another fund")]
    FundKindFixed,
    #[error("fund {fund} is not a {needs} fund")]
    WrongFundKind { fund: FundId, needs: NeedsFund },
    #[error(
        "fund {fund} has {} {purse}, less than {}", Minor(*has), Minor(requested.minor())
    )]
    InsufficientFunds { fund: FundId, purse: Purse, has: i64, requested: Amount },
    #[error(
        "allocation {allocation} has {} left, less than {}",
        Minor(*remaining), Minor(requested.minor())
    )]
    AllocationExceeded { allocation: Position, remaining: i64, requested: Amount },
    #[error(
        "a period is closed once it is over: through {through} not before the day after; today is {today}"
    )]
    PeriodNotOver { through: Date, today: Date },
    #[error("the next period of fund {fund} ends on {earliest} or later, not on {through}")]
    PeriodOutOfOrder { fund: FundId, through: Date, earliest: Date },
    #[error(
        "a close of fund {fund} is pending already: record {proposal}; have it decided or take it back \
         first"
    )]
    PeriodClosePending { fund: FundId, proposal: Position },
    #[error("a total would pass the largest number that the ledger keeps")]
    BalanceLimitExceeded,

    // Cooperatives
    #[error("village {village} lies outside the ledger's region {region}")]
    VillageOutsideRegion { village: VillageCode, region: Region },
    #[error("village {village} has a cooperative already: {cooperative}")]
    VillageTaken { village: VillageCode, cooperative: CooperativeId },
    #[error("village {village} has a {expected}, by the first digit of its last group")]
    VillageKindMismatch { village: VillageCode, expected: CooperativeKind },
    #[error("{officer} is chair or treasurer already: they are two people")]
    SameOfficer { officer: OfficerId },
    #[error("{item} needs a number as its registry gave it (NIB 13 digits, NPWP 15 or 16)")]
    InvalidNumber { item: ReadinessItem },
    #[error("{item} has no number: leave it out")]
    UnexpectedNumber { item: ReadinessItem },
    #[error("the number differs from the registered Nomor Induk Koperasi")]
    CooperativeNumberMismatch,

    // Accounts
    #[error("the cooperative is not ready; not yet confirmed: {}", Items(*missing))]
    NotReady { missing: ReadinessSet },
    #[error("the holder of the bank account must be the registered name {registered:?}")]
    HolderNameMismatch { registered: Box<Name> },
    #[error("the bank account belongs to cooperative {cooperative}")]
    BankAccountTaken { cooperative: CooperativeId },
    #[error(
        "the bank account is reserved for cooperative {cooperative} by record {proposal}, which \
         waits for a second person"
    )]
    BankAccountReserved { cooperative: CooperativeId, proposal: Position },
    #[error("account {account} has that bank account already")]
    BankAccountUnchanged { account: AccountId },
    #[error(
        "a change of the bank account of {account} is pending already: record {proposal}; have it \
         decided or take it back first"
    )]
    BankAccountChangePending { account: AccountId, proposal: Position },
    #[error(
        "a disbursement to account {account} is pending, record {proposal}: have it decided or take \
         it back first, so that it goes where both saw that it goes"
    )]
    DisbursementPending { account: AccountId, proposal: Position },
    #[error("the cooperative has account {account} in fund {fund} already")]
    CooperativeHasAccount { fund: FundId, account: AccountId },
    #[error("account {account} is {status}, not open")]
    AccountNotOpen { account: AccountId, status: AccountStatus },
    #[error("account {account} is {status}, not suspended")]
    AccountNotSuspended { account: AccountId, status: AccountStatus },
    #[error(
        "account {account} is not at zero: outstanding {}, promised {}, pending {}",
        Minor(*outstanding), Minor(*committed), Minor(*pending)
    )]
    AccountNotEmpty { account: AccountId, outstanding: i64, committed: i64, pending: i64 },

    // Two people
    #[error("{principal} made it: another person must decide on it")]
    SamePerson { principal: PrincipalId },
    #[error("only {maker}, who made it, can take it back")]
    NotMaker { maker: PrincipalId },
    #[error("nothing is pending under record {proposal}: it was decided, taken back or has lapsed")]
    ProposalNotPending { proposal: Position },
    #[error(
        "a proposal lapses after now and within {MAX_PROPOSAL_VALIDITY_DAYS} days: \
         give such a time, or none"
    )]
    ExpiryOutOfRange { expires_at: Timestamp, now: Timestamp, latest: Timestamp },

    #[error(
        "the fund's terms ask for a second person where more than {} is paid: propose {} with \
         ProposeDisbursement", Minor(above.minor()), Minor(requested.minor())
    )]
    NeedsSecondPerson { above: Money, requested: Amount },

    // Loans
    #[error("{officer} is not in office as {office}")]
    NotInOffice { office: Office, officer: OfficerId },
    #[error(
        "the ceiling per cooperative is {}; {} is in use and {} was asked for",
        Minor(ceiling.minor()), Minor(*in_use), Minor(requested.minor())
    )]
    CeilingExceeded { ceiling: Amount, in_use: i64, requested: Amount },
    #[error("loan {loan} is {status}, not pending")]
    LoanNotPending { loan: LoanId, status: LoanStatus },
    #[error("loan {loan} is {status}, not approved")]
    LoanNotApproved { loan: LoanId, status: LoanStatus },

    // Money
    #[error(
        "of the approved {} {} is disbursed or reserved; {} more is too much",
        Minor(approved.minor()), Minor(*disbursed), Minor(requested.minor())
    )]
    LoanLimitExceeded { approved: Amount, disbursed: i64, requested: Amount },
    #[error("value date {value_date} must be from {earliest} to {latest}")]
    ValueDateOutOfRange { value_date: Date, earliest: Date, latest: Date },
    #[error(
        "the books of fund {fund} are closed through {through}, and nothing is posted to {value_date}: \
         state a value date after that, and say in the papers what it belongs to"
    )]
    PeriodClosed { fund: FundId, through: Date, value_date: Date },
    #[error("the bank reference is used by record {by}")]
    BankReferenceUsed { by: Position },
    #[error("the parts sum to {}, not to the amount {}", Minor(*parts), Minor(amount.minor()))]
    PartsDoNotSum { amount: Amount, parts: i64 },
    #[error("nothing of loan {loan} is disbursed: there is nothing to repay")]
    NothingDisbursed { loan: LoanId },
    #[error("{} is outstanding, less than the principal {}", Minor(*outstanding), Minor(*principal))]
    OutstandingExceeded { outstanding: i64, principal: i64 },

    // What is written off
    #[error(
        "a write-off of loan {loan} is pending already: record {proposal}; have it decided or take it \
         back first"
    )]
    WriteOffPending { loan: LoanId, proposal: Position },
    #[error("{} of the claim can be written off so, less than {}", Minor(*left), Minor(requested.minor()))]
    WriteOffExceeded { left: i64, requested: Amount },
    #[error(
        "{} of what was written off can still be recovered, less than {}",
        Minor(*recoverable), Minor(requested.minor())
    )]
    RecoveryExceeded { recoverable: i64, requested: Amount },
    #[error(
        "the claim on loan {loan} ended with an absolute write-off: nothing is repaid or recovered any \
         more"
    )]
    ClaimEnded { loan: LoanId },
    #[error("{} of loan {loan} is written off: nothing more is paid out on it", Minor(*written_off))]
    LoanWrittenOff { loan: LoanId, written_off: i64 },

    // Restructuring
    #[error(
        "a restructuring of loan {loan} is pending already: record {proposal}; have it decided or take it \
         back first"
    )]
    RestructuringPending { loan: LoanId, proposal: Position },
    #[error("nothing of loan {loan} is outstanding: there is nothing to restructure")]
    NothingOutstanding { loan: LoanId },
    #[error(
        "new terms of loan {loan} hold from a day from {earliest} to {latest}, not from {effective_from}"
    )]
    RestructuringOutOfRange { loan: LoanId, effective_from: Date, earliest: Date, latest: Date },

    // Corrections
    #[error("record {position} is not a disbursement")]
    NotADisbursement { position: Position },
    #[error("record {position} moved no money: correct it by its own command")]
    NotReversible { position: Position },
    #[error("record {position} is a reversal, which cannot be reversed: post the right event anew")]
    ReversalNotReversible { position: Position },
    #[error("record {position} was undone already, by record {by}")]
    AlreadyUndone { position: Position, by: Position },
    #[error("a reversal of record {position} is pending already: record {proposal}")]
    ReversalPending { position: Position, proposal: Position },
    #[error(
        "{} of the loan would remain disbursed, and {} is repaid or written off",
        Minor(*remaining), Minor(*repaid)
    )]
    DisbursementRepaid { remaining: i64, repaid: i64 },
    #[error(
        "{} would remain written off, and {} of that is recovered or given up for good: reverse that \
         first", Minor(*remaining), Minor(*gone)
    )]
    WriteOffRecovered { remaining: i64, gone: i64 },
}

struct Items(ReadinessSet);

impl fmt::Display for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, item) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{item}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_refusal_speaks_in_plain_words() {
        let loan = LoanId::new("l").unwrap();
        let said = |rejection: Rejection| rejection.to_string();
        let status = LoanStatus::Pending;
        assert_eq!(
            said(Rejection::LoanNotApproved { loan, status }),
            "loan l is pending, not approved"
        );
        let missing = [ReadinessItem::BusinessNumber, ReadinessItem::BankAccount];
        assert_eq!(
            said(Rejection::NotReady { missing: missing.into_iter().collect() }),
            "the cooperative is not ready; not yet confirmed: NIB (business number), bank account"
        );
        let officer = OfficerId::new("o").unwrap();
        assert_eq!(
            said(Rejection::NotInOffice { office: Office::Chair, officer }),
            "o is not in office as chair"
        );
        let fund = FundId::new("f").unwrap();
        assert_eq!(
            said(Rejection::WrongFundKind { fund, needs: NeedsFund::Loan }),
            "fund f is not a loan fund"
        );
    }
}
