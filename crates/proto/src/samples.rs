//! Commands and events of every kind, for the tests of this crate.

use bergulir_chain::note::{KeyName, SignerKey};
use bergulir_domain::command::{self as c, Command};
use bergulir_domain::cooperative::{CooperativeKind, Office, ReadinessItem, ReadinessSet};
use bergulir_domain::event::{
    BankAccountChanged, DisbursementApproved, DisbursementReturned, LoanApproved, Paid,
    PeriodClosed, Proposed, Repaid, Restructured, ReversalProposed, Undoes, WrittenOff,
};
use bergulir_domain::id::Id;
use bergulir_domain::ledger::Origin;
use bergulir_domain::moment::{Position, Timestamp, UtcOffset};
use bergulir_domain::money::{Currency, MAX_AMOUNT_MINOR, Rate};
use bergulir_domain::postings::{Book, Books, JournalEntry};
use bergulir_domain::state::FundBalances;
use bergulir_domain::terms::{
    InterestMethod, LoanTerms, PaymentPart, Purpose, RepaymentOrder, Terms,
};
use bergulir_domain::text::{SignedNote, Text, VerifierKey};
use bergulir_domain::{Amount, Date, Event, Money, OfficerId};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

pub(crate) fn id<K: 'static>() -> impl Strategy<Value = Id<K>> {
    "[a-z0-9.-]{1,32}".prop_map(|text| Id::new(&text).unwrap())
}

fn officer() -> impl Strategy<Value = OfficerId> {
    "[A-Za-z0-9._:@/-]{1,64}".prop_map(|text| OfficerId::new(&text).unwrap())
}

fn text<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> {
    "[A-Za-z0-9é/.,-]([A-Za-z0-9 é/.,-]{0,6}[A-Za-z0-9é/.,-])?"
        .prop_map(|text| Text::new(&text).unwrap())
}

fn amount() -> impl Strategy<Value = Amount> {
    prop_oneof![1..=MAX_AMOUNT_MINOR, Just(1), Just(MAX_AMOUNT_MINOR)]
        .prop_map(|minor| Amount::from_minor(minor).unwrap())
}

fn money() -> impl Strategy<Value = Money> {
    prop_oneof![0..=MAX_AMOUNT_MINOR, Just(0)].prop_map(|minor| Money::from_minor(minor).unwrap())
}

fn date() -> impl Strategy<Value = Date> {
    // 0001-01-01 to 9999-12-31
    prop_oneof![1_721_426..=5_373_484_i32, Just(2_440_588)]
        .prop_map(|day| Date::from_julian_day(day).unwrap())
}

fn position() -> impl Strategy<Value = Position> {
    prop_oneof![1..=u64::MAX, 1..1000_u64].prop_map(Position::new)
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (-62_135_596_800_000_000..=253_402_300_799_999_999_i64).prop_map(Timestamp::from_micros)
}

fn bank_reference() -> impl Strategy<Value = c::BankReference> {
    (text(), text(), option::of(any::<u32>()))
        .prop_map(|(bank, reference, line)| c::BankReference { bank, reference, line })
}

fn evidence() -> impl Strategy<Value = c::Evidence> {
    (text(), any::<[u8; 32]>())
        .prop_map(|(reference, salted_digest)| c::Evidence { reference, salted_digest })
}

pub(crate) fn loan_terms() -> BoxedStrategy<LoanTerms> {
    let order = Just([PaymentPart::LateFee, PaymentPart::Interest, PaymentPart::Principal])
        .prop_shuffle()
        .prop_map(|parts| RepaymentOrder::new(&parts).unwrap());
    let method = select(vec![InterestMethod::Flat, InterestMethod::Declining]);
    let rate = (0..=1_000_000_u32).prop_map(|units| Rate::from_units(units).unwrap());
    let tenor = (1..=600_u16).prop_flat_map(|tenor| (Just(tenor), 0..tenor));
    (rate, method, tenor, any::<bool>(), option::of(order), any::<bool>())
        .prop_map(
            |(
                rate,
                method,
                (tenor_months, grace_months),
                bears,
                repayment_order,
                relend_income,
            )| {
                let none = rate.to_units() == 0;
                LoanTerms {
                    rate,
                    method: if none { InterestMethod::None } else { method },
                    tenor_months,
                    grace_months,
                    grace_bears_interest: bears,
                    repayment_order,
                    relend_income,
                }
            },
        )
        .boxed()
}

