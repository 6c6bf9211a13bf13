//! Random steps, and the commands that they come to: names, amounts and records are picked so that
//! most commands could be accepted and many get in each other's way.

use super::Pair;
use super::commands::{
    ORIGIN, TODAY, allocate, appoint, approve_bank_account, approve_close, approve_disbursement,
    approve_loan, approve_restructuring, approve_reversal, approve_withdrawal, approve_write_off,
    bank, bring_back, confirm, continue_as, grant_terms, id, loan_terms, open_account, open_fund,
    open_ledger, propose_bank_account, propose_close, propose_loan, propose_restructuring,
    propose_reversal, propose_write_off, recover, refuse_loan, refuse_proposal, register,
    rotate_key, rp, seal, terms, text, verifier_key, withdraw_loan, withdraw_proposal,
};
use bergulir_domain::command::{self as c, BankAccount, Command};
use bergulir_domain::cooperative::{CooperativeKind, Office, ReadinessItem, ReadinessSet};
use bergulir_domain::state::LoanBalances;
use bergulir_domain::terms::{LoanTerms, Purpose, Terms};
use bergulir_domain::{AccountId, FundId, Money, Position};
use proptest::prelude::*;

/// One step: what is asked, by whom, how long after the step before, and numbers from which the
/// names and amounts are picked.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) ask: Ask,
    pub(super) by: usize,
    pub(super) wait: Wait,
    pub(super) pick: [u8; 4],
    pub(super) bank: Bank,
    pub(super) dated: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ask {
    Disburse,
    Repay,
    ProposeLoan,
    ApproveLoan,
    RefuseLoan,
    WithdrawLoan,
    Return,
    Grant,
    ProposePayment,
    ApprovePayment,
    ProposeWriteOff,
    ApproveWriteOff,
    Recover,
    Restructure,
    ApproveRestructuring,
    ProposeReversal,
    ApproveReversal,
    RefuseProposal,
    WithdrawProposal,
    Allocate,
    ProposeWithdrawal,
    ApproveWithdrawal,
    ChangeTerms,
    OpenFund,
    Register,
    Appoint,
    Confirm,
    OpenAccount,
    ProposeClose,
    ApproveClose,
    ProposeBank,
    ApproveBank,
    Suspend,
    Resume,
    Close,
    Seal,
    RotateKey,
    Continue,
    AdoptRules,
    OpenLedger,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Wait {
    Nothing,
    HalfADay,
    Days(u8),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Bank {
    Fresh,
    Few(u8),
    Earlier(u8),
}

pub(super) const HOUR: i64 = 3_600_000_000;
pub(super) const PRINCIPALS: [&str; 4] = ["ani", "budi", "citra", "system"];
pub(super) const AMOUNTS: [i64; 8] = [1, 5, 10, 20, 30, 50, 80, 130];

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ask = prop_oneof![
        24 => Just(Ask::Disburse),
        24 => Just(Ask::Repay),
        18 => Just(Ask::ProposeLoan),
        18 => Just(Ask::ApproveLoan),
        2 => Just(Ask::RefuseLoan),
        2 => Just(Ask::WithdrawLoan),
        12 => Just(Ask::Return),
        6 => Just(Ask::Grant),
        12 => Just(Ask::ProposePayment),
        12 => Just(Ask::ApprovePayment),
        12 => Just(Ask::ProposeWriteOff),
        12 => Just(Ask::ApproveWriteOff),
        10 => Just(Ask::Recover),
        6 => Just(Ask::Restructure),
        6 => Just(Ask::ApproveRestructuring),
        24 => Just(Ask::ProposeReversal),
        20 => Just(Ask::ApproveReversal),
        2 => Just(Ask::RefuseProposal),
        2 => Just(Ask::WithdrawProposal),
        4 => Just(Ask::Allocate),
        8 => Just(Ask::ProposeWithdrawal),
        6 => Just(Ask::ApproveWithdrawal),
        3 => Just(Ask::ChangeTerms),
        3 => Just(Ask::OpenFund),
        5 => Just(Ask::Register),
        4 => Just(Ask::Appoint),
        5 => Just(Ask::Confirm),
        8 => Just(Ask::OpenAccount),
        8 => Just(Ask::ProposeClose),
        8 => Just(Ask::ApproveClose),
        8 => Just(Ask::ProposeBank),
        6 => Just(Ask::ApproveBank),
        1 => Just(Ask::Suspend),
        4 => Just(Ask::Resume),
        4 => Just(Ask::Close),
        3 => Just(Ask::Seal),
        1 => Just(Ask::RotateKey),
        2 => Just(Ask::Continue),
        1 => Just(Ask::AdoptRules),
        1 => Just(Ask::OpenLedger),
    ];
    let by = prop_oneof![60 => 0..3_usize, 1 => Just(3)];
    let wait = prop_oneof![
        40 => Just(Wait::Nothing),
        2 => Just(Wait::HalfADay),
        1 => (1..8_u8).prop_map(Wait::Days),
    ];
    let bank = prop_oneof![
        40 => Just(Bank::Fresh),
        1 => (0..6_u8).prop_map(Bank::Few),
        2 => any::<u8>().prop_map(Bank::Earlier),
    ];
    let step = (ask, by, wait, any::<[u8; 4]>(), bank, 0..60_u8);
    let step = step.prop_map(|(ask, by, wait, pick, bank, dated)| Step {
        ask,
        by,
        wait,
        pick,
        bank,
        dated,
    });
    proptest::collection::vec(step, 1..120)
}

/// How each story begins, and who acts: a loan fund `f0` and a grant fund `f1` with some money, and `f2`,
/// which asks for readiness and has none; `c1` and `c2` with accounts, and a loan each.
pub(super) fn beginning() -> Vec<(&'static str, Command)> {
    let few = Terms {
        ceiling: rp(200),
        required_readiness: ReadinessSet::EMPTY,
        proposal_validity_days: Some(3),
        ..terms()
    };
    let given = Terms { ceiling: rp(200), ..grant_terms() };
    let commands = [("f0", few), ("f1", given), ("f2", terms())]
        .map(|(fund, of)| Command::OpenFund(open_fund(fund, of)));
    let mut commands = Vec::from(commands);
    for fund in ["f0", "f1"] {
        let bank_reference = bank(&format!("FIRST-{fund}"));
        let allocate = c::AllocateFund { bank_reference, ..allocate(fund, rp(400)) };
        commands.push(Command::AllocateFund(allocate));
    }
    let mut approvals = Vec::new();
    for number in [1, 2] {
        let cooperative = format!("c{number}");
        commands.push(Command::RegisterCooperative(c::RegisterCooperative {
            cooperative_number: (number == 2).then(|| text("3603010002")),
            ..register(&cooperative)
        }));
        for (office, officer) in [(Office::Chair, "chair"), (Office::Treasurer, "treasurer")] {
            let officer = format!("{officer}-{number}");
            commands.push(Command::AppointOfficer(appoint(&cooperative, office, &officer)));
        }
        for fund in ["f0", "f1"] {
            let account = open_account(&format!("a{number}"));
            commands.push(Command::OpenAccount(c::OpenAccount { fund: id(fund), ..account }));
        }
        let loan = format!("l{number}");
        commands.push(Command::ProposeLoan(c::ProposeLoan {
            fund: id("f0"),
            ..propose_loan(&loan, rp(80))
        }));
        approvals.push(("budi", Command::ApproveLoan(approve_loan(&loan))));
    }
    let made = commands.into_iter().map(|command| ("ani", command));
    made.chain(approvals).collect()
}

impl Pair {
    pub(super) fn command(&mut self, step: &Step) -> Command {
        let [a, b, c, d] = step.pick;
        let bank_reference = self.bank(step.bank);
        let value_date = self.date(step.dated);
        let amount = rp(AMOUNTS[usize::from(c) % AMOUNTS.len()]);
        let expires_at = match d {
            0..=4 => Some(self.ledger.clock),
            5..=19 => Some(self.later(1)),
            20..=59 => Some(self.later(90_000_000_000)),
            _ => None,
        };
        let fund: FundId = id(if a % 16 == 7 { "f1" } else { "f0" });
        let account: AccountId = id(if b % 2 == 0 { "a1" } else { "a2" });
        let record = self.record(step.ask, a, b);
        let loan = self.loan(step.ask, a);
        let proposal = self.proposal(step.ask, a, b);
        match step.ask {
            Ask::Disburse => {
                Command::Disburse(c::Disburse { loan, amount, bank_reference, value_date })
            }
            Ask::Repay => self.repay(loan, [b, c, d], bank_reference, value_date),
            Ask::ProposeLoan => Command::ProposeLoan(c::ProposeLoan {
                fund,
                account,
                principal: amount,
                expires_at,
                loan: id(&format!("l{}", if d < 20 { 1 } else { self.model.loans.len() + 1 })),
                ..propose_loan(if b % 2 == 0 { "l1" } else { "l2" }, amount)
            }),
            Ask::ApproveLoan => Command::ApproveLoan(c::ApproveLoan { loan }),
            Ask::RefuseLoan => Command::RefuseLoan(refuse_loan(loan.as_str())),
            Ask::WithdrawLoan => Command::WithdrawLoan(withdraw_loan(loan.as_str())),
            Ask::Return => Command::ReturnDisbursement(c::ReturnDisbursement {
                bank_reference,
                value_date,
                ..bring_back(record)
            }),
            Ask::Grant => Command::DisburseGrant(c::DisburseGrant {
                fund: id(if a % 8 == 7 { "f0" } else { "f1" }),
                account,
                amount,
                reference: text("SK 1"),
                bank_reference,
                value_date,
            }),
            Ask::ProposePayment => Command::ProposeDisbursement(c::ProposeDisbursement {
                payee: if b % 3 == 0 {
                    let fund = id(if a % 8 == 7 { "f0" } else { "f1" });
                    c::Payee::Grant { fund, account, reference: text("SK 1") }
                } else {
                    c::Payee::Loan(loan)
                },
                amount,
                expires_at,
            }),
            Ask::ApprovePayment => Command::ApproveDisbursement(c::ApproveDisbursement {
                bank_reference,
                value_date,
                ..approve_disbursement(proposal)
            }),
            Ask::ProposeWriteOff => Command::ProposeWriteOff(c::ProposeWriteOff {
                kind: [c::WriteOffKind::Conditional, c::WriteOffKind::Absolute][usize::from(b % 2)],
                expires_at,
                ..propose_write_off(
                    loan.as_str(),
                    // A claim that was written off conditionally can be ended too.
                    self.part_of_loan(
                        loan,
                        c,
                        match b % 4 {
                            0 | 1 => LoanBalances::outstanding,
                            _ => |owed| owed.outstanding() + owed.recoverable(),
                        },
                    ),
                )
            }),
            Ask::ApproveWriteOff => Command::ApproveWriteOff(c::ApproveWriteOff {
                value_date,
                ..approve_write_off(proposal)
            }),
            Ask::Recover => Command::RecordRecovery(c::RecordRecovery {
                bank_reference,
                value_date,
                ..recover(loan.as_str(), self.part_of_loan(loan, c, LoanBalances::recoverable))
            }),
            Ask::Restructure => Command::ProposeRestructuring(c::ProposeRestructuring {
                effective_from: value_date,
                // Now and then no month is left to repay in.
                terms: LoanTerms { tenor_months: 3 + u16::from(c), ..loan_terms() },
                expires_at,
                ..propose_restructuring(loan.as_str())
            }),
            Ask::ApproveRestructuring => {
                Command::ApproveRestructuring(approve_restructuring(proposal))
            }
            Ask::ProposeReversal => Command::ProposeReversal(c::ProposeReversal {
                expires_at,
                ..propose_reversal(record)
            }),
            Ask::ApproveReversal => Command::ApproveReversal(approve_reversal(proposal)),
            Ask::RefuseProposal => Command::RefuseProposal(refuse_proposal(proposal)),
            Ask::WithdrawProposal => Command::WithdrawProposal(withdraw_proposal(proposal)),
            Ask::Allocate => Command::AllocateFund(c::AllocateFund {
                amount,
                bank_reference,
                value_date,
                ..allocate(fund.as_str(), amount)
            }),
            Ask::ProposeWithdrawal => {
                Command::ProposeAllocationWithdrawal(c::ProposeAllocationWithdrawal {
                    fund,
                    allocation: record,
                    amount,
                    reason: text("refocusing"),
                    expires_at,
                })
            }
            Ask::ApproveWithdrawal => {
                Command::ApproveAllocationWithdrawal(c::ApproveAllocationWithdrawal {
                    bank_reference,
                    value_date,
                    ..approve_withdrawal(proposal)
                })
            }
            Ask::ChangeTerms => Command::ChangeTerms(c::ChangeTerms {
                fund,
                effective_from: if d < 200 { self.date(0) } else { value_date },
                terms: Terms {
                    ceiling: rp([50, 150, 200, 300][usize::from(b % 4)]),
                    purpose: if (c < 20) == (fund == id("f0")) {
                        Purpose::Grant
                    } else {
                        Purpose::Loan(LoanTerms { relend_income: c % 2 == 0, ..loan_terms() })
                    },
                    required_readiness: ReadinessSet::EMPTY,
                    proposal_validity_days: Some(u16::from(d % 6)),
                    disbursement_approval_above: [None, None, Some(0), Some(5_000)]
                        [usize::from(c / 64)]
                    .map(|minor| Money::from_minor(minor).unwrap()),
                },
                reference: text("Perbup"),
            }),
            Ask::OpenFund => {
                let fund = if d % 3 == 0 { "f0" } else { "f3" };
                Command::OpenFund(c::OpenFund {
                    opening_date: if c < 32 { self.date(57) } else { value_date },
                    ..open_fund(fund, terms())
                })
            }
            Ask::Register => {
                let cooperative = id(&format!("c{}", a % 5));
                let village = match c {
                    0..16 => id("36.04.01.2001"),
                    _ => register(&format!("c{}", b % 5)).village,
                };
                let numbers = [None, Some(text("3603010001")), Some(text("3603010002"))];
                Command::RegisterCooperative(c::RegisterCooperative {
                    cooperative,
                    village,
                    kind: if d < 16 { CooperativeKind::Kkmp } else { CooperativeKind::Kdmp },
                    cooperative_number: numbers[usize::from(d % 3)].clone(),
                    ..register(&format!("c{}", a % 5))
                })
            }
            Ask::Appoint => {
                let office = if b % 2 == 0 { Office::Chair } else { Office::Treasurer };
                let officer = ["chair-1", "treasurer-1", "u1", "u2"][usize::from(c % 4)];
                Command::AppointOfficer(appoint(&format!("c{}", a % 5), office, officer))
            }
            Ask::Confirm => {
                let item = match d {
                    0..64 => ReadinessItem::CooperativeNumber,
                    _ => ReadinessItem::ALL[usize::from(b) % ReadinessItem::ALL.len()],
                };
                let usual = confirm(&format!("c{}", a % 5), item);
                let number = match c {
                    0..32 => None,
                    32..64 => Some(text("12")),
                    _ => usual.number,
                };
                Command::ConfirmReadiness(c::ConfirmReadiness { number, ..usual })
            }
            Ask::OpenAccount => {
                let number = if c < 200 { a % 5 } else { b % 5 };
                Command::OpenAccount(c::OpenAccount {
                    fund: if d % 8 == 0 { id("f2") } else { fund },
                    account: id(&format!("a{}", b % 5)),
                    bank_account: BankAccount {
                        bank: text("BPD"),
                        number: text(&format!("0{number}")),
                    },
                    ..open_account(&format!("a{}", a % 5))
                })
            }
            Ask::ProposeClose => Command::ProposePeriodClose(c::ProposePeriodClose {
                fund,
                // Mostly in the last days, so that much can still be posted.
                through: self.date(if d < 220 { 50 + b % 7 } else { step.dated }),
                expires_at,
                ..propose_close(TODAY)
            }),
            Ask::ApproveClose => Command::ApprovePeriodClose(approve_close(proposal)),
            Ask::ProposeBank => Command::ProposeBankAccountChange(c::ProposeBankAccountChange {
                fund,
                expires_at,
                holder: open_account(if c < 240 { account.as_str() } else { "a9" }).holder,
                // Now and then one with which somebody began.
                ..propose_bank_account(
                    account.as_str(),
                    &if d % 4 == 3 { format!("000{}", a % 4) } else { format!("0{}", a % 4) },
                )
            }),
            Ask::ApproveBank => Command::ApproveBankAccountChange(approve_bank_account(proposal)),
            Ask::Suspend => Command::SuspendAccount(c::SuspendAccount {
                fund,
                account,
                reason: text("inspection"),
            }),
            Ask::Resume => Command::ResumeAccount(c::ResumeAccount {
                fund,
                account,
                reason: text("inspection over"),
            }),
            Ask::Close => Command::CloseAccount(c::CloseAccount {
                fund: id(if a < 40 { "f1" } else { "f0" }),
                account,
                reason: text("merged"),
            }),
            Ask::Seal => Command::Seal(seal(Position::new(u64::from(a)))),
            Ask::RotateKey => {
                let origin =
                    if b % 8 == 0 { "ledger.example.go.id/tangeran" } else { self.origin() };
                Command::RotateKey(rotate_key(origin, a % 8))
            }
            Ask::Continue => {
                let from = if b % 4 == 0 { ORIGIN } else { self.origin() };
                let origin = format!("{ORIGIN}-{}", a % 3);
                let named = if c % 8 == 0 { ORIGIN } else { &origin };
                Command::ContinueLedger(c::ContinueLedger {
                    verifier_key: verifier_key(named, d % 8),
                    ..continue_as(from, &origin, 0)
                })
            }
            Ask::AdoptRules => Command::AdoptRules(c::AdoptRules { version: 1 + u32::from(a % 4) }),
            Ask::OpenLedger => Command::OpenLedger(open_ledger()),
        }
    }
}
