//! A ledger of the programme's size to measure on: one fund, and for each account a cooperative,
//! its officers and an approved loan of which a first tranche was paid out.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use bergulir_chain::{Authentication, Record, RecordSlices, body};
use bergulir_domain::command::{self as c, BankAccount, BankReference, Command};
use bergulir_domain::cooperative::{CooperativeKind, Office, ReadinessSet};
use bergulir_domain::decide::{LookupFailed, Lookups};
use bergulir_domain::id::Id;
use bergulir_domain::ledger::Origin;
use bergulir_domain::money::{Currency, Rate};
use bergulir_domain::terms::{InterestMethod, LoanTerms, Purpose, Terms};
use bergulir_domain::text::Text;
use bergulir_domain::{
    Amount, Context, Date, Event, Header, Money, Position, PrincipalId, State, Timestamp,
    UtcOffset, decide,
};
use bergulir_proto::encode_event;
use bergulir_proto::replay::Replica;

/// A regency, and the nation.
pub const SIZES: [usize; 2] = [1_000, 84_000];

pub const MAKER: &str = "maker@dinas.example.go.id";
pub const CHECKER: &str = "checker@dinas.example.go.id";
const TODAY: i32 = 2_461_102;
pub const NOON: i64 = (TODAY as i64 - 2_440_588) * 86_400_000_000 + 43_200_000_000;
const PRINCIPAL: i64 = 300_000_000_000;
const TRANCHE: i64 = 100_000_000;

/// Nothing was used before: what look-ups say of nearly every command.
pub struct Unused;

impl Lookups for Unused {
    fn bank_reference(&self, _: &BankReference) -> Result<Vec<Position>, LookupFailed> {
        Ok(Vec::new())
    }
    fn record(&self, _: Position) -> Result<Option<Event>, LookupFailed> {
        Ok(None)
    }
}

/// A ledger, and the records that were added to it last.
#[derive(Clone)]
pub struct Ledger {
    pub replica: Replica,
    /// Each behind its length, as in a frame.
    pub body: Vec<u8>,
    /// Every command so far with its principal, if they are to be kept.
    script: Option<Vec<(&'static str, Command)>>,
    accounts: usize,
    made: usize,
}

impl Ledger {
    /// With so many accounts, and an empty body.
    pub fn of(accounts: usize) -> Ledger {
        Ledger::build(accounts, None)
    }