fn terms() -> BoxedStrategy<Terms> {
    let purpose = prop_oneof![loan_terms().prop_map(Purpose::Loan), Just(Purpose::Grant)];
    let items = subsequence(ReadinessItem::ALL.to_vec(), 0..=7);
    (purpose, amount(), items, option::of(1..=366_u16), option::of(money()))
        .prop_map(|(purpose, ceiling, items, proposal_validity_days, above)| Terms {
            purpose,
            ceiling,
            required_readiness: items.into_iter().collect::<ReadinessSet>(),
            proposal_validity_days,
            disbursement_approval_above: above,
        })
        .boxed()
}

fn paid() -> impl Strategy<Value = Paid> {
    prop_oneof![
        id().prop_map(Paid::Loan),
        (id(), id()).prop_map(|(fund, account)| Paid::Grant(fund, account)),
    ]
}

fn write_off_kind() -> impl Strategy<Value = c::WriteOffKind> {
    select(vec![c::WriteOffKind::Conditional, c::WriteOffKind::Absolute])
}

fn undoes() -> BoxedStrategy<Undoes> {
    prop_oneof![
        (id(), amount()).prop_map(|(fund, amount)| Undoes::Allocation { fund, amount }),
        (id(), position(), amount()).prop_map(|(fund, allocation, amount)| {
            Undoes::AllocationWithdrawal { fund, allocation, amount }
        }),
        (paid(), amount()).prop_map(|(paid, amount)| Undoes::Disbursement { paid, amount }),
        (position(), paid(), amount(), date()).prop_map(
            |(disbursement, paid, amount, disbursed_on)| {
                Undoes::Return { disbursement, paid, amount, disbursed_on }
            }
        ),
        (id(), money(), money(), money(), any::<bool>()).prop_map(
            |(loan, principal, interest, late_fee, relend_income)| {
                Undoes::Repayment { loan, principal, interest, late_fee, relend_income }
            }
        ),
        (id(), write_off_kind(), amount(), money()).prop_map(|(loan, kind, amount, principal)| {
            Undoes::WriteOff { loan, kind, amount, principal }
        }),
        (id(), amount()).prop_map(|(loan, amount)| Undoes::Recovery { loan, amount }),
    ]
    .boxed()
}

/// The public key of a log's key with this seed.
pub(crate) fn verifier_key(origin: &str, seed: [u8; 32]) -> VerifierKey {
    let key = SignerKey::from_seed(KeyName::new(origin).unwrap(), &seed).unwrap();
    Text::new(&key.verifier().to_string()).unwrap()
}

fn open_ledger() -> BoxedStrategy<c::OpenLedger> {
    let origin = "[a-z][a-z0-9.-]{0,20}(/[a-z0-9-]{1,9})?";
    let region = select(vec!["", "36", "36.03", "36.03.01"]);
    let seed = option::of(any::<[u8; 32]>());
    (id(), origin, seed, region, -840..=840_i32, any::<u32>())
        .prop_map(|(ledger, origin, seed, region, minutes, version)| c::OpenLedger {
            ledger,
            origin: Origin::new(&origin).unwrap(),
            verifier_key: seed.map(|seed| verifier_key(&origin, seed)),
            region: region.parse().unwrap(),
            currency: Currency::Idr,
            utc_offset: UtcOffset::from_minutes(minutes).unwrap(),
            rules_version: version.max(1),
        })
        .boxed()
}

