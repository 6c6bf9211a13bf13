//! How receipts, balances and the things of a ledger look on a page.

use bergulir_proto::pb;

use crate::output::{Page, count, date, hex, instant, money};
use crate::words;

/// Where a command was recorded.
pub(crate) fn receipt(page: &mut Page, receipt: Option<&pb::Receipt>) {
    let Some(receipt) = receipt else {
        page.line("Sah, tidak dicatat / Valid, nothing was recorded (--validate-only).");
        return;
    };
    let duplicate = if receipt.duplicate {
        "ya, sudah tercatat sebelumnya / yes, recorded before"
    } else {
        "tidak / no"
    };
    page.facts(
        "Tanda terima / Receipt",
        &[
            ("Posisi / Position", receipt.position.to_string()),
            ("Sidik catatan / Record hash", hex(&receipt.record_hash)),
            ("Jumlah catatan / Log size", receipt.log_size.to_string()),
            ("Dicatat / Recorded at", instant(receipt.recorded_at.as_ref())),
            ("Ulangan / Duplicate", duplicate.to_owned()),
        ],
    );
}

/// What a command left behind.
pub(crate) fn balances(page: &mut Page, balances: Option<&pb::Balances>) {
    let Some(balances) = balances else { return };
    if let Some(fund) = &balances.fund {
        fund_balances(page, fund);
    }
    if let Some(account) = &balances.account {
        account_balances(page, account);
    }
    if let Some(loan) = &balances.loan {
        loan_balances(page, loan);
    }
}

/// The balance of one thing.
pub(crate) fn balance(page: &mut Page, balance: Option<&pb::Balance>) {
    match balance.and_then(|balance| balance.of.as_ref()) {
        Some(pb::balance::Of::Fund(fund)) => fund_balances(page, fund),
        Some(pb::balance::Of::Account(account)) => account_balances(page, account),
        Some(pb::balance::Of::Loan(loan)) => loan_balances(page, loan),
        None => page.line("(kosong / none)"),
    }
}

/// A fund's money.
pub(crate) fn fund_balances(page: &mut Page, fund: &pb::FundBalances) {
    page.amounts_and(
        &fund.fund,
        &[
            ("Modal / Capital", fund.capital.as_ref()),
            ("Kas / Cash", fund.cash.as_ref()),
            ("Piutang pokok / Principal receivable", fund.principal_receivable.as_ref()),
            ("Pendapatan jasa / Interest income", fund.interest_income.as_ref()),
            ("Pendapatan denda / Late-fee income", fund.late_fee_income.as_ref()),
            ("Beban hibah / Grant expense", fund.grant_expense.as_ref()),
            ("Pendapatan terpisah / Income kept apart", fund.income_apart.as_ref()),
            ("Tersedia / Available", fund.available.as_ref()),
            ("Terikat / Committed", fund.committed.as_ref()),
            ("Dicadangkan / Reserved", fund.reserved.as_ref()),
            ("Dapat dijanjikan / Committable", fund.committable.as_ref()),
        ],
        &[
            ("Kerugian penghapusan / Write-off loss", fund.write_off_loss.as_ref()),
            ("Penerimaan kembali / Recovery income", fund.recovery_income.as_ref()),
        ],
    );
}

/// What a cooperative has with a fund.
pub(crate) fn account_balances(page: &mut Page, account: &pb::AccountBalances) {
    page.amounts_and(
        &account.account,
        &[
            ("Pencairan / Disbursed", account.disbursed.as_ref()),
            ("Pokok dibayar / Principal repaid", account.principal_repaid.as_ref()),
            ("Sisa pokok / Outstanding", account.outstanding.as_ref()),
            ("Jasa dibayar / Interest paid", account.interest_paid.as_ref()),
            ("Denda dibayar / Late fee paid", account.late_fee_paid.as_ref()),
            ("Terikat / Committed", account.committed.as_ref()),
            ("Menunggu / Pending", account.pending.as_ref()),
            ("Hibah / Granted", account.granted.as_ref()),
        ],
        &[
            ("Dihapuskan / Written off", account.written_off.as_ref()),
            ("Penerimaan kembali / Recovered", account.recovered.as_ref()),
        ],
    );
}

/// What is owed and was paid on a loan.
pub(crate) fn loan_balances(page: &mut Page, loan: &pb::LoanBalances) {
    page.amounts_and(
        &loan.loan,
        &[
            ("Pinjaman / Principal", loan.principal.as_ref()),
            ("Pencairan / Disbursed", loan.disbursed.as_ref()),
            ("Belum dicairkan / Undisbursed", loan.undisbursed.as_ref()),
            ("Pokok dibayar / Principal repaid", loan.principal_repaid.as_ref()),
            ("Sisa pokok / Outstanding", loan.outstanding.as_ref()),
            ("Jasa dibayar / Interest paid", loan.interest_paid.as_ref()),
            ("Denda dibayar / Late fee paid", loan.late_fee_paid.as_ref()),
        ],
        &[
            ("Dihapuskan / Written off", loan.written_off.as_ref()),
            ("Penerimaan kembali / Recovered", loan.recovered.as_ref()),
            ("Masih dapat ditagih / Recoverable", loan.recoverable.as_ref()),
        ],
    );
}

