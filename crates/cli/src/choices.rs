//! The words that may be typed where the wire has an enumeration.

use bergulir_proto::pb;
use clap::ValueEnum;

macro_rules! choices {
    ($(
        $(#[$about:meta])*
        $name:ident = $wire:ty { $( $(#[$what:meta])* $choice:ident ),+ $(,)? }
    )+) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
        pub(crate) enum $name {
            $( $(#[$what])* $choice, )+
        }
        impl $name {
            /// The number on the wire.
            pub(crate) const fn wire(self) -> i32 {
                match self {
                    $( $name::$choice => <$wire>::$choice as i32, )+
                }
            }
        }
    )+};
}

choices! {
    /// What a fund gives.
    FundKind = pb::FundKind {
        /// Dana bergulir: it lends, and what comes back is lent again
        Loan,
        /// Hibah: it gives
        Grant,
    }
    /// How interest is counted.
    Method = pb::InterestMethod {
        /// No interest
        None,
        /// On the original principal
        Flat,
        /// On the principal still outstanding
        Declining,
    }
    /// Whether the claim stays when principal is written off.
    WriteOffKind = pb::WriteOffKind {
        /// Bersyarat: off the books, and the claim stays
        Conditional,
        /// Mutlak: the claim ends, too
        Absolute,
    }
    /// A part of a payment.
    Part = pb::PaymentPart {
        /// Denda
        LateFee,
        /// Jasa
        Interest,
        /// Pokok
        Principal,
    }
    /// A readiness item.
    Readiness = pb::ReadinessItem {
        /// Badan hukum (AHU); has a number
        LegalEntity,
        /// Nomor Induk Koperasi; has a number
        CooperativeNumber,
        /// NIB; 13 digits
        BusinessNumber,
        /// NPWP; 15 or 16 digits
        TaxNumber,
        /// Bank account in the cooperative's own name
        BankAccount,
        /// Business plan
        BusinessPlan,
        /// Officers trained
        OfficersTrained,
    }
    /// Where allocated money comes from.
    Source = pb::AllocationSource {
        /// The national budget
        Apbn,
        /// The regional budget
        Apbd,
        /// Corporate social responsibility
        Csr,
        /// Any other; the reference says which
        Other,
    }
    /// The kinds of cooperatives.
    CooperativeKind = pb::CooperativeKind {
        /// Koperasi Desa Merah Putih
        Kdmp,
        /// Koperasi Kelurahan Merah Putih
        Kkmp,
    }
    /// An office of a cooperative.
    Office = pb::Office {
        /// Ketua
        Chair,
        /// Bendahara
        Treasurer,
    }
    /// States of accounts.
    AccountState = pb::AccountState {
        /// It may borrow
        Open,
        /// It may only repay
        Suspended,
        /// Closed for good
        Closed,
    }
    /// States of loans.
    LoanState = pb::LoanState {
        /// Waits for a second person
        Pending,
        /// Refused by a second person
        Refused,
        /// Taken back by its maker
        Withdrawn,
        /// Nobody decided in time
        Expired,
        /// Approved, and not all disbursed
        Approved,
        /// All disbursed, and not all repaid
        Disbursed,
        /// All repaid
        Settled,
        /// Nothing outstanding, because something was written off
        WrittenOff,
    }
    /// What becomes of the other commands of a batch when one is refused.
    BatchMode = pb::BatchMode {
        /// All or nothing
        Atomic,
        /// Each by itself
        Independent,
    }
}
