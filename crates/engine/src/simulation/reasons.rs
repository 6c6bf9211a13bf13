//! Which kinds of command were accepted and refused, and for which reasons: a kind that is never
//! accepted, or a reason that is never given, is not tested.

use super::counts::Counts;
use super::run::Run;
use crate::submission::{Answer, Refusal};
use bergulir_domain::{Command, Rejection};

/// Names the variants of an enum, and lists them: a new one does not compile until it is in the list.
macro_rules! names {
    ($list:ident, $name:ident, $of:ident: $($variant:ident)*) => {
        const $list: &[&str] = &[$(stringify!($variant)),*];

        fn $name(of: &$of) -> &'static str {
            match of {
                $($of::$variant { .. } => stringify!($variant),)*
            }
        }
    };
}

names! { KINDS, kind, Command:
    OpenLedger AdoptRules RotateKey ContinueLedger OpenFund ChangeTerms AllocateFund
    ProposeAllocationWithdrawal ApproveAllocationWithdrawal ProposePeriodClose
    ApprovePeriodClose RegisterCooperative AppointOfficer ConfirmReadiness OpenAccount
    SuspendAccount ResumeAccount CloseAccount ProposeBankAccountChange ApproveBankAccountChange
    ProposeLoan ApproveLoan RefuseLoan WithdrawLoan Disburse DisburseGrant ProposeDisbursement
    ApproveDisbursement ReturnDisbursement Repay ProposeWriteOff ApproveWriteOff RecordRecovery
    ProposeRestructuring ApproveRestructuring ProposeReversal ApproveReversal RefuseProposal
    WithdrawProposal Seal
}

names! { REASONS, reason, Rejection:
    LedgerNotOpen LedgerAlreadyOpen UnknownRulesVersion RulesNotNewer RulesTooOld
    KeyNotOfOrigin KeyNamedBefore OriginNotCurrent OriginUsedBefore ReservedPrincipal
    SystemOnly SealOutOfOrder TimeOutOfRange LookupFailed NotFound AlreadyExists InvalidTerms
    OpeningDateInFuture TermsInPast FundKindFixed WrongFundKind InsufficientFunds
    AllocationExceeded PeriodNotOver PeriodOutOfOrder PeriodClosePending BalanceLimitExceeded
    VillageOutsideRegion VillageTaken VillageKindMismatch SameOfficer InvalidNumber
    UnexpectedNumber CooperativeNumberMismatch NotReady HolderNameMismatch BankAccountTaken
    BankAccountReserved BankAccountUnchanged BankAccountChangePending DisbursementPending
    CooperativeHasAccount AccountNotOpen AccountNotSuspended AccountNotEmpty SamePerson
    NotMaker ProposalNotPending ExpiryOutOfRange NeedsSecondPerson NotInOffice CeilingExceeded
    LoanNotPending LoanNotApproved LoanLimitExceeded ValueDateOutOfRange PeriodClosed
    BankReferenceUsed PartsDoNotSum NothingDisbursed OutstandingExceeded WriteOffPending
    WriteOffExceeded RecoveryExceeded ClaimEnded LoanWrittenOff RestructuringPending
    NothingOutstanding RestructuringOutOfRange NotADisbursement NotReversible
    ReversalNotReversible AlreadyUndone ReversalPending DisbursementRepaid WriteOffRecovered
}

/// What no run can have accepted, and why.
const NEVER_ACCEPTED: [(&str, &str); 2] = [
    ("OpenLedger", "each ledger is open from its first record on"),
    ("ContinueLedger", "no caller can ask for it: `bergulir ledger continue` does"),
];

/// What no run can be refused for, and why.
const NEVER_GIVEN: [(&str, &str); 6] = [
    ("LedgerNotOpen", "each ledger is open from its first record on"),
    ("SealOutOfOrder", "a caller is refused for its name; the server seals in order"),
    ("OriginNotCurrent", "a reason of ContinueLedger, for which no caller can ask"),
    ("OriginUsedBefore", "a reason of ContinueLedger, for which no caller can ask"),
    ("TimeOutOfRange", "no clock of a run reaches the year 10000"),
    ("BalanceLimitExceeded", "the model, too, adds up in 64 bits"),
];

impl Run {
    /// Whether a command was accepted when it was decided first.
    pub(super) fn count_kind(&mut self, command: &Command, accepted: bool) {
        let kind = kind(command);
        self.counts.one(format!("{} {kind}", if accepted { "accepted" } else { "refused" }));
    }

    /// What a caller was refused for.
    pub(super) fn count_reasons(&mut self, answer: &Answer) {
        let refusals: Vec<&Refusal> = match answer {
            Answer::Refused { refusal, .. } => vec![refusal],
            Answer::Items(items) => items.iter().filter_map(|item| item.as_ref().err()).collect(),
        };
        for refusal in refusals {
            if let Refusal::Rule(rejection) = refusal {
                self.counts.one(format!("because {}", reason(rejection)));
            }
        }
    }
}

impl Counts {
    /// The kinds that were never accepted, and the reasons that were never given.
    pub(super) fn unseen(&self) -> Vec<String> {
        let not_in = |list: &'static [(&str, &str)]| {
            move |name: &&str| list.iter().all(|(never, _)| never != name)
        };
        let kinds = KINDS.iter().copied().filter(not_in(&NEVER_ACCEPTED));
        let reasons = REASONS.iter().copied().filter(not_in(&NEVER_GIVEN));
        let all = kinds.map(|kind| format!("accepted {kind}"));
        let all = all.chain(reasons.map(|reason| format!("because {reason}")));
        all.filter(|what| self.of(what) == 0).collect()
    }

    /// One line for each kind of command: how often it was accepted and refused.
    pub(super) fn table(&self) -> String {
        let line = |kind: &&str| {
            let of = |what: &str| self.of(&format!("{what} {kind}"));
            format!("{kind}: {} accepted, {} refused\n", of("accepted"), of("refused"))
        };
        KINDS.iter().map(line).collect()
    }
}