/// A ledger.
pub(crate) fn ledger(page: &mut Page, ledger: &pb::Ledger) {
    let region = if ledger.region.is_empty() {
        "nasional / the nation".to_owned()
    } else {
        ledger.region.clone()
    };
    let mut facts = vec![
        ("Asal / Origin", ledger.origin.clone()),
        ("Wilayah / Region", region),
        ("Mata uang / Currency", ledger.currency_code.clone()),
        ("Selisih UTC, menit / UTC offset, minutes", ledger.utc_offset_minutes.to_string()),
        ("Aturan / Rules", ledger.rules_version.to_string()),
        ("Jumlah catatan / Records", count(ledger.log_size)),
        ("Sidik kepala / Head hash", hex(&ledger.head_hash)),
        ("Catatan terakhir / Last record", instant(ledger.head_recorded_at.as_ref())),
        ("Tersegel sampai / Sealed through", optional(ledger.sealed_through)),
    ];
    if let Some(why) = &ledger.read_only_reason {
        facts.push(("Hanya baca / Read-only", why.clone()));
    }
    page.facts(&ledger.name, &facts);
}

/// A fund's money alone.
pub(crate) fn fund_money(page: &mut Page, fund: &pb::Fund) {
    if let Some(balances) = &fund.balances {
        fund_balances(page, balances);
    }
}

/// A fund with its terms and its money.
pub(crate) fn fund(page: &mut Page, fund: &pb::Fund) {
    page.facts(
        &fund.name,
        &[
            ("Nama / Name", fund.display_name.clone()),
            ("Jenis / Kind", words::fund_kind(fund.kind).to_owned()),
            ("Dibuka / Opening date", date(fund.opening_date.as_ref())),
            (
                "Ditutup s.d. / Closed through",
                fund.closed_through.as_ref().map_or("-".to_owned(), |day| date(Some(day))),
            ),
        ],
    );
    if let Some(in_force) = &fund.terms {
        terms(page, "Ketentuan / Terms", in_force);
    }
    for scheduled in &fund.scheduled_terms {
        if let Some(later) = &scheduled.terms {
            let from = date(scheduled.effective_from.as_ref());
            terms(page, &format!("Ketentuan mulai / Terms from {from}"), later);
        }
    }
    if let Some(balances) = &fund.balances {
        fund_balances(page, balances);
    }
}

fn terms(page: &mut Page, title: &str, terms: &pb::Terms) {
    let readiness: Vec<&str> =
        terms.required_readiness.iter().map(|item| words::readiness_item(*item)).collect();
    let mut facts = vec![
        ("Batas per koperasi / Ceiling", money(terms.ceiling.as_ref())),
        ("Syarat kesiapan / Readiness", readiness.join("\n")),
        (
            "Masa usulan, hari / Proposals wait, days",
            terms.proposal_validity_days.unwrap_or(30).to_string(),
        ),
    ];
    if let Some(above) = &terms.disbursement_approval_above {
        facts.push((
            "Pencairan oleh dua orang, di atas / Two people disburse above",
            money(Some(above)),
        ));
    }
    if let Some(loan) = &terms.loan {
        facts.extend(loan_terms(loan));
    }
    page.facts(title, &facts);
}

fn loan_terms(loan: &pb::LoanTerms) -> Vec<(&'static str, String)> {
    let order: Vec<&str> =
        loan.repayment_order.iter().map(|part| words::payment_part(*part)).collect();
    vec![
        ("Jasa, % setahun / Interest, % a year", loan.rate_percent.clone()),
        ("Metode / Method", words::interest_method(loan.method).to_owned()),
        ("Tenor, bulan / months", loan.tenor_months.to_string()),
        ("Tenggang, bulan / Grace, months", loan.grace_months.to_string()),
        ("Tenggang berbunga / Grace bears interest", yes(loan.grace_bears_interest)),
        ("Urutan / Order", order.join("\n")),
        ("Pendapatan dipinjamkan / Income re-lent", yes(loan.relend_income)),
    ]
}

fn yes(yes: bool) -> String {
    if yes { "ya / yes" } else { "tidak / no" }.to_owned()
}