fn setting_up() -> BoxedStrategy<Command> {
    let adopt = (1..=u32::MAX).prop_map(|version| c::AdoptRules { version });
    let rotate = any::<[u8; 32]>()
        .prop_map(|seed| c::RotateKey { verifier_key: verifier_key("a.id/kab", seed) });
    let open = (id(), text(), date(), terms()).prop_map(|(fund, name, opening_date, terms)| {
        c::OpenFund { fund, name, opening_date, terms }
    });
    let change =
        (id(), date(), terms(), text()).prop_map(|(fund, effective_from, terms, reference)| {
            c::ChangeTerms { fund, effective_from, terms, reference }
        });
    let source = select(vec![
        c::AllocationSource::Apbn,
        c::AllocationSource::Apbd,
        c::AllocationSource::Csr,
        c::AllocationSource::Other,
    ]);
    let allocate = (id(), amount(), source, text(), bank_reference(), date()).prop_map(
        |(fund, amount, source, reference, bank_reference, value_date)| c::AllocateFund {
            fund,
            amount,
            source,
            reference,
            bank_reference,
            value_date,
        },
    );
    let propose = (id(), position(), amount(), text(), option::of(timestamp())).prop_map(
        |(fund, allocation, amount, reason, expires_at)| c::ProposeAllocationWithdrawal {
            fund,
            allocation,
            amount,
            reason,
            expires_at,
        },
    );
    let approve = (position(), bank_reference(), date()).prop_map(
        |(proposal, bank_reference, value_date)| c::ApproveAllocationWithdrawal {
            proposal,
            bank_reference,
            value_date,
        },
    );
    let propose_close = (id(), date(), text(), option::of(timestamp())).prop_map(
        |(fund, through, reference, expires_at)| c::ProposePeriodClose {
            fund,
            through,
            reference,
            expires_at,
        },
    );
    let approve_close = position().prop_map(|proposal| c::ApprovePeriodClose { proposal });
    prop_oneof![
        open_ledger().prop_map(Command::OpenLedger).boxed(),
        adopt.prop_map(Command::AdoptRules).boxed(),
        rotate.prop_map(Command::RotateKey).boxed(),
        open.prop_map(Command::OpenFund).boxed(),
        change.prop_map(Command::ChangeTerms).boxed(),
        allocate.prop_map(Command::AllocateFund).boxed(),
        propose.prop_map(Command::ProposeAllocationWithdrawal).boxed(),
        approve.prop_map(Command::ApproveAllocationWithdrawal).boxed(),
        propose_close.prop_map(Command::ProposePeriodClose).boxed(),
        approve_close.prop_map(Command::ApprovePeriodClose).boxed(),
    ]
    .boxed()
}

