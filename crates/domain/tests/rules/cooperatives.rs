//! Cooperatives and their accounts: one a village, ready, two officers who are two people.

use crate::commands::{
    appoint, close, confirm, disburse, id, open_account, open_fund, propose_loan, propose_reversal,
    register, repay, resume, rp, suspend, terms, text,
};
use crate::given::{Ledger, given, on};
use crate::is;
use crate::programme::{pilot, programme};
use bergulir_domain::command::{self as c, BankAccount};
use bergulir_domain::cooperative::{CooperativeKind, Office, ReadinessItem, ReadinessSet};
use bergulir_domain::rejection::{AccountStatus, Resource};
use bergulir_domain::terms::Terms;

fn region() -> Ledger {
    programme(terms(), 0)
}

fn of_village(cooperative: &str, village: &str, kind: CooperativeKind) -> c::RegisterCooperative {
    c::RegisterCooperative { village: id(village), kind, ..register(cooperative) }
}

#[test]
fn rule_02_the_holder_of_the_bank_account_is_the_registered_name() {
    let held_by = |holder: &str| c::OpenAccount { holder: text(holder), ..open_account("a1") };
    given(region().with_cooperative(1))
        .when(held_by("Koperasi Desa Merah Putih 2"))
        .then_refused(is!(HolderNameMismatch { .. }))
        .when(held_by("koperasi desa merah putih 1"))
        .then_refused(is!(HolderNameMismatch { .. }))
        .when(held_by("Koperasi Desa Merah Putih 1"))
        .then_ok();
}

#[test]
fn rule_19_chair_and_treasurer_are_two_people() {
    given(region())
        .when(register("c1"))
        .then_ok()
        .when(appoint("c1", Office::Chair, "u1"))
        .then_ok()
        .when(appoint("c1", Office::Treasurer, "u1"))
        .then_refused(is!(SameOfficer { .. }))
        .when(appoint("c1", Office::Treasurer, "u2"))
        .then_ok()
        .when(appoint("c1", Office::Chair, "u2"))
        .then_refused(is!(SameOfficer { .. }))
        .when(appoint("c1", Office::Treasurer, "u3"))
        .then_ok()
        .when(appoint("c1", Office::Chair, "u2"))
        .then_ok();
}

#[test]
fn rule_20_a_loan_is_signed_by_the_officers_in_office() {
    let signed_by = |chair: &str, treasurer: &str| c::ProposeLoan {
        chair: id(chair),
        treasurer: id(treasurer),
        ..propose_loan("l1", rp(1))
    };
    given(pilot())
        .when(signed_by("chair-2", "treasurer-1"))
        .then_refused(is!(NotInOffice { office: Office::Chair, .. }))
        .when(signed_by("chair-1", "treasurer-2"))
        .then_refused(is!(NotInOffice { office: Office::Treasurer, .. }))
        .when(signed_by("treasurer-1", "chair-1"))
        .then_refused(is!(NotInOffice { .. }))
        .when(signed_by("chair-1", "treasurer-1"))
        .then_ok();
}

#[test]
fn rule_20_a_cooperative_without_officers_signs_nothing() {
    let unready = Terms { required_readiness: ReadinessSet::EMPTY, ..terms() };
    given(programme(unready, 0))
        .when(register("c1"))
        .then_ok()
        .when(open_account("a1"))
        .then_ok()
        .when(propose_loan("l1", rp(1)))
        .then_refused(is!(NotInOffice { .. }));
}

#[test]
fn rule_20_what_a_former_officer_signed_stands_and_he_signs_no_more() {
    given(pilot())
        .when(propose_loan("l1", rp(100_000_000)))
        .then_ok()
        .when(appoint("c1", Office::Chair, "chair-new"))
        .then_ok()
        .by("checker")
        .when(crate::commands::approve_loan("l1"))
        .then_ok()
        .when(disburse("l1", rp(100_000_000)))
        .then_ok()
        .see(|ledger| assert_eq!(ledger.loan("l1").chair.as_str(), "chair-1"))
        .when(propose_loan("l1b", rp(1)))
        .then_refused(is!(NotInOffice { office: Office::Chair, .. }))
        .when(c::ProposeLoan { chair: id("chair-new"), ..propose_loan("l1b", rp(1)) })
        .then_ok();
}

#[test]
fn rule_25_the_code_of_the_village_tells_the_kind_of_cooperative() {
    use CooperativeKind::{Kdmp, Kkmp};
    let refused = |village, kind| {
        given(region())
            .when(of_village("c1", village, kind))
            .then_refused(is!(VillageKindMismatch { .. }));
    };
    let accepted = |village, kind| given(region()).when(of_village("c1", village, kind)).then_ok();
    refused("36.03.01.2003", Kkmp);
    accepted("36.03.01.2003", Kdmp);
    refused("36.03.01.1003", Kdmp);
    accepted("36.03.01.1003", Kkmp);
    refused("36.03.01.3003", Kkmp);
    accepted("36.03.01.3003", Kdmp);
}