    /// As [`Ledger::of`], with the commands that led there and their principals.
    pub fn with_script(accounts: usize) -> (Ledger, Vec<(&'static str, Command)>) {
        let mut ledger = Ledger::build(accounts, Some(Vec::new()));
        let script = ledger.script.take().unwrap_or_default();
        (ledger, script)
    }

    fn build(accounts: usize, script: Option<Vec<(&'static str, Command)>>) -> Ledger {
        let replica = Replica::default();
        let mut ledger = Ledger { replica, body: Vec::new(), script, accounts, made: 0 };
        ledger.open();
        for account in 0..accounts {
            ledger.open_account(account);
            ledger.body.clear();
        }
        ledger
    }

    /// The records of the body.
    pub fn records(&self) -> Vec<&[u8]> {
        RecordSlices::new(&self.body).collect()
    }

    pub fn state(&self) -> &State {
        self.replica.state()
    }

    /// What a next record of the maker says around its event.
    pub fn next_header(&self) -> Header {
        self.header(MAKER)
    }

    fn header(&self, principal: &str) -> Header {
        let size = self.state().size();
        let micros = i64::try_from(size / 10).expect("small");
        Header {
            position: Position::new(size),
            recorded_at: Timestamp::from_micros(NOON + micros),
            principal: PrincipalId::new(principal).expect("a name"),
        }
    }

    /// Disbursements and repayments by turns, each for another account; all of them can follow.
    pub fn commands(&mut self, count: usize) -> Vec<Command> {
        (0..count).map(|_| self.command()).collect()
    }

    fn command(&mut self) -> Command {
        // Callers do not come in the order in which accounts were opened.
        let account = self.made.wrapping_mul(7_919) % self.accounts;
        let is_even_round = (self.made / self.accounts).is_multiple_of(2);
        let command = if is_even_round == self.made.is_multiple_of(2) {
            self.disburse(account)
        } else {
            self.repay(account)
        };
        self.made += 1;
        command
    }

    fn disburse(&self, account: usize) -> Command {
        Command::Disburse(c::Disburse {
            loan: loan(account),
            amount: amount(TRANCHE),
            bank_reference: self.bank_reference(),
            value_date: today(),
        })
    }

    fn repay(&self, account: usize) -> Command {
        let part = |minor| Some(Money::from_minor(minor).expect("an amount"));
        Command::Repay(c::Repay {
            loan: loan(account),
            amount: amount(TRANCHE / 4 + 1_250),
            principal: part(TRANCHE / 4),
            interest: part(1_250),
            late_fee: None,
            bank_reference: self.bank_reference(),
            value_date: today(),
        })
    }

    fn bank_reference(&self) -> BankReference {
        let number = self.state().size() + self.made as u64;
        let reference = text(&format!("TRF20260301{number:09}"));
        BankReference { bank: text("BNI"), reference, line: None }
    }

    /// Decides commands, adds their records to the body and applies them.
    pub fn submit(&mut self, commands: &[Command]) {
        for command in commands {
            self.submit_by(MAKER, command);
        }
    }

    fn submit_by(&mut self, principal: &'static str, command: &Command) {
        if let Some(script) = &mut self.script {
            script.push((principal, command.clone()));
        }
        let header = self.header(principal);
        let Header { recorded_at: time, principal, .. } = header;
        let context = Context { time, principal, lookups: &Unused, near: None };
        let event = decide(self.state(), command, &context).expect("it keeps every rule");
        let mut bytes = Vec::new();
        encode_event(&event, &mut bytes);
        let record = record(&header, self.replica.head_hash(), &bytes);
        let hash = body::push_record(&mut self.body, &record).expect("it is short");
        self.replica.follow(&record, hash, &header, &event, None);
    }

    fn open(&mut self) {
        let opening = c::OpenLedger {
            ledger: id("national", 0),
            origin: Origin::new("ledger.example.go.id/national").expect("an origin"),
            verifier_key: None,
            region: "".parse().expect("the nation"),
            currency: Currency::Idr,
            utc_offset: UtcOffset::JAKARTA,
            rules_version: 3,
        };
        let loans = LoanTerms {
            rate: Rate::from_units(60_000).expect("six percent"),
            method: InterestMethod::Flat,
            tenor_months: 72,
            grace_months: 6,
            grace_bears_interest: false,
            repayment_order: None,
            relend_income: true,
        };
        let fund = c::OpenFund {
            fund: id("kdmp", 1),
            name: text("Dana Bergulir"),
            opening_date: today(),
            terms: Terms {
                purpose: Purpose::Loan(loans),
                ceiling: amount(PRINCIPAL),
                required_readiness: ReadinessSet::EMPTY,
                proposal_validity_days: None,
                disbursement_approval_above: None,
            },
        };
        let allocation = c::AllocateFund {
            fund: id("kdmp", 1),
            amount: amount(PRINCIPAL * i64::try_from(self.accounts).expect("few")),
            source: c::AllocationSource::Apbn,
            reference: text("DIPA 2026"),
            bank_reference: self.bank_reference(),
            value_date: today(),
        };
        self.submit(&[
            Command::OpenLedger(opening),
            Command::OpenFund(fund),
            Command::AllocateFund(allocation),
        ]);
    }

    fn open_account(&mut self, account: usize) {
        let cooperative = id("kop", account);
        let [chair, treasurer] = ["ketua", "bendahara"]
            .map(|office| PrincipalId::new(&format!("{office}.{account}")).expect("a name"));
        let holder = text(&format!("KDMP Desa {account}"));
        let (region, district, village) =
            (account / 98_010 + 11, account / 990 % 99 + 1, account % 990);
        let registration = c::RegisterCooperative {
            cooperative,
            village: format!("{region}.01.{district:02}.{}", 2_000 + village)
                .parse()
                .expect("a village"),
            kind: CooperativeKind::Kdmp,
            name: holder.clone(),
            cooperative_number: None,
        };
        let appointment = |office, officer| {
            let evidence = None;
            Command::AppointOfficer(c::AppointOfficer { cooperative, office, officer, evidence })
        };
        let opening = c::OpenAccount {
            fund: id("kdmp", 1),
            account: id("rek", account),
            cooperative,
            bank_account: BankAccount {
                bank: text("BNI"),
                number: text(&format!("{account:010}")),
            },
            holder,
        };
        let proposal = c::ProposeLoan {
            fund: id("kdmp", 1),
            account: id("rek", account),
            loan: loan(account),
            principal: amount(PRINCIPAL),
            contract_reference: text(&format!("PK/{account}/2026")),
            chair,
            treasurer,
            expires_at: None,
        };
        self.submit(&[
            Command::RegisterCooperative(registration),
            appointment(Office::Chair, chair),
            appointment(Office::Treasurer, treasurer),
            Command::OpenAccount(opening),
            Command::ProposeLoan(proposal),
        ]);
        let approval = Command::ApproveLoan(c::ApproveLoan { loan: loan(account) });
        self.submit_by(CHECKER, &approval);
        self.submit(&[self.disburse(account)]);
    }
}

/// The record of an event.
pub fn record<'a>(
    header: &'a Header,
    previous: bergulir_chain::Hash,
    event: &'a [u8],
) -> Record<'a> {
    // As unique as an id of a caller is.
    let request_id = u128::from(header.position.get()).wrapping_mul(0x9e37_79b9_7f4a_7c15 << 60);
    Record {
        position: bergulir_chain::Position::new(header.position.get()),
        previous,
        recorded_at: bergulir_chain::Timestamp::from_micros(header.recorded_at.as_micros()),
        principal: header.principal.as_str(),
        authentication: Authentication::Stated,
        request_id: (request_id | 1).to_le_bytes(),
        following: 0,
        event,
        signature: None,
    }
}

fn id<K>(prefix: &str, number: usize) -> Id<K> {
    Id::new(&format!("{prefix}-{number}")).expect("an id")
}

fn loan(account: usize) -> bergulir_domain::LoanId {
    id("pinjaman", account)
}

pub fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).expect("a text")
}

fn amount(minor: i64) -> Amount {
    Amount::from_minor(minor).expect("an amount")
}

fn today() -> Date {
    Date::from_julian_day(TODAY).expect("a day")
}