fn getting_ready() -> BoxedStrategy<Command> {
    let village = (0..100_u32, 0..100_u32, 0..100_u32, 1000..4000_u32)
        .prop_map(|(a, b, c, d)| format!("{a:02}.{b:02}.{c:02}.{d}").parse().unwrap());
    let kind = select(vec![CooperativeKind::Kdmp, CooperativeKind::Kkmp]);
    let register = (id(), village, kind, text(), option::of(text())).prop_map(
        |(cooperative, village, kind, name, cooperative_number)| c::RegisterCooperative {
            cooperative,
            village,
            kind,
            name,
            cooperative_number,
        },
    );
    let office = select(vec![Office::Chair, Office::Treasurer]);
    let appoint = (id(), office, officer(), option::of(evidence())).prop_map(
        |(cooperative, office, officer, evidence)| c::AppointOfficer {
            cooperative,
            office,
            officer,
            evidence,
        },
    );
    let item = select(ReadinessItem::ALL.to_vec());
    let confirm = (id(), item, option::of(text()), evidence()).prop_map(
        |(cooperative, item, number, evidence)| c::ConfirmReadiness {
            cooperative,
            item,
            number,
            evidence,
        },
    );
    let open = (id(), id(), id(), text(), text(), text()).prop_map(
        |(fund, account, cooperative, bank, number, holder)| c::OpenAccount {
            fund,
            account,
            cooperative,
            bank_account: c::BankAccount { bank, number },
            holder,
        },
    );
    let ids = (id(), id(), text(), text(), text());
    let propose = (ids, text(), evidence(), option::of(timestamp())).prop_map(
        |((fund, account, bank, number, holder), reason, evidence, expires_at)| {
            c::ProposeBankAccountChange {
                fund,
                account,
                bank_account: c::BankAccount { bank, number },
                holder,
                reason,
                evidence,
                expires_at,
            }
        },
    );
    let approve = position().prop_map(|proposal| c::ApproveBankAccountChange { proposal });
    let status =
        (id(), id(), text(), 0..3).prop_map(|(fund, account, reason, which)| match which {
            0 => Command::SuspendAccount(c::SuspendAccount { fund, account, reason }),
            1 => Command::ResumeAccount(c::ResumeAccount { fund, account, reason }),
            _ => Command::CloseAccount(c::CloseAccount { fund, account, reason }),
        });
    prop_oneof![
        register.prop_map(Command::RegisterCooperative).boxed(),
        appoint.prop_map(Command::AppointOfficer).boxed(),
        confirm.prop_map(Command::ConfirmReadiness).boxed(),
        open.prop_map(Command::OpenAccount).boxed(),
        propose.prop_map(Command::ProposeBankAccountChange).boxed(),
        approve.prop_map(Command::ApproveBankAccountChange).boxed(),
        status.boxed(),
    ]
    .boxed()
}

fn lending() -> BoxedStrategy<Command> {
    let propose =
        (id(), id(), id(), amount(), text(), officer(), officer(), option::of(timestamp()))
            .prop_map(
                |(
                    fund,
                    account,
                    loan,
                    principal,
                    contract_reference,
                    chair,
                    treasurer,
                    expires_at,
                )| {
                    c::ProposeLoan {
                        fund,
                        account,
                        loan,
                        principal,
                        contract_reference,
                        chair,
                        treasurer,
                        expires_at,
                    }
                },
            );
    let decide = (id(), text(), 0..3).prop_map(|(loan, reason, which)| match which {
        0 => Command::ApproveLoan(c::ApproveLoan { loan }),
        1 => Command::RefuseLoan(c::RefuseLoan { loan, reason }),
        _ => Command::WithdrawLoan(c::WithdrawLoan { loan, reason }),
    });
    let disburse = (id(), amount(), bank_reference(), date()).prop_map(
        |(loan, amount, bank_reference, value_date)| c::Disburse {
            loan,
            amount,
            bank_reference,
            value_date,
        },
    );
    let grant = (id(), id(), amount(), text(), bank_reference(), date()).prop_map(
        |(fund, account, amount, reference, bank_reference, value_date)| c::DisburseGrant {
            fund,
            account,
            amount,
            reference,
            bank_reference,
            value_date,
        },
    );
    let payee = prop_oneof![
        id().prop_map(c::Payee::Loan),
        (id(), id(), text()).prop_map(|(fund, account, reference)| {
            c::Payee::Grant { fund, account, reference }
        }),
    ];
    let propose_payment =
        (payee, amount(), option::of(timestamp())).prop_map(|(payee, amount, expires_at)| {
            c::ProposeDisbursement { payee, amount, expires_at }
        });
    let approve_payment = (position(), bank_reference(), date()).prop_map(
        |(proposal, bank_reference, value_date)| c::ApproveDisbursement {
            proposal,
            bank_reference,
            value_date,
        },
    );
    let part = || option::of(money());
    let repay = (id(), amount(), part(), part(), part(), bank_reference(), date()).prop_map(
        |(loan, amount, principal, interest, late_fee, bank_reference, value_date)| c::Repay {
            loan,
            amount,
            principal,
            interest,
            late_fee,
            bank_reference,
            value_date,
        },
    );
    prop_oneof![
        propose.prop_map(Command::ProposeLoan).boxed(),
        decide.boxed(),
        disburse.prop_map(Command::Disburse).boxed(),
        grant.prop_map(Command::DisburseGrant).boxed(),
        propose_payment.prop_map(Command::ProposeDisbursement).boxed(),
        approve_payment.prop_map(Command::ApproveDisbursement).boxed(),
        repay.prop_map(Command::Repay).boxed(),
    ]
    .boxed()
}

