//! What a verification found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bergulir_chain::checkpoint::CheckpointError;
use bergulir_chain::merkle::empty_root;
use bergulir_chain::note::VerifierKey;
use bergulir_chain::policy::Refusal;
use bergulir_chain::{Hash, LogSize, Position, Timestamp};
use bergulir_domain::postings::Book;
use bergulir_domain::state::{AccountBalances, FundBalances};
use bergulir_domain::{AccountId, FundId, LedgerId, State};

use crate::{Checked, Kind, NotChecked, Reason, SignatureFault};

/// What a verification found.
#[derive(Debug, Clone)]
pub struct Verification {
    /// One report a ledger, in the order of their names; at least one.
    pub ledgers: Vec<LedgerReport>,
    /// What lies among the ledgers of a data directory and is none. It has no part in the verdict,
    /// for nothing was ever acknowledged there; but nor was it looked into.
    pub passed_over: Vec<PassedOver>,
}

/// Something among the ledgers of a data directory that is not a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// The folder or file.
    pub path: PathBuf,
    /// Why it is not a ledger.
    pub why: WhyPassedOver,
}

impl std::fmt::Display for PassedOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.path.display(), self.why)
    }
}

/// Why something among the ledgers of a data directory is not a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyPassedOver {
    /// No ledger can have its name.
    Name,
    /// It is not a folder.
    NoFolder,
    /// It has neither a log nor an index.
    NoLog,
    /// Its log has no record and there is no index: its creation was cut short before anything was
    /// acknowledged.
    NoRecord,
}

impl std::fmt::Display for WhyPassedOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            WhyPassedOver::Name => "its name cannot be a ledger's",
            WhyPassedOver::NoFolder => "not a folder",
            WhyPassedOver::NoLog => "no log in it",
            WhyPassedOver::NoRecord => "no record in its log: never fully created",
        })
    }
}

/// A record by which a log goes on under another origin, after a loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continued {
    /// The record: so many records survived.
    pub position: Position,
    /// The origin until then.
    pub from_origin: String,
    /// The origin from then on.
    pub origin: String,
    /// The size of the checkpoint that it names: the newest of that origin that the records do not
    /// lead to or, if there is none, the newest. Absent: none was known.
    pub checkpoint: Option<LogSize>,
    /// The records are not those of the checkpoint, although there are as many: two histories were
    /// recorded under one origin.
    pub forked: bool,
    /// How many records of the checkpoint are lost, at least; absent if that cannot be told.
    pub lost: Option<u64>,
    /// Whether the records were compared with the checkpoint, as far as there is anything to compare.
    pub is_compared: bool,
}

impl std::fmt::Display for Continued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Continued { position, from_origin, origin, checkpoint, .. } = self;
        write!(f, "at position {position} from {from_origin} to {origin}; ")?;
        match (checkpoint, self.lost) {
            (None, _) => f.write_str("no checkpoint of the old one was known"),
            (Some(size), Some(0)) => {
                write!(f, "its newest checkpoint, of {size} records, shows no loss")
            }
            (Some(size), Some(lost)) => write!(
                f,
                "its newest checkpoint is of {size} records: {lost} are lost, from position \
                 {position} on"
            ),
            (Some(size), None) => write!(
                f,
                "another history was signed there, with {size} records: how many of those are lost \
                 cannot be told"
            ),
        }
    }
}