#[test]
fn rule_25_a_village_outside_the_region_is_refused() {
    given(region())
        .when(of_village("c1", "36.04.01.2003", CooperativeKind::Kdmp))
        .then_refused(is!(VillageOutsideRegion { .. }));
}

#[test]
fn rule_25_one_cooperative_per_village() {
    given(region())
        .when(of_village("c1", "36.03.01.2003", CooperativeKind::Kdmp))
        .then_ok()
        .when(of_village("c2", "36.03.01.2003", CooperativeKind::Kdmp))
        .then_refused(is!(VillageTaken { .. }))
        .when(of_village("c1", "36.03.01.2004", CooperativeKind::Kdmp))
        .then_refused(is!(AlreadyExists(Resource::Cooperative(_))))
        .when(of_village("c2", "36.03.01.2004", CooperativeKind::Kdmp))
        .then_ok();
}

#[test]
fn rule_25_one_account_per_cooperative_and_fund() {
    let second = c::OpenAccount {
        account: id("a9"),
        bank_account: BankAccount { bank: text("BPD"), number: text("0099") },
        ..open_account("a1")
    };
    given(pilot())
        .when(second.clone())
        .then_refused(is!(CooperativeHasAccount { .. }))
        .when(c::OpenAccount { account: id("a1"), ..open_account("a2") })
        .then_refused(is!(AlreadyExists(Resource::Account(..))))
        .when(close("a1"))
        .then_ok()
        .when(open_account("a1"))
        .then_refused(is!(AlreadyExists(Resource::Account(..))))
        .when(second)
        .then_ok();
}

#[test]
fn rule_25_a_bank_account_is_never_shared_between_cooperatives() {
    let of_the_first =
        c::OpenAccount { bank_account: open_account("a1").bank_account, ..open_account("a2") };
    given(region().with_cooperative(1).with_cooperative(2))
        .when(open_account("a1"))
        .then_ok()
        .when(of_the_first.clone())
        .then_refused(is!(BankAccountTaken { .. }))
        .when(open_fund("other", terms()))
        .then_ok()
        .when(c::OpenAccount { fund: id("other"), ..of_the_first.clone() })
        .then_refused(is!(BankAccountTaken { .. }))
        .when(c::OpenAccount { fund: id("other"), ..open_account("a1") })
        .then_ok()
        .when(close("a1"))
        .then_ok()
        .when(of_the_first)
        .then_refused(is!(BankAccountTaken { .. }));
}

#[test]
fn rule_25_a_bank_account_number_keeps_its_leading_zeros() {
    let numbered = |account: &str, number: &str| c::OpenAccount {
        bank_account: BankAccount { bank: text("BPD"), number: text(number) },
        ..open_account(account)
    };
    given(region().with_cooperative(1).with_cooperative(2))
        .when(numbered("a1", "0017"))
        .then_ok()
        .when(numbered("a2", "17"))
        .then_ok();
}

#[test]
fn an_account_opens_when_all_that_the_terms_require_is_confirmed() {
    let everything = Terms { required_readiness: ReadinessSet::FULL, ..terms() };
    let mut ledger = programme(everything, 0).when(register("c1")).then_ok();
    for item in ReadinessItem::ALL {
        ledger = ledger
            .when(open_account("a1"))
            .then_refused(is!(NotReady { .. }))
            .when(confirm("c1", item))
            .then_ok();
    }
    given(ledger).when(open_account("a1")).then_ok();
}

#[test]
fn what_the_terms_do_not_require_is_not_missed() {
    given(region())
        .when(register("c1"))
        .then_ok()
        .when(confirm("c1", ReadinessItem::BusinessNumber))
        .then_ok()
        .when(open_account("a1"))
        .then_refused(is!(NotReady { missing }
            if missing.iter().eq([ReadinessItem::BankAccount])))
        .when(confirm("c1", ReadinessItem::BankAccount))
        .then_ok()
        .when(open_account("a1"))
        .then_ok();
}