fn giving_up() -> BoxedStrategy<Command> {
    let propose = (id(), amount(), write_off_kind(), text(), evidence(), option::of(timestamp()))
        .prop_map(|(loan, amount, kind, reason, evidence, expires_at)| c::ProposeWriteOff {
            loan,
            amount,
            kind,
            reason,
            evidence,
            expires_at,
        });
    let approve = (position(), date())
        .prop_map(|(proposal, value_date)| c::ApproveWriteOff { proposal, value_date });
    let recover = (id(), amount(), bank_reference(), date()).prop_map(
        |(loan, amount, bank_reference, value_date)| c::RecordRecovery {
            loan,
            amount,
            bank_reference,
            value_date,
        },
    );
    let papers = (text(), text(), evidence(), option::of(timestamp()));
    let restructure = (id(), date(), loan_terms(), papers).prop_map(
        |(loan, effective_from, terms, (addendum_reference, reason, evidence, expires_at))| {
            c::ProposeRestructuring {
                loan,
                effective_from,
                terms,
                addendum_reference,
                reason,
                evidence,
                expires_at,
            }
        },
    );
    let approve_terms = position().prop_map(|proposal| c::ApproveRestructuring { proposal });
    prop_oneof![
        propose.prop_map(Command::ProposeWriteOff).boxed(),
        approve.prop_map(Command::ApproveWriteOff).boxed(),
        recover.prop_map(Command::RecordRecovery).boxed(),
        restructure.prop_map(Command::ProposeRestructuring).boxed(),
        approve_terms.prop_map(Command::ApproveRestructuring).boxed(),
    ]
    .boxed()
}

fn correcting() -> BoxedStrategy<Command> {
    let returned = (position(), bank_reference(), date()).prop_map(
        |(disbursement, bank_reference, value_date)| c::ReturnDisbursement {
            disbursement,
            bank_reference,
            value_date,
        },
    );
    let propose = (position(), text(), option::of(evidence()), option::of(timestamp())).prop_map(
        |(reverses, reason, evidence, expires_at)| c::ProposeReversal {
            reverses,
            reason,
            evidence,
            expires_at,
        },
    );
    let decide = (position(), text(), 0..3).prop_map(|(proposal, reason, which)| match which {
        0 => Command::ApproveReversal(c::ApproveReversal { proposal }),
        1 => Command::RefuseProposal(c::RefuseProposal { proposal, reason }),
        _ => Command::WithdrawProposal(c::WithdrawProposal { proposal, reason }),
    });
    prop_oneof![
        returned.prop_map(Command::ReturnDisbursement).boxed(),
        propose.prop_map(Command::ProposeReversal).boxed(),
        decide.boxed(),
    ]
    .boxed()
}

fn seal() -> BoxedStrategy<Command> {
    (position(), any::<[u8; 32]>(), any::<[u8; 32]>())
        .prop_map(|(through, balance_root, state_digest)| {
            Command::Seal(c::Seal { through, balance_root, state_digest })
        })
        .boxed()
}

fn continuing() -> BoxedStrategy<Command> {
    let known = option::of(("[ -~\n]{1,300}", any::<bool>()));
    (id(), any::<[u8; 32]>(), known)
        .prop_map(|(ledger, seed, known)| {
            let known = known.map(|(note, forked)| {
                let checkpoint = SignedNote::new(&note).unwrap();
                c::LastKnown { checkpoint, forked }
            });
            Command::ContinueLedger(c::ContinueLedger {
                ledger,
                origin: Origin::new("a.id/kab-2").unwrap(),
                verifier_key: verifier_key("a.id/kab-2", seed),
                from_origin: Origin::new("a.id/kab").unwrap(),
                last_known: known,
            })
        })
        .boxed()
}