/// What the verification of one log found.
#[derive(Debug, Clone)]
pub struct LedgerReport {
    /// The folder of the log; of a bundle, its own if nothing in it could be read.
    pub folder: PathBuf,
    /// What kind of bundle it is; absent if it is none.
    pub bundle: Option<Kind>,
    /// The ledger's name, as the records say it last; absent if that could not be read.
    pub ledger: Option<LedgerId>,
    /// The ledger's origin, as the records say it last.
    pub origin: Option<String>,
    /// Where it goes on under another origin, as the records say themselves.
    pub continued: Vec<Continued>,
    /// The result.
    pub finding: Finding,
    /// The first record that was looked at: position 0, but in a range.
    pub first: Position,
    /// How many records were found right, from position 0 on: all of them if the log is valid. Of
    /// a range: those before it included, whose result a seal states. Of a cooperative's view: the
    /// single records in it.
    pub records: LogSize,
    /// The hash of the last of these; [`Hash::ZERO`] if there is none.
    pub head_hash: Hash,
    /// How many records the root is over: those that were applied, one of them perhaps wrong.
    pub tree_size: LogSize,
    /// The root over them.
    pub root_hash: Hash,
    /// The size of the newest checkpoint of the log that it agrees with.
    pub checkpoint: Option<LogSize>,
    /// The witnesses of the policy that cosigned it or, if they were no quorum, the newest that a
    /// quorum cosigned.
    pub witnesses: Vec<String>,
    /// What was checked and is right.
    pub checked: Vec<Checked>,
    /// What could not be checked with what was given.
    pub not_checked: Vec<NotChecked>,
    /// When the first record was recorded.
    pub first_recorded_at: Option<Timestamp>,
    /// When the last record that was read was recorded.
    pub last_recorded_at: Option<Timestamp>,
    /// How many records there are of each kind of event, by its name; kinds that do not occur are
    /// left out, and all where [only the chain](crate::Depth::ChainOnly) was verified, as are
    /// totals and funds.
    pub events: BTreeMap<&'static str, u64>,
    /// How many seals were compared with what the records give.
    pub seals: u64,
    /// What the records add up to. Of an invalid log: those that were read.
    pub totals: Totals,
    /// Each fund's balances, in the order in which the funds were opened.
    pub funds: Vec<FundReport>,
    /// The accounts of a cooperative's view, in the order of fund and account.
    pub accounts: Vec<AccountReport>,
    /// Files of the folder that are not part of a log and were not read.
    pub not_read: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

impl LedgerReport {
    /// Of something of which nothing could be read.
    pub(crate) fn of_none(folder: &Path, finding: Finding) -> LedgerReport {
        LedgerReport {
            folder: folder.to_owned(),
            bundle: None,
            ledger: None,
            origin: None,
            continued: Vec::new(),
            finding,
            first: Position::ZERO,
            records: LogSize::EMPTY,
            head_hash: Hash::ZERO,
            tree_size: LogSize::EMPTY,
            root_hash: empty_root(),
            checkpoint: None,
            witnesses: Vec::new(),
            checked: Vec::new(),
            not_checked: Vec::new(),
            first_recorded_at: None,
            last_recorded_at: None,
            events: BTreeMap::new(),
            seals: 0,
            totals: Totals::default(),
            funds: Vec::new(),
            accounts: Vec::new(),
            not_read: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    /// Whether totals mean something: not if only the chain was verified, nor of a cooperative's
    /// view without accounts.
    pub fn has_totals(&self) -> bool {
        let without = [NotChecked::Rules, NotChecked::Money];
        !self.not_checked.iter().any(|not_checked| without.contains(not_checked))
    }

    /// Records verified in a second of time; 0 if it took none.
    pub fn records_per_second(&self) -> u64 {
        let nanos = self.elapsed.as_nanos().max(1);
        let records = self.records.get().saturating_sub(self.first.get());
        let rate = u128::from(records) * 1_000_000_000 / nanos;
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

/// The result of verifying a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Everything that was checked is right.
    Valid,
    /// Something is wrong.
    Invalid {
        /// The first bad position.
        position: Position,
        /// Why.
        reason: Reason,
        /// Where that is.
        place: Option<Place>,
    },
    /// Everything is right up to a last frame that is not whole: a crash tore it, or its end was
    /// cut off. Which of the two cannot be told from here. Never of a bundle, which no crash tears.
    Torn {
        /// The first position of that frame.
        position: Position,
        /// How many bytes of it there are; zeros at its end do not count, for they may never have
        /// been written.
        bytes: u64,
        /// Where it begins.
        place: Place,
    },
    /// There is no record at all, nor a sign that there ever was one.
    Empty,
    /// The bytes could not be read, or are of a version that is not known here.
    Unreadable {
        /// The first position that could not be verified.
        position: Position,
        /// Why.
        why: String,
    },
    /// Everything that was checked is right, but what was asked for could not be shown.
    Unproven(Unproven),
}

/// What was asked for and could not be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// Keys or a policy were given, and there is no checkpoint that they could be used on.
    #[error("there is no checkpoint that the keys or the policy could be used on")]
    NoCheckpoint,
    /// The log begins after the older checkpoint, and no proof leads there.
    #[error(
        "the bundle begins after the {old} records of the checkpoint seen earlier and has no proof \
         that it goes on from there: export it with --since"
    )]
    NoExtension {
        /// How many records it covers.
        old: LogSize,
    },
    /// The older checkpoint is none.
    #[error("the checkpoint seen earlier (--since) cannot be read: {error}")]
    SinceDamaged {
        /// What is wrong with it.
        error: CheckpointError,
    },
    /// The older checkpoint is of another log.
    #[error("the checkpoint seen earlier (--since) is of the log {found}; this one is {expected}")]
    SinceOfOther {
        /// The origin that position 0 names.
        expected: String,
        /// The origin in the checkpoint.
        found: String,
    },
    /// The older checkpoint is not the log's.
    #[error(
        "the checkpoint seen earlier (--since), of {size} records, is not signed by a key of this \
         log: {fault}. Is it the right file, as you kept it?"
    )]
    SinceNotSigned {
        /// How many records it covers.
        size: LogSize,
        /// Why.
        fault: Box<SignatureFault>,
    },
    /// The log names a key that was given, and another one signs for it.
    #[error(
        "the checkpoint of {size} records is signed by {signer}, which position {signer_at} names; \
         the key given, {given}, which position {given_at} names, did not sign it. Whether the key \
         was handed over, only who holds it can tell: ask, and give the key that holds now (--key)"
    )]
    KeySilent {
        /// How many records the checkpoint covers.
        size: LogSize,
        /// The key given.
        given: Box<VerifierKey>,
        /// The position that names it.
        given_at: Position,
        /// The key that signed.
        signer: Box<VerifierKey>,
        /// The position that names it.
        signer_at: Position,
    },
    /// No quorum of the policy's witnesses cosigned.
    #[error("the checkpoint of {size} records is not witnessed: {refusal}")]
    NoQuorum {
        /// The size of the newest checkpoint.
        size: LogSize,
        /// Why its cosignatures do not suffice.
        refusal: Refusal,
    },
}

