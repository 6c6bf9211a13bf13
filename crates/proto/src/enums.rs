//! Enumerations of the wire and of the domain, each the other's mirror.

use bergulir_domain::command::{AllocationSource, WriteOffKind};
use bergulir_domain::cooperative::{CooperativeKind, Office, ReadinessItem};
use bergulir_domain::postings::Book;
use bergulir_domain::rejection::{AccountStatus, LoanStatus};
use bergulir_domain::terms::{InterestMethod, PaymentPart, Purpose};

use crate::pb;

/// An enumeration of the domain that has a mirror on the wire.
pub trait WireEnum: Copy {
    /// The number on the wire; never zero.
    fn to_wire(self) -> i32;
    /// The name on the wire, such as `LOAN_STATE_PENDING`.
    fn wire_name(self) -> &'static str;
    /// What a number on the wire means; `None` for zero (unspecified) and for unknown numbers.
    fn from_wire(number: i32) -> Option<Self>;
}

macro_rules! mirror {
    ($domain:ty, $wire:ty: $($ours:ident = $theirs:ident),+ $(,)?) => {
        impl WireEnum for $domain {
            fn to_wire(self) -> i32 {
                match self {
                    $(Self::$ours => <$wire>::$theirs as i32,)+
                }
            }
            fn wire_name(self) -> &'static str {
                match self {
                    $(Self::$ours => <$wire>::$theirs.as_str_name(),)+
                }
            }
            fn from_wire(number: i32) -> Option<Self> {
                match <$wire>::try_from(number).ok()? {
                    <$wire>::Unspecified => None,
                    $(<$wire>::$theirs => Some(Self::$ours),)+
                }
            }
        }
    };
}

mirror!(AllocationSource, pb::AllocationSource:
    Apbn = Apbn, Apbd = Apbd, Csr = Csr, Other = Other);
mirror!(CooperativeKind, pb::CooperativeKind: Kdmp = Kdmp, Kkmp = Kkmp);
mirror!(Office, pb::Office: Chair = Chair, Treasurer = Treasurer);
mirror!(ReadinessItem, pb::ReadinessItem:
    LegalEntity = LegalEntity,
    CooperativeNumber = CooperativeNumber,
    BusinessNumber = BusinessNumber,
    TaxNumber = TaxNumber,
    BankAccount = BankAccount,
    BusinessPlan = BusinessPlan,
    OfficersTrained = OfficersTrained,
);
mirror!(InterestMethod, pb::InterestMethod: None = None, Flat = Flat, Declining = Declining);
mirror!(PaymentPart, pb::PaymentPart:
    LateFee = LateFee, Interest = Interest, Principal = Principal);
mirror!(AccountStatus, pb::AccountState: Open = Open, Suspended = Suspended, Closed = Closed);
mirror!(LoanStatus, pb::LoanState:
    Pending = Pending,
    Refused = Refused,
    Withdrawn = Withdrawn,
    Expired = Expired,
    Approved = Approved,
    Disbursed = Disbursed,
    Settled = Settled,
    WrittenOff = WrittenOff,
);
mirror!(WriteOffKind, pb::WriteOffKind: Conditional = Conditional, Absolute = Absolute);
mirror!(Book, pb::Book:
    Cash = Cash,
    Capital = Capital,
    PrincipalReceivable = PrincipalReceivable,
    InterestIncome = InterestIncome,
    LateFeeIncome = LateFeeIncome,
    Suspense = Suspense,
    WriteOffLoss = WriteOffLoss,
    RecoveryIncome = RecoveryIncome,
    GrantExpense = GrantExpense,
);
mirror!(bergulir_chain::Authentication, pb::Authentication:
    Stated = Stated, System = System, MutualTls = MutualTls, Jwt = Jwt);

/// Whether a fund of that purpose lends or gives.
pub const fn fund_kind(purpose: &Purpose) -> pb::FundKind {
    match purpose {
        Purpose::Loan(_) => pb::FundKind::Loan,
        Purpose::Grant => pb::FundKind::Grant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enumeration_has_no_meaning_for_zero_and_for_unknown_numbers() {
        assert_eq!(ReadinessItem::from_wire(0), None);
        assert_eq!(ReadinessItem::from_wire(8), None);
        assert_eq!(ReadinessItem::from_wire(-1), None);
        for item in ReadinessItem::ALL {
            assert_eq!(ReadinessItem::from_wire(item.to_wire()), Some(item));
        }
    }
}
