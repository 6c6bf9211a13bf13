//! The words of the office: Indonesian with English beside it.

use bergulir_domain::Date;
use bergulir_domain::moment::UNIX_EPOCH_JULIAN_DAY;
use bergulir_proto::pb;
use bergulir_proto::pb::event::Kind;

/// A book of a fund.
pub(crate) fn book(book: i32) -> &'static str {
    match pb::Book::try_from(book).unwrap_or_default() {
        pb::Book::Unspecified => "? / unknown",
        pb::Book::Cash => "Kas / Cash",
        pb::Book::Capital => "Modal / Capital",
        pb::Book::PrincipalReceivable => "Piutang pokok / Principal receivable",
        pb::Book::InterestIncome => "Pendapatan jasa / Interest income",
        pb::Book::LateFeeIncome => "Pendapatan denda / Late-fee income",
        pb::Book::Suspense => "Titipan / Suspense",
        pb::Book::WriteOffLoss => "Kerugian penghapusan / Write-off loss",
        pb::Book::RecoveryIncome => "Penerimaan kembali / Recovery income",
        pb::Book::GrantExpense => "Beban hibah / Grant expense",
    }
}

/// What happened.
pub(crate) fn event(event: Option<&pb::Event>) -> &'static str {
    let Some(kind) = event.and_then(|event| event.kind.as_ref()) else {
        return "? / unknown";
    };
    match kind {
        Kind::Disbursed(_) => "Pencairan / Disbursed",
        Kind::Repaid(_) => "Angsuran / Repaid",
        Kind::CooperativeRegistered(_) => "Koperasi terdaftar / Cooperative registered",
        Kind::OfficerAppointed(_) => "Pengurus ditetapkan / Officer appointed",
        Kind::ReadinessConfirmed(_) => "Kesiapan dikonfirmasi / Readiness confirmed",
        Kind::AccountOpened(_) => "Rekening dibuka / Account opened",
        Kind::LoanProposed(_) => "Pinjaman diusulkan / Loan proposed",
        Kind::LoanApproved(_) => "Pinjaman disetujui / Loan approved",
        Kind::GrantDisbursed(_) => "Hibah disalurkan / Grant disbursed",
        Kind::DisbursementReturned(_) => "Pencairan dikembalikan bank / Disbursement returned",
        Kind::DisbursementProposed(_) => "Pencairan diusulkan / Disbursement proposed",
        Kind::DisbursementApproved(_) => "Pencairan disetujui / Disbursement approved",
        Kind::WriteOffProposed(_) => "Penghapusan diusulkan / Write-off proposed",
        Kind::WrittenOff(_) => "Dihapuskan / Written off",
        Kind::Recovered(_) => "Penerimaan kembali / Recovered",
        Kind::RestructuringProposed(_) => "Restrukturisasi diusulkan / Restructuring proposed",
        Kind::Restructured(_) => "Direstrukturisasi / Restructured",
        Kind::ReversalProposed(_) => "Pembatalan diusulkan / Reversal proposed",
        Kind::Reversed(_) => "Dibatalkan / Reversed",
        Kind::Sealed(_) => "Segel / Sealed",
        Kind::FundAllocated(_) => "Alokasi / Allocated",
        Kind::LedgerOpened(_) => "Buku besar dibuka / Ledger opened",
        Kind::RulesAdopted(_) => "Aturan diberlakukan / Rules adopted",
        Kind::KeyRotated(_) => "Kunci diganti / Key rotated",
        Kind::LedgerContinued(_) => "Buku besar dilanjutkan / Ledger continued",
        Kind::FundOpened(_) => "Dana dibuka / Fund opened",
        Kind::TermsChanged(_) => "Ketentuan diubah / Terms changed",
        Kind::AllocationWithdrawalProposed(_) => {
            "Penarikan alokasi diusulkan / Withdrawal proposed"
        }
        Kind::AllocationWithdrawn(_) => "Alokasi ditarik / Allocation withdrawn",
        Kind::PeriodCloseProposed(_) => "Tutup buku diusulkan / Period close proposed",
        Kind::PeriodClosed(_) => "Buku ditutup / Period closed",
        Kind::AccountSuspended(_) => "Rekening dibekukan / Account suspended",
        Kind::AccountResumed(_) => "Rekening diaktifkan / Account resumed",
        Kind::AccountClosed(_) => "Rekening ditutup / Account closed",
        Kind::BankAccountChangeProposed(_) => {
            "Ganti rekening bank diusulkan / Bank account change proposed"
        }
        Kind::BankAccountChanged(_) => "Rekening bank diganti / Bank account changed",
        Kind::LoanRefused(_) => "Pinjaman ditolak / Loan refused",
        Kind::LoanWithdrawn(_) => "Pinjaman ditarik / Loan withdrawn",
        Kind::ProposalRefused(_) => "Usulan ditolak / Proposal refused",
        Kind::ProposalWithdrawn(_) => "Usulan ditarik / Proposal withdrawn",
    }
}