#[test]
fn a_readiness_item_has_the_number_of_its_registry() {
    let with = |item, number: Option<&str>| c::ConfirmReadiness {
        number: number.map(text),
        ..confirm("c1", item)
    };
    let registered =
        c::RegisterCooperative { cooperative_number: Some(text("3603010001")), ..register("c1") };
    given(region())
        .when(registered)
        .then_ok()
        .when(with(ReadinessItem::BusinessNumber, None))
        .then_refused(is!(InvalidNumber { .. }))
        .when(with(ReadinessItem::BusinessNumber, Some("012345678901")))
        .then_refused(is!(InvalidNumber { .. }))
        .when(with(ReadinessItem::BusinessNumber, Some("0123456789012")))
        .then_ok()
        .when(with(ReadinessItem::TaxNumber, Some("0123456789012")))
        .then_refused(is!(InvalidNumber { .. }))
        .when(with(ReadinessItem::TaxNumber, Some("0123456789012345")))
        .then_ok()
        .when(with(ReadinessItem::BusinessPlan, Some("1")))
        .then_refused(is!(UnexpectedNumber { .. }))
        .when(with(ReadinessItem::CooperativeNumber, Some("3603010002")))
        .then_refused(is!(CooperativeNumberMismatch))
        .when(with(ReadinessItem::CooperativeNumber, Some("3603010001")))
        .then_ok();
}

#[test]
fn what_a_command_names_must_exist() {
    given(pilot())
        .when(appoint("c9", Office::Chair, "u1"))
        .then_refused(is!(NotFound(Resource::Cooperative(_))))
        .when(confirm("c9", ReadinessItem::BusinessPlan))
        .then_refused(is!(NotFound(Resource::Cooperative(_))))
        .when(open_account("a9"))
        .then_refused(is!(NotFound(Resource::Cooperative(_))))
        .when(suspend("a9"))
        .then_refused(is!(NotFound(Resource::Account(..))))
        .when(resume("a9"))
        .then_refused(is!(NotFound(Resource::Account(..))))
        .when(close("a9"))
        .then_refused(is!(NotFound(Resource::Account(..))))
        .when(c::OpenAccount { fund: id("none"), ..open_account("a1") })
        .then_refused(is!(NotFound(Resource::Fund(_))));
}

#[test]
fn a_suspended_account_borrows_nothing_and_repays() {
    given(pilot().with_disbursed_loan("l1", rp(100_000_000)))
        .when(propose_loan("l1b", rp(10)))
        .then_ok()
        .when(suspend("a1"))
        .then_ok()
        .when(suspend("a1"))
        .then_refused(is!(AccountNotOpen { .. }))
        .when(propose_loan("l1c", rp(10)))
        .then_refused(is!(AccountNotOpen { status: AccountStatus::Suspended, .. }))
        .by("checker")
        .when(crate::commands::approve_loan("l1b"))
        .then_refused(is!(AccountNotOpen { .. }))
        .by("maker")
        .when(repay("l1", [10_000_000, 1, 1]))
        .then_ok()
        .named("repayment")
        .reversed("repayment")
        .when(resume("a1"))
        .then_ok()
        .when(resume("a1"))
        .then_refused(is!(AccountNotSuspended { status: AccountStatus::Open, .. }))
        .by("checker")
        .when(crate::commands::approve_loan("l1b"))
        .then_ok();
}

#[test]
fn an_account_closes_only_at_zero() {
    given(pilot())
        .when(propose_loan("l1", rp(100)))
        .then_ok()
        .when(close("a1"))
        .then_refused(is!(AccountNotEmpty { pending: 10_000, .. }))
        .by("checker")
        .when(crate::commands::approve_loan("l1"))
        .then_ok()
        .when(close("a1"))
        .then_refused(is!(AccountNotEmpty { committed: 10_000, .. }))
        .when(disburse("l1", rp(100)))
        .then_ok()
        .when(close("a1"))
        .then_refused(is!(AccountNotEmpty { outstanding: 10_000, .. }))
        .when(repay("l1", [100, 0, 0]))
        .then_ok()
        .named("repayment")
        .when(close("a1"))
        .then_ok()
        .when(close("a1"))
        .then_refused(is!(AccountNotOpen { status: AccountStatus::Closed, .. }))
        .when(suspend("a1"))
        .then_refused(is!(AccountNotOpen { .. }))
        .when(resume("a1"))
        .then_refused(is!(AccountNotSuspended { .. }))
        .when(propose_loan("l1b", rp(1)))
        .then_refused(is!(AccountNotOpen { .. }))
        .when(repay("l1", [0, 1, 0]))
        .then_refused(is!(AccountNotOpen { .. }))
        .when(on("repayment", propose_reversal))
        .then_refused(is!(AccountNotOpen { .. }));
}

#[test]
fn an_account_does_not_close_under_a_pending_reversal() {
    given(pilot().with_disbursed_loan("l1", rp(100)))
        .when(repay("l1", [100, 0, 0]))
        .then_ok()
        .named("repayment")
        .when(on("repayment", propose_reversal))
        .then_ok()
        .when(close("a1"))
        .then_refused(is!(AccountNotEmpty { pending: 10_000, .. }));
}

#[test]
fn a_suspended_account_may_be_closed() {
    given(pilot()).when(suspend("a1")).then_ok().when(close("a1")).then_ok();
}