/// Every command that a caller may send.
pub(crate) fn command() -> BoxedStrategy<Command> {
    prop_oneof![
        10 => setting_up(),
        9 => getting_ready(),
        9 => lending(),
        5 => giving_up(),
        5 => correcting(),
    ]
    .boxed()
}

/// Every event.
pub(crate) fn event() -> BoxedStrategy<Event> {
    let commands = prop_oneof![38 => command(), 1 => seal(), 1 => continuing()];
    (commands, timestamp(), loan_terms(), paid(), amount(), undoes(), any::<bool>())
        .prop_map(|(command, expires_at, terms, paid, amount, undoes, flag)| match command {
            Command::OpenLedger(c) => Event::LedgerOpened(Box::new(c)),
            Command::AdoptRules(c) => Event::RulesAdopted(c),
            Command::RotateKey(c) => Event::KeyRotated(c),
            Command::ContinueLedger(c) => Event::LedgerContinued(Box::new(c)),
            Command::OpenFund(c) => Event::FundOpened(Box::new(c)),
            Command::ChangeTerms(c) => Event::TermsChanged(Box::new(c)),
            Command::AllocateFund(c) => Event::FundAllocated(c),
            Command::ProposeAllocationWithdrawal(command) => {
                Event::AllocationWithdrawalProposed(Box::new(Proposed { command, expires_at }))
            }
            Command::ApproveAllocationWithdrawal(c) => Event::AllocationWithdrawn(c),
            Command::ProposePeriodClose(command) => {
                Event::PeriodCloseProposed(Box::new(Proposed { command, expires_at }))
            }
            Command::ApprovePeriodClose(command) => Event::PeriodClosed(PeriodClosed {
                command,
                fund: Id::new("dana").unwrap(),
                through: a_disbursement().value_date,
            }),
            Command::RegisterCooperative(c) => Event::CooperativeRegistered(c),
            Command::AppointOfficer(c) => Event::OfficerAppointed(c),
            Command::ConfirmReadiness(c) => Event::ReadinessConfirmed(c),
            Command::OpenAccount(c) => Event::AccountOpened(c),
            Command::SuspendAccount(c) => Event::AccountSuspended(c),
            Command::ResumeAccount(c) => Event::AccountResumed(c),
            Command::CloseAccount(c) => Event::AccountClosed(c),
            Command::ProposeBankAccountChange(command) => {
                Event::BankAccountChangeProposed(Box::new(Proposed { command, expires_at }))
            }
            Command::ApproveBankAccountChange(command) => {
                Event::BankAccountChanged(Box::new(BankAccountChanged {
                    command,
                    fund: Id::new("dana").unwrap(),
                    account: Id::new("a1").unwrap(),
                    bank_account: c::BankAccount {
                        bank: Text::new("BJB").unwrap(),
                        number: Text::new("001").unwrap(),
                    },
                }))
            }
            Command::ProposeLoan(command) => {
                Event::LoanProposed(Box::new(Proposed { command, expires_at }))
            }
            Command::ApproveLoan(command) => Event::LoanApproved(LoanApproved { command, terms }),
            Command::RefuseLoan(c) => Event::LoanRefused(c),
            Command::WithdrawLoan(c) => Event::LoanWithdrawn(c),
            Command::Disburse(c) => Event::Disbursed(c),
            Command::DisburseGrant(c) => Event::GrantDisbursed(c),
            Command::ProposeDisbursement(command) => {
                Event::DisbursementProposed(Box::new(Proposed { command, expires_at }))
            }
            Command::ApproveDisbursement(command) => {
                Event::DisbursementApproved(DisbursementApproved { command, paid, amount })
            }
            Command::ReturnDisbursement(command) => {
                Event::DisbursementReturned(DisbursementReturned { command, paid, amount })
            }
            Command::Repay(command) => Event::Repaid(Repaid { command, relend_income: flag }),
            Command::ProposeWriteOff(command) => {
                Event::WriteOffProposed(Box::new(Proposed { command, expires_at }))
            }
            Command::ApproveWriteOff(command) => Event::WrittenOff(WrittenOff {
                command,
                loan: Id::new("l1").unwrap(),
                kind: if flag { c::WriteOffKind::Absolute } else { c::WriteOffKind::Conditional },
                amount,
                principal: Money::from_minor(amount.minor() - i64::from(flag)).unwrap(),
            }),
            Command::RecordRecovery(c) => Event::Recovered(c),
            Command::ProposeRestructuring(command) => {
                Event::RestructuringProposed(Box::new(Proposed { command, expires_at }))
            }
            Command::ApproveRestructuring(command) => Event::Restructured(Restructured {
                command,
                loan: Id::new("l1").unwrap(),
                effective_from: a_disbursement().value_date,
                terms,
            }),
            Command::ProposeReversal(command) => {
                Event::ReversalProposed(Box::new(ReversalProposed { command, expires_at, undoes }))
            }
            Command::ApproveReversal(c) => Event::Reversed(c),
            Command::RefuseProposal(c) => Event::ProposalRefused(c),
            Command::WithdrawProposal(c) => Event::ProposalWithdrawn(c),
            Command::Seal(c) => Event::Sealed(c),
        })
        .boxed()
}