fn optional(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A cooperative.
pub(crate) fn cooperative(page: &mut Page, cooperative: &pb::Cooperative) {
    let readiness: Vec<String> = cooperative
        .readiness
        .iter()
        .map(|item| format!("{} @ {}", words::readiness_item(item.item), item.position))
        .collect();
    page.facts(
        &cooperative.name,
        &[
            ("Nama / Registered name", cooperative.registered_name.clone()),
            ("Jenis / Kind", words::cooperative_kind(cooperative.kind).to_owned()),
            ("Kode desa / Village code", cooperative.village_code.clone()),
            ("Nomor Induk Koperasi", optional(cooperative.cooperative_number.as_ref())),
            ("Ketua / Chair", optional(cooperative.chair.as_ref())),
            ("Bendahara / Treasurer", optional(cooperative.treasurer.as_ref())),
            ("Kesiapan @ posisi / Readiness @ position", readiness.join("\n")),
        ],
    );
}

/// An account.
pub(crate) fn account(page: &mut Page, account: &pb::Account) {
    let bank = account.bank_account.as_ref().map(|bank| format!("{} {}", bank.bank, bank.number));
    page.facts(
        &account.name,
        &[
            ("Koperasi / Cooperative", account.cooperative.clone()),
            ("Status / State", words::account_state(account.state).to_owned()),
            ("Rekening bank / Bank account", optional(bank)),
        ],
    );
    if let Some(balances) = &account.balances {
        account_balances(page, balances);
    }
}

/// A loan.
pub(crate) fn loan(page: &mut Page, loan: &pb::Loan) {
    let mut facts = vec![
        ("Status / State", words::loan_state(loan.state).to_owned()),
        ("Kontrak / Contract", loan.contract_reference.clone()),
        ("Ketua / Chair", loan.chair.clone()),
        ("Bendahara / Treasurer", loan.treasurer.clone()),
        ("Pengusul / Maker", loan.maker.clone()),
        ("Posisi usulan / Proposed at position", loan.proposed_position.to_string()),
        ("Penyetuju / Checker", optional(loan.checker.as_ref())),
    ];
    if loan.expires_at.is_some() {
        facts.push(("Kedaluwarsa / Expires at", instant(loan.expires_at.as_ref())));
    }
    if let Some(terms) = &loan.terms {
        facts.extend(loan_terms(terms));
    }
    page.facts(&loan.name, &facts);
    for new in &loan.restructurings {
        if let Some(terms) = &new.terms {
            let from = date(new.effective_from.as_ref());
            let title =
                format!("Restrukturisasi mulai / Restructured from {from} @ {}", new.position);
            page.facts(&title, &loan_terms(terms));
        }
    }
    if let Some(balances) = &loan.balances {
        loan_balances(page, balances);
    }
}

/// A proposal.
pub(crate) fn proposal(page: &mut Page, proposal: &pb::Proposal) {
    page.facts(
        "Usulan / Proposal",
        &[
            ("Posisi / Position", proposal.position.to_string()),
            ("Dana / Fund", proposal.fund.clone()),
            ("Isi / What", proposed(proposal)),
            ("Pengusul / Maker", proposal.maker.clone()),
            ("Kedaluwarsa / Expires at", instant(proposal.expires_at.as_ref())),
        ],
    );
}

/// What is proposed, on a line.
pub(crate) fn proposed(proposal: &pb::Proposal) -> String {
    match &proposal.kind {
        Some(pb::proposal::Kind::Withdrawal(withdrawal)) => format!(
            "Penarikan alokasi / Withdrawal @ {}: Rp {}",
            withdrawal.allocation,
            money(withdrawal.amount.as_ref())
        ),
        Some(pb::proposal::Kind::PeriodClose(close)) => {
            format!("Tutup buku s.d. / Close through {}", date(close.through.as_ref()))
        }
        Some(pb::proposal::Kind::BankAccountChange(change)) => {
            let bank = change.bank_account.clone().unwrap_or_default();
            let account = &change.account;
            format!("Rekening bank / Bank account {account}: {} {}", bank.bank, bank.number)
        }
        Some(pb::proposal::Kind::Disbursement(disbursement)) => {
            let grant = disbursement.loan.is_empty();
            let payee = if grant { &disbursement.account } else { &disbursement.loan };
            let what = if grant { "Hibah / Grant" } else { "Pencairan / Disbursement" };
            format!("{what} {payee}: Rp {}", money(disbursement.amount.as_ref()))
        }
        Some(pb::proposal::Kind::WriteOff(write_off)) => format!(
            "Penghapusan / Write-off ({}) {}: Rp {}",
            words::write_off_kind(write_off.kind),
            write_off.loan,
            money(write_off.amount.as_ref())
        ),
        Some(pb::proposal::Kind::Restructuring(new)) => format!(
            "Restrukturisasi / Restructuring {} mulai / from {}",
            new.loan,
            date(new.effective_from.as_ref())
        ),
        Some(pb::proposal::Kind::Reversal(reversal)) => {
            format!("Pembatalan / Reversal @ {}", reversal.reverses)
        }
        None => "? / unknown".to_owned(),
    }
}