/// The day on which the bank booked what happened; `None`: no money moved.
pub(crate) fn value_date(event: Option<&pb::Event>) -> Option<Date> {
    let days = match event?.kind.as_ref()? {
        Kind::Disbursed(event) => event.value_date,
        Kind::Repaid(event) => event.value_date,
        Kind::GrantDisbursed(event) => event.value_date,
        Kind::DisbursementApproved(event) => event.value_date,
        Kind::DisbursementReturned(event) => event.value_date,
        Kind::WrittenOff(event) => event.value_date,
        Kind::Recovered(event) => event.value_date,
        Kind::FundAllocated(event) => event.value_date,
        Kind::AllocationWithdrawn(event) => event.value_date,
        _ => return None,
    };
    let julian = UNIX_EPOCH_JULIAN_DAY.checked_add(days)?;
    Date::from_julian_day(julian).ok()
}

/// What an account is.
pub(crate) fn account_state(state: i32) -> &'static str {
    match pb::AccountState::try_from(state).unwrap_or_default() {
        pb::AccountState::Unspecified => "? / unknown",
        pb::AccountState::Open => "terbuka / open",
        pb::AccountState::Suspended => "dibekukan / suspended",
        pb::AccountState::Closed => "ditutup / closed",
    }
}

/// What a loan is.
pub(crate) fn loan_state(state: i32) -> &'static str {
    match pb::LoanState::try_from(state).unwrap_or_default() {
        pb::LoanState::Unspecified => "? / unknown",
        pb::LoanState::Pending => "menunggu / pending",
        pb::LoanState::Refused => "ditolak / refused",
        pb::LoanState::Withdrawn => "ditarik / withdrawn",
        pb::LoanState::Expired => "kedaluwarsa / expired",
        pb::LoanState::Approved => "disetujui / approved",
        pb::LoanState::Disbursed => "dicairkan / disbursed",
        pb::LoanState::Settled => "lunas / settled",
        pb::LoanState::WrittenOff => "dihapuskan / written off",
    }
}

/// What a fund gives.
pub(crate) fn fund_kind(kind: i32) -> &'static str {
    match pb::FundKind::try_from(kind).unwrap_or_default() {
        pb::FundKind::Unspecified => "? / unknown",
        pb::FundKind::Loan => "pinjaman / loan",
        pb::FundKind::Grant => "hibah / grant",
    }
}

/// How interest is counted.
pub(crate) fn interest_method(method: i32) -> &'static str {
    match pb::InterestMethod::try_from(method).unwrap_or_default() {
        pb::InterestMethod::Unspecified => "? / unknown",
        pb::InterestMethod::None => "tanpa / none",
        pb::InterestMethod::Flat => "tetap / flat",
        pb::InterestMethod::Declining => "menurun / declining",
    }
}

/// Whether the claim stays when principal is written off.
pub(crate) fn write_off_kind(kind: i32) -> &'static str {
    match pb::WriteOffKind::try_from(kind).unwrap_or_default() {
        pb::WriteOffKind::Unspecified => "? / unknown",
        pb::WriteOffKind::Conditional => "bersyarat / conditional",
        pb::WriteOffKind::Absolute => "mutlak / absolute",
    }
}

/// A part of a payment.
pub(crate) fn payment_part(part: i32) -> &'static str {
    match pb::PaymentPart::try_from(part).unwrap_or_default() {
        pb::PaymentPart::Unspecified => "? / unknown",
        pb::PaymentPart::LateFee => "denda / late fee",
        pb::PaymentPart::Interest => "jasa / interest",
        pb::PaymentPart::Principal => "pokok / principal",
    }
}

/// The kind of a cooperative.
pub(crate) fn cooperative_kind(kind: i32) -> &'static str {
    match pb::CooperativeKind::try_from(kind).unwrap_or_default() {
        pb::CooperativeKind::Unspecified => "?",
        pb::CooperativeKind::Kdmp => "KDMP",
        pb::CooperativeKind::Kkmp => "KKMP",
    }
}

/// A readiness item.
pub(crate) fn readiness_item(item: i32) -> &'static str {
    match pb::ReadinessItem::try_from(item).unwrap_or_default() {
        pb::ReadinessItem::Unspecified => "? / unknown",
        pb::ReadinessItem::LegalEntity => "badan hukum (AHU) / legal entity",
        pb::ReadinessItem::CooperativeNumber => "Nomor Induk Koperasi / cooperative number",
        pb::ReadinessItem::BusinessNumber => "NIB / business number",
        pb::ReadinessItem::TaxNumber => "NPWP / tax number",
        pb::ReadinessItem::BankAccount => "rekening bank / bank account",
        pb::ReadinessItem::BusinessPlan => "rencana usaha / business plan",
        pb::ReadinessItem::OfficersTrained => "pengurus terlatih / officers trained",
    }
}