/// A tranche as the pilot pays it out.
pub(crate) fn a_disbursement() -> c::Disburse {
    c::Disburse {
        loan: Id::new("l-36.03.01.2003-1").unwrap(),
        amount: Amount::from_minor(10_000_000_000).unwrap(),
        bank_reference: c::BankReference {
            bank: Text::new("BJB").unwrap(),
            reference: Text::new("FT26061700012345").unwrap(),
            line: Some(274),
        },
        value_date: Date::from_julian_day(2_461_209).unwrap(),
    }
}

/// An instalment as the pilot's borrowers pay it.
pub(crate) fn a_repayment() -> c::Repay {
    let part = |minor| Some(Money::from_minor(minor).unwrap());
    c::Repay {
        loan: Id::new("l-36.03.01.2003-1").unwrap(),
        amount: Amount::from_minor(348_484_800).unwrap(),
        principal: part(303_030_300),
        interest: part(45_454_500),
        late_fee: part(0),
        bank_reference: a_disbursement().bank_reference,
        value_date: a_disbursement().value_date,
    }
}

/// Every command of the two kinds that nearly all are of.
pub(crate) fn frequent_command() -> impl Strategy<Value = Command> {
    let is_frequent = |command: &Command| command.paid_loan().is_some();
    lending().prop_filter("frequent", is_frequent)
}

/// A fund after a payment of each kind.
pub(crate) fn fund_balances() -> impl Strategy<Value = FundBalances> {
    let pairs = [
        (Book::Cash, Book::Capital),
        (Book::PrincipalReceivable, Book::Cash),
        (Book::Cash, Book::InterestIncome),
        (Book::Cash, Book::LateFeeIncome),
        (Book::GrantExpense, Book::Cash),
        (Book::Cash, Book::Suspense),
        (Book::WriteOffLoss, Book::PrincipalReceivable),
        (Book::Cash, Book::RecoveryIncome),
    ];
    (any::<[u32; 8]>(), any::<[i32; 3]>()).prop_map(move |(amounts, numbers)| {
        let post = |books: Books, ((debit, credit), amount): ((Book, Book), u32)| {
            books.with(&JournalEntry::of(debit, credit, amount.into())).expect("small amounts")
        };
        let [income_apart, committed, reserved] = numbers.map(i64::from);
        let books = pairs.into_iter().zip(amounts).fold(Books::default(), post);
        FundBalances { books, income_apart, committed, reserved }
    })
}