impl Finding {
    /// Whether nothing but the rest of a creation was found that was cut short.
    pub(crate) fn is_unborn(&self) -> bool {
        match self {
            Finding::Empty => true,
            Finding::Torn { position, .. } => *position == Position::ZERO,
            Finding::Valid
            | Finding::Invalid { .. }
            | Finding::Unreadable { .. }
            | Finding::Unproven(_) => false,
        }
    }

    /// The finding in one word.
    pub fn verdict(&self) -> Verdict {
        match self {
            Finding::Valid => Verdict::Valid,
            Finding::Invalid { .. } => Verdict::Invalid,
            Finding::Torn { .. }
            | Finding::Empty
            | Finding::Unreadable { .. }
            | Finding::Unproven(_) => Verdict::CannotTell,
        }
    }
}

/// A finding in one word, from good to bad: of several, the greatest is that of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Right, as far as was checked.
    Valid,
    /// Neither right nor wrong can be said.
    CannotTell,
    /// Wrong.
    Invalid,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The byte, from zero.
    pub offset: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, byte {}", self.file.display(), self.offset)
    }
}

/// One fund of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FundReport {
    /// The fund.
    pub fund: FundId,
    /// Its books, and what is promised.
    pub balances: FundBalances,
}

/// One account of a cooperative's view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountReport {
    /// Its fund.
    pub fund: FundId,
    /// The account.
    pub account: AccountId,
    /// Its balances, as a seal states them.
    pub balances: AccountBalances,
    /// How many records made them: all that concern it.
    pub records: u64,
}

/// What the records of a ledger add up to, over all its funds. Money is in minor units and net of
/// returns and reversals; a sum that passes `i64::MAX` stays there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Cooperatives registered.
    pub cooperatives: u64,
    /// Accounts opened, those since closed among them.
    pub accounts: u64,
    /// Loans approved; settled ones and those not disbursed yet among them.
    pub loans: u64,
    /// Money put into funds, without what was withdrawn.
    pub allocated: i64,
    /// Loan principal paid out.
    pub disbursed: i64,
    /// Grants paid out.
    pub granted: i64,
    /// Principal that came back.
    pub principal_repaid: i64,
    /// Interest that came in.
    pub interest_received: i64,
    /// Late fees that came in.
    pub late_fees_received: i64,
    /// What may be disbursed.
    pub available: i64,
    /// Approved and not yet disbursed.
    pub committed: i64,
    /// Principal that is owed.
    pub outstanding: i64,
    /// Principal that was written off.
    pub written_off: i64,
    /// What came back of that.
    pub recovered: i64,
    /// Money at the bank.
    pub cash: i64,
}

impl Totals {
    pub(crate) fn of(state: &State) -> Totals {
        let approved = |loan: &&bergulir_domain::state::Loan| loan.active().is_some();
        let loans = state.loans().iter().map(|(_, loan)| loan);
        let mut totals = Totals {
            cooperatives: state.cooperatives().len() as u64,
            accounts: state.accounts().len() as u64,
            loans: loans.filter(approved).count() as u64,
            ..Totals::default()
        };
        for (_, fund) in state.funds().iter() {
            let balances = &fund.balances;
            add(&mut totals.allocated, balances.books.amount(Book::Capital));
            add(&mut totals.available, balances.available());
            add(&mut totals.committed, balances.committed);
            add(&mut totals.cash, balances.books.amount(Book::Cash));
        }
        for (_, account) in state.accounts().iter() {
            totals.take(&account.balances());
        }
        totals
    }
}

impl Totals {
    /// Those of accounts alone.
    pub(crate) fn of_accounts<'a>(accounts: impl Iterator<Item = &'a AccountBalances>) -> Totals {
        let mut totals = Totals::default();
        for balances in accounts {
            totals.accounts += 1;
            totals.take(balances);
            add(&mut totals.committed, balances.committed);
        }
        totals
    }

    fn take(&mut self, balances: &AccountBalances) {
        add(&mut self.disbursed, balances.disbursed);
        add(&mut self.granted, balances.granted);
        add(&mut self.principal_repaid, balances.principal_repaid);
        add(&mut self.interest_received, balances.interest_paid);
        add(&mut self.late_fees_received, balances.late_fees_paid);
        let left = balances.disbursed.saturating_sub(balances.principal_repaid);
        add(&mut self.outstanding, left.saturating_sub(balances.written_off));
        add(&mut self.written_off, balances.written_off);
        add(&mut self.recovered, balances.recovered);
    }
}

fn add(total: &mut i64, minor: i64) {
    *total = total.saturating_add(minor);
}
