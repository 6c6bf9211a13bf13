//! Commands of every kind.

use super::{
    amount, bank_reference, date, evidence, id, loan_terms, money, officer, position, terms, text,
    timestamp, verifier_key, write_off_kind,
};
use bergulir_domain::command::{self as c, Command};
use bergulir_domain::cooperative::{CooperativeKind, Office, ReadinessItem};
use bergulir_domain::ledger::Origin;
use bergulir_domain::moment::UtcOffset;
use bergulir_domain::money::Currency;
use bergulir_domain::text::SignedNote;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

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

pub(super) fn seal() -> BoxedStrategy<Command> {
    (position(), any::<[u8; 32]>(), any::<[u8; 32]>())
        .prop_map(|(through, balance_root, state_digest)| {
            Command::Seal(c::Seal { through, balance_root, state_digest })
        })
        .boxed()
}

pub(super) fn continuing() -> BoxedStrategy<Command> {
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

/// Every command of the two kinds that nearly all are of.
pub(crate) fn frequent_command() -> impl Strategy<Value = Command> {
    let is_frequent = |command: &Command| command.paid_loan().is_some();
    lending().prop_filter("frequent", is_frequent)
}
