//! A command of a kind, made of what is there and of numbers that choose.

use super::book::{Book, choose};
use super::line::{Line, ODD};
use super::people::Role;
use bergulir_chain::note::{KeyName, SignerKey};
use bergulir_proto::pb;
use bergulir_proto::pb::command::Kind;

/// A text that is too long, empty, or of the wrong letters, instead of this one if the number is high.
fn text(number: usize, right: &str) -> String {
    match number {
        ..ODD => right.to_owned(),
        240 => String::new(),
        241 => "x".repeat(33),
        242 => "x".repeat(70_000),
        243 => "No Such".to_owned(),
        244 => format!(" {right}"),
        245 => "\u{202e}\u{0}".to_owned(),
        246 => "../..".to_owned(),
        _ => "none".to_owned(),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a message field is an Option")]
fn money(number: usize, right: i64) -> Option<pb::Money> {
    let currency_code = if number == 255 { "USD" } else { "IDR" }.to_owned();
    let (units, nanos) = match number {
        0 => (right, 0),
        1..200 => (1 + right / 200 * i64::try_from(number).unwrap_or(1), 0),
        200..220 => (right, 10_000_000),
        220..ODD => (right + 1, 0),
        240 => (0, 0),
        241 => (-1, 0),
        242 => (right, 1),
        243 => (right, -10_000_000),
        244 => (1_000_000_000_000_000, 0),
        245 => (1_000_000_000_000_001, 0),
        246 => (i64::MAX, 999_999_999),
        247 => (i64::MIN, 0),
        _ => (0, 10_000_000),
    };
    Some(pb::Money { currency_code, units, nanos })
}

/// A day of 2024, so many after the tenth of January.
fn day(number: usize, from: i32) -> Option<pb::Date> {
    let day = match number {
        ..ODD => from + i32::try_from(number).unwrap_or(0) % 90,
        240 => return None,
        241 => return Some(pb::Date { year: 2024, month: 2, day: 30 }),
        242 => return Some(pb::Date { year: 9_999, month: 12, day: 31 }),
        243 => return Some(pb::Date { year: 1, month: 1, day: 1 }),
        _ => return Some(pb::Date { year: i32::MAX, month: -1, day: 32 }),
    };
    Some(pb::Date { year: 2024, month: 1 + day / 28, day: 1 + day % 28 })
}

/// When money is allocated, paid out, and comes back.
const FIRST: i32 = 9;
const OUT: i32 = 120;
const BACK: i32 = 215;

#[expect(clippy::unnecessary_wraps, reason = "a message field is an Option")]
fn bank(book: &Book, number: usize) -> Option<pb::BankReference> {
    let reference = match number {
        ..200 => format!("ref-{}", book.made),
        200..220 => "ref-1".to_owned(),
        _ => text(number, "ref-2"),
    };
    let line = (number % 7 == 3).then_some(u32::try_from(number % 3).unwrap_or(0));
    Some(pb::BankReference { bank: "bjb".to_owned(), reference, line })
}

#[expect(clippy::unnecessary_wraps, reason = "a message field is an Option")]
fn evidence(number: usize) -> Option<pb::Evidence> {
    let bytes = if number < ODD { 32 } else { number - 215 };
    Some(pb::Evidence { reference: text(number, "BA-7"), salted_digest: vec![7; bytes] })
}

fn optional_evidence(number: usize) -> Option<pb::Evidence> {
    if number.is_multiple_of(2) { None } else { evidence(number) }
}

fn expires(number: usize) -> Option<pb::Timestamp> {
    match number {
        ..200 => None,
        200..220 => Some(pb::Timestamp { seconds: 4_102_444_800, nanos: 0 }),
        220..ODD => Some(pb::Timestamp { seconds: 1, nanos: 0 }),
        _ => Some(pb::Timestamp { seconds: i64::MAX, nanos: -1 }),
    }
}

fn loan_terms(number: usize) -> pb::LoanTerms {
    let rates = ["5", "0", "6.25", "100", "0.0001"];
    let method = match number % 5 {
        1 => pb::InterestMethod::None,
        2 => pb::InterestMethod::Declining,
        _ => pb::InterestMethod::Flat,
    };
    let parts = [pb::PaymentPart::Principal, pb::PaymentPart::Interest, pb::PaymentPart::LateFee];
    pb::LoanTerms {
        rate_percent: text(number, rates[number % rates.len()]),
        method: method.into(),
        tenor_months: if number < ODD { 36 } else { 601 },
        grace_months: if number == 239 { 36 } else { 3 },
        grace_bears_interest: number % 2 == 1,
        repayment_order: if number % 3 == 1 { parts.map(i32::from).to_vec() } else { vec![] },
        relend_income: number % 4 == 1,
    }
}

/// `asks`: whether a disbursement needs a second person.
fn terms(number: usize, gives: bool, asks: bool) -> pb::Terms {
    pb::Terms {
        kind: if gives { pb::FundKind::Grant } else { pb::FundKind::Loan }.into(),
        ceiling: money(number, 3_000_000_000),
        required_readiness: match number % 9 {
            3 => vec![pb::ReadinessItem::BusinessPlan.into()],
            4 if number > 100 => vec![1, 1, 99],
            _ => vec![],
        },
        proposal_validity_days: (number % 5 == 4).then_some(u32::try_from(number).unwrap_or(0)),
        loan: (!gives).then(|| loan_terms(number)),
        disbursement_approval_above: if asks { money(0, 0) } else { None },
    }
}

/// The second key of the ledger's origin, which the test puts where the server finds it.
pub(super) fn second_key(origin: &str) -> SignerKey {
    SignerKey::from_seed(KeyName::new(origin).unwrap(), &[7; 32]).unwrap()
}

/// The command of this name, and who should ask for it; `None` if there is none of the name. It may be one
/// that is refused.
pub(super) fn command(
    book: &Book,
    origin: &str,
    line: &mut Line<'_>,
) -> Option<(Kind, &'static str)> {
    let (a, b, c, d) = (line.number(), line.number(), line.number(), line.number());
    let new = |what: &str, number| text(number, &format!("{what}-{}", book.made));
    let fund = |number, gives: bool| {
        choose(&book.funds, number, |fund| fund.gives == gives).map_or("none", |fund| &fund.id)
    };
    let cooperative =
        |number| choose(&book.cooperatives, number, |_| true).cloned().unwrap_or_default();
    let account = |number, gives: bool| {
        let of = fund(0, gives).to_owned();
        let fits = |account: &super::book::Account| {
            account.is_open && !account.is_suspended && account.fund == of
        };
        choose(&book.accounts, number, fits).map_or((of.clone(), "none".to_owned()), |one| {
            (one.fund.clone(), text(number, &one.id))
        })
    };
    let loan = |number, fits: fn(&super::book::Loan) -> bool| {
        choose(&book.loans, number, fits).cloned().unwrap_or_default()
    };
    let waiting = |number, command: &str| {
        let found = choose(&book.proposals, number, |one| one.command == command);
        found.map_or((u64::try_from(number).unwrap_or(0), "maker"), |one| {
            // Who proposed it as the first checker is checked by the second one.
            (one.position, if one.maker == "checker" { "checker-2" } else { "checker" })
        })
    };
    let reason = |number| text(number, "as agreed");
    let right = match Role::of(line.word) {
        Role::Maker => "maker",
        Role::Checker => "checker",
        Role::Operator => "operator",
    };
    let (kind, who) = match line.word {
        "OpenLedger" => {
            let rules_version = if a == 0 { 3 } else { u32::try_from(a).unwrap_or(0) };
            let kind = Kind::OpenLedger(pb::OpenLedger {
                origin: text(b, origin),
                verifier_key: None,
                region: text(c, "36.03"),
                currency_code: if d < ODD { "IDR" } else { "USD" }.to_owned(),
                utc_offset_minutes: Some(if d < ODD { 420 } else { 841 }),
                rules_version,
            });
            (kind, right)
        }
        "AdoptRules" => {
            let version = book.rules + 1 + u32::try_from(a).unwrap_or(0);
            (Kind::AdoptRules(pb::AdoptRules { version }), right)
        }
        "RotateKey" => {
            let verifier_key = text(a, &second_key(origin).verifier().to_string());
            (Kind::RotateKey(pb::RotateKey { verifier_key }), right)
        }
        "OpenFund" => {
            // The first lends, the second gives, the third asks for a second person.
            let number = book.funds.len();
            let id = match number {
                0 => "dana".to_owned(),
                1 => "hibah".to_owned(),
                _ => format!("fund-{number}"),
            };
            let kind = Kind::OpenFund(pb::OpenFund {
                fund: text(a, &id),
                display_name: text(b, "Dana Bergulir"),
                opening_date: Some(pb::Date { year: 2024, month: 1, day: 2 }),
                terms: Some(terms(c, number == 1, number > 1 && book.rules > 1)),
            });
            (kind, right)
        }
        "ChangeTerms" => {
            let gives = d % 2 == 1;
            let kind = Kind::ChangeTerms(pb::ChangeTerms {
                fund: fund(a, gives).to_owned(),
                effective_from: if b < ODD {
                    Some(pb::Date {
                        year: 2200,
                        month: 1,
                        day: 1 + i32::try_from(b % 28).unwrap_or(0),
                    })
                } else {
                    day(b, 0)
                },
                terms: Some(terms(c, gives, b % 2 == 1 && book.rules > 1)),
                reference: text(d, "SK 13/2024"),
            });
            (kind, right)
        }
        "AllocateFund" => {
            let kind = Kind::AllocateFund(pb::AllocateFund {
                fund: fund(a, d % 2 == 1).to_owned(),
                amount: money(b, 5_800_000_000),
                source: i32::try_from(1 + d % 4).unwrap_or(0),
                reference: text(c, "SK 12/2024"),
                bank_reference: bank(book, c),
                value_date: day(d, FIRST),
            });
            (kind, right)
        }
        "ProposeAllocationWithdrawal" => {
            let found = choose(&book.allocations, a, |_| true).cloned();
            let (allocation, fund) = found.unwrap_or((0, "dana".to_owned()));
            let kind = Kind::ProposeAllocationWithdrawal(pb::ProposeAllocationWithdrawal {
                fund,
                allocation,
                amount: money(b, 10_000_000),
                reason: reason(c),
                expires_at: expires(d),
            });
            (kind, right)
        }
        "ApproveAllocationWithdrawal" => {
            let (proposal, who) = waiting(a, "Withdrawal");
            let bank_reference = bank(book, b);
            let value_date = day(c, BACK);
            let approve = pb::ApproveAllocationWithdrawal { proposal, bank_reference, value_date };
            (Kind::ApproveAllocationWithdrawal(approve), who)
        }
        "ProposePeriodClose" => {
            let through = day(b, 3 + i32::try_from(book.closes).unwrap_or(0));
            let kind = Kind::ProposePeriodClose(pb::ProposePeriodClose {
                fund: fund(a, false).to_owned(),
                through,
                reference: text(c, "LK-1"),
                expires_at: expires(d),
            });
            (kind, right)
        }
        "ApprovePeriodClose" => {
            let (proposal, who) = waiting(a, "PeriodClose");
            (Kind::ApprovePeriodClose(pb::ApprovePeriodClose { proposal }), who)
        }
        "RegisterCooperative" => {
            let village = if b < ODD {
                format!("36.03.{:02}.2{:03}", 1 + b % 9, book.made % 1_000)
            } else {
                text(b, "")
            };
            let kind = Kind::RegisterCooperative(pb::RegisterCooperative {
                cooperative: new("c", a),
                village_code: village,
                kind: if d < 200 { 1 } else { i32::try_from(d).unwrap_or(0) - 200 },
                registered_name: text(c, "Koperasi Maju"),
                cooperative_number: (d % 2 == 1).then(|| text(d, "0123")),
            });
            (kind, right)
        }
        "AppointOfficer" => {
            let of = cooperative(a / 2);
            let chair = if a == 0 { of.chair.is_empty() } else { a % 2 == 1 };
            let office = if chair { pb::Office::Chair } else { pb::Office::Treasurer };
            let name = if chair { "chair" } else { "treasurer" };
            let kind = Kind::AppointOfficer(pb::AppointOfficer {
                cooperative: text(b, &of.id),
                office: office.into(),
                officer: new(name, c),
                evidence: optional_evidence(d),
            });
            (kind, right)
        }
        "ConfirmReadiness" => {
            let items = [6, 7, 5, 3, 4, 2, 1, 0, 99];
            let item = items[b % items.len()];
            let number = match item {
                1 | 2 => Some("123".to_owned()),
                3 => Some("1234567890123".to_owned()),
                4 => Some("123456789012345".to_owned()),
                _ => None,
            };
            let kind = Kind::ConfirmReadiness(pb::ConfirmReadiness {
                cooperative: cooperative(a).id,
                item,
                number: if c < ODD { number } else { Some(text(c, "")) },
                evidence: evidence(d),
            });
            (kind, right)
        }
        "OpenAccount" => {
            let gives = a % 2 == 1;
            let of = fund(a / 2, gives).to_owned();
            let has_none = |cooperative: &super::book::Cooperative| {
                let mut accounts = book.accounts.iter();
                !accounts.any(|account| account.fund == of && account.cooperative == cooperative.id)
            };
            let cooperative = choose(&book.cooperatives, b, has_none).cloned().unwrap_or_default();
            let number = if c < 200 { format!("{:010}", book.made) } else { text(c, "0000000001") };
            let bank = "bjb".to_owned();
            let kind = Kind::OpenAccount(pb::OpenAccount {
                fund: of.clone(),
                account: new("a", d),
                cooperative: cooperative.id,
                bank_account: Some(pb::BankAccount { bank, number }),
                holder: text(d, &cooperative.name),
            });
            (kind, right)
        }
        "SuspendAccount" | "CloseAccount" => {
            let (fund, account) = account(a, b % 2 == 1);
            let reason = reason(c);
            if line.word == "SuspendAccount" {
                (Kind::SuspendAccount(pb::SuspendAccount { fund, account, reason }), right)
            } else {
                (Kind::CloseAccount(pb::CloseAccount { fund, account, reason }), right)
            }
        }
        "ResumeAccount" => {
            let found =
                choose(&book.accounts, a, |account| account.is_suspended && account.is_open);
            let (fund, account) =
                found.map_or(("dana", "none"), |one| (one.fund.as_str(), one.id.as_str()));
            let (fund, account) = (fund.to_owned(), account.to_owned());
            (Kind::ResumeAccount(pb::ResumeAccount { fund, account, reason: reason(b) }), right)
        }
        "ProposeBankAccountChange" => {
            let (fund, account) = account(a, b % 2 == 1);
            let of = book.accounts.iter().find(|one| one.id == account && one.fund == fund);
            let owner = of.and_then(|one| {
                book.cooperatives.iter().find(|cooperative| cooperative.id == one.cooperative)
            });
            let holder = owner.map_or("none", |owner| &owner.name);
            let number = if b < 200 { format!("{:010}", book.made) } else { text(b, "0000000001") };
            let bank = "bjb".to_owned();
            let kind = Kind::ProposeBankAccountChange(pb::ProposeBankAccountChange {
                fund,
                account,
                bank_account: Some(pb::BankAccount { bank, number }),
                holder: text(c, holder),
                reason: reason(c),
                evidence: evidence(d),
                expires_at: expires(d),
            });
            (kind, right)
        }
        "ApproveBankAccountChange" => {
            let (proposal, who) = waiting(a, "BankAccountChange");
            (Kind::ApproveBankAccountChange(pb::ApproveBankAccountChange { proposal }), who)
        }
        "ProposeLoan" => {
            let (fund, account) = account(a, false);
            let of = book.accounts.iter().find(|one| one.id == account && one.fund == fund);
            let owner = of.and_then(|one| {
                book.cooperatives.iter().find(|cooperative| cooperative.id == one.cooperative)
            });
            let owner = owner.cloned().unwrap_or_default();
            let kind = Kind::ProposeLoan(pb::ProposeLoan {
                fund,
                account,
                loan: new("l", c),
                principal: money(b, 100_000_000),
                contract_reference: text(d, "PK-7"),
                chair: text(d, &owner.chair),
                treasurer: text(c, &owner.treasurer),
                expires_at: expires(d),
            });
            (kind, right)
        }
        "ApproveLoan" | "RefuseLoan" | "WithdrawLoan" => {
            let found = loan(a, |loan| loan.is_pending);
            let id = text(a, &found.id);
            let other = if found.maker == "checker" { "checker-2" } else { "checker" };
            let reason = reason(b);
            match line.word {
                "ApproveLoan" => (Kind::ApproveLoan(pb::ApproveLoan { loan: id }), other),
                "RefuseLoan" => (Kind::RefuseLoan(pb::RefuseLoan { loan: id, reason }), other),
                _ => (Kind::WithdrawLoan(pb::WithdrawLoan { loan: id, reason }), right),
            }
        }
        "Disburse" => {
            let found = loan(a, |loan| loan.undisbursed > 0);
            let kind = Kind::Disburse(pb::Disburse {
                loan: text(a, &found.id),
                amount: money(b, found.undisbursed),
                bank_reference: bank(book, c),
                value_date: day(d, OUT),
            });
            (kind, right)
        }
        "DisburseGrant" => {
            let (fund, account) = account(a, true);
            let kind = Kind::DisburseGrant(pb::DisburseGrant {
                fund,
                account,
                amount: money(b, 20_000_000),
                reference: text(c, "NPHD-1"),
                bank_reference: bank(book, c),
                value_date: day(d, OUT),
            });
            (kind, right)
        }
        "ProposeDisbursement" => {
            let found = loan(a, |loan| loan.undisbursed > 0);
            let payee = if c % 2 == 1 {
                let ((fund, account), reference) = (account(a, true), text(c, "NPHD-2"));
                pb::propose_disbursement::Payee::Grant(pb::ProposedGrant {
                    fund,
                    account,
                    reference,
                })
            } else {
                pb::propose_disbursement::Payee::Loan(text(a, &found.id))
            };
            let kind = Kind::ProposeDisbursement(pb::ProposeDisbursement {
                payee: Some(payee),
                amount: money(b, if c % 2 == 1 { 1_000_000 } else { found.undisbursed }),
                expires_at: expires(d),
            });
            (kind, right)
        }
        "ApproveDisbursement" => {
            let (proposal, who) = waiting(a, "Disbursement");
            let (bank_reference, value_date) = (bank(book, b), day(c, OUT));
            let approve = pb::ApproveDisbursement { proposal, bank_reference, value_date };
            (Kind::ApproveDisbursement(approve), who)
        }
        "ReturnDisbursement" => {
            let disbursement = choose(&book.payouts, a, |_| true).copied().unwrap_or(0);
            let (bank_reference, value_date) = (bank(book, b), day(c, BACK));
            let back = pb::ReturnDisbursement { disbursement, bank_reference, value_date };
            (Kind::ReturnDisbursement(back), right)
        }
        "Repay" => {
            let found = loan(a, |loan| loan.outstanding > 0);
            let principal = money(b, found.outstanding / 4);
            let (interest, late) =
                (money(0, 454_545), (c % 3 == 1).then(|| money(c, 10_000)).flatten());
            let units = |money: &Option<pb::Money>| money.as_ref().map_or(0, |money| money.units);
            let whole = units(&principal)
                .saturating_add(units(&interest))
                .saturating_add(units(&late))
                .saturating_add(i64::from(c == 239));
            let mut amount = money(0, whole);
            if let (Some(amount), Some(part)) = (&mut amount, &principal) {
                amount.nanos = part.nanos + late.as_ref().map_or(0, |late| late.nanos);
                amount.currency_code.clone_from(&part.currency_code);
            }
            let kind = Kind::Repay(pb::Repay {
                loan: text(a, &found.id),
                amount,
                principal,
                interest,
                late_fee: late,
                bank_reference: bank(book, c),
                value_date: day(d, BACK),
            });
            (kind, right)
        }
        "ProposeWriteOff" => {
            let found = loan(a, |loan| loan.outstanding > 0);
            let kind = Kind::ProposeWriteOff(pb::ProposeWriteOff {
                loan: text(a, &found.id),
                amount: money(b, found.outstanding / 2),
                kind: i32::try_from(1 + c % 3).unwrap_or(0),
                reason: reason(c),
                evidence: evidence(d),
                expires_at: expires(d),
            });
            (kind, right)
        }
        "ApproveWriteOff" => {
            let (proposal, who) = waiting(a, "WriteOff");
            let value_date = day(b, BACK);
            (Kind::ApproveWriteOff(pb::ApproveWriteOff { proposal, value_date }), who)
        }
        "RecordRecovery" => {
            let found = loan(a, |loan| loan.recoverable > 0);
            let kind = Kind::RecordRecovery(pb::RecordRecovery {
                loan: text(a, &found.id),
                amount: money(b, found.recoverable / 2),
                bank_reference: bank(book, c),
                value_date: day(d, BACK),
            });
            (kind, right)
        }
        "ProposeRestructuring" => {
            let found = loan(a, |loan| loan.outstanding > 0);
            let kind = Kind::ProposeRestructuring(pb::ProposeRestructuring {
                loan: text(a, &found.id),
                effective_from: day(b, BACK),
                terms: Some(loan_terms(c)),
                addendum_reference: text(d, "ADD-1"),
                reason: reason(d),
                evidence: evidence(d),
                expires_at: expires(d),
            });
            (kind, right)
        }
        "ApproveRestructuring" => {
            let (proposal, who) = waiting(a, "Restructuring");
            (Kind::ApproveRestructuring(pb::ApproveRestructuring { proposal }), who)
        }
        "ProposeReversal" => {
            let reverses = choose(&book.money, a, |_| true).copied().unwrap_or(0);
            let (reason, evidence, expires_at) = (reason(b), optional_evidence(c), expires(d));
            let propose = pb::ProposeReversal { reverses, reason, evidence, expires_at };
            (Kind::ProposeReversal(propose), right)
        }
        "ApproveReversal" => {
            let (proposal, who) = waiting(a, "Reversal");
            (Kind::ApproveReversal(pb::ApproveReversal { proposal }), who)
        }
        "RefuseProposal" | "WithdrawProposal" => {
            let found = choose(&book.proposals, a, |_| true);
            let proposal = found.map_or(0, |one| one.position);
            let reason = reason(b);
            if line.word == "RefuseProposal" {
                let checked = found.is_some_and(|one| one.maker == "checker");
                let who = if checked { "checker-2" } else { "checker" };
                (Kind::RefuseProposal(pb::RefuseProposal { proposal, reason }), who)
            } else {
                (Kind::WithdrawProposal(pb::WithdrawProposal { proposal, reason }), right)
            }
        }
        _ => return None,
    };
    Some((kind, who))
}
