//! How each answer of the server is shown to people.

use bergulir_proto::{minor_from_wire, pb};

use crate::output::{Answer, Page, count, hex, instant, money, rupiah};
use crate::parse::CURRENCY;
use crate::{show, words};

/// An answer to a command: receipt, balances, and the thing that it concerned.
macro_rules! receipts {
    ($($response:ident { $field:ident: $show:ident }),+ $(,)?) => {$(
        impl Answer for pb::$response {
            const MESSAGE: &'static str = stringify!($response);
            fn show(&self, page: &mut Page) {
                show::receipt(page, self.receipt.as_ref());
                match &self.$field {
                    Some(thing) => show::$show(page, thing),
                    None => show::balances(page, self.balances.as_ref()),
                }
            }
        }
    )+};
}

receipts! {
    OpenLedgerResponse { ledger: ledger },
    AdoptRulesResponse { ledger: ledger },
    OpenFundResponse { fund: fund },
    ChangeTermsResponse { fund: fund },
    AllocateFundResponse { fund: fund },
    ProposeAllocationWithdrawalResponse { proposal: proposal },
    ApproveAllocationWithdrawalResponse { fund: fund },
    RegisterCooperativeResponse { cooperative: cooperative },
    AppointOfficerResponse { cooperative: cooperative },
    ConfirmReadinessResponse { cooperative: cooperative },
    OpenAccountResponse { account: account },
    SuspendAccountResponse { account: account },
    ResumeAccountResponse { account: account },
    CloseAccountResponse { account: account },
    ProposeLoanResponse { loan: loan },
    ApproveLoanResponse { loan: loan },
    RefuseLoanResponse { loan: loan },
    WithdrawLoanResponse { loan: loan },
    DisburseResponse { loan: loan },
    DisburseGrantResponse { account: account },
    ReturnDisbursementResponse { account: account },
    RepayResponse { loan: loan },
    ProposeReversalResponse { proposal: proposal },
    ApproveReversalResponse { fund: fund },
    RefuseProposalResponse { fund: fund },
    WithdrawProposalResponse { fund: fund },
}

impl Answer for pb::CreateSealResponse {
    const MESSAGE: &'static str = "CreateSealResponse";
    fn show(&self, page: &mut Page) {
        show::receipt(page, self.receipt.as_ref());
        page.facts(
            "Segel / Seal",
            &[
                ("Sampai posisi / Through position", self.through.to_string()),
                ("Akar saldo / Balance root", hex(&self.balance_root)),
                ("Sidik keadaan / State digest", hex(&self.state_digest)),
            ],
        );
    }
}

/// One thing, and the position it is as of.
macro_rules! things {
    ($($response:ident { $field:ident: $show:ident }),+ $(,)?) => {$(
        impl Answer for pb::$response {
            const MESSAGE: &'static str = stringify!($response);
            fn show(&self, page: &mut Page) {
                if let Some(thing) = &self.$field {
                    show::$show(page, thing);
                }
                as_of(page, self.as_of_position);
            }
        }
    )+};
}

things! {
    GetLedgerResponse { ledger: ledger },
    GetFundResponse { fund: fund },
    GetCooperativeResponse { cooperative: cooperative },
    GetAccountResponse { account: account },
    GetLoanResponse { loan: loan },
}

/// Where a question was answered.
fn as_of(page: &mut Page, position: u64) {
    page.line(format_args!("Per posisi / As of position {position}"));
}

fn more(page: &mut Page, token: &str) {
    if !token.is_empty() {
        page.line(format_args!(
            "Halaman berikut / Next page: --page-token {token}"
        ));
    }
}

/// The last part of a name: what people say.
fn id(name: &str) -> String {
    name.rsplit_once('/').map_or(name, |(_, id)| id).to_owned()
}

impl Answer for pb::ListLedgersResponse {
    const MESSAGE: &'static str = "ListLedgersResponse";
    fn show(&self, page: &mut Page) {
        page.rows(
            &[
                "Buku besar / Ledger",
                "Asal / Origin",
                "Wilayah / Region",
                "Catatan / Records",
            ],
            3,
            self.ledgers.iter().map(|ledger| {
                vec![
                    id(&ledger.name),
                    ledger.origin.clone(),
                    ledger.region.clone(),
                    count(ledger.log_size),
                ]
            }),
        );
        more(page, &self.next_page_token);
    }
}

impl Answer for pb::ListFundsResponse {
    const MESSAGE: &'static str = "ListFundsResponse";
    fn show(&self, page: &mut Page) {
        page.rows(
            &[
                "Dana / Fund",
                "Nama / Name",
                "Jenis / Kind",
                "Modal / Capital",
                "Tersedia / Available",
                "Piutang / Receivable",
            ],
            3,
            self.funds.iter().map(|fund| {
                let balances = fund.balances.clone().unwrap_or_default();
                vec![
                    id(&fund.name),
                    fund.display_name.clone(),
                    words::fund_kind(fund.kind).to_owned(),
                    money(balances.capital.as_ref()),
                    money(balances.available.as_ref()),
                    money(balances.principal_receivable.as_ref()),
                ]
            }),
        );
        more(page, &self.next_page_token);
        as_of(page, self.as_of_position);
    }
}

impl Answer for pb::ListCooperativesResponse {
    const MESSAGE: &'static str = "ListCooperativesResponse";
    fn show(&self, page: &mut Page) {
        page.rows(
            &[
                "Koperasi / Cooperative",
                "Nama / Name",
                "Jenis / Kind",
                "Desa / Village",
                "Kesiapan / Ready",
            ],
            4,
            self.cooperatives.iter().map(|cooperative| {
                vec![
                    id(&cooperative.name),
                    cooperative.registered_name.clone(),
                    words::cooperative_kind(cooperative.kind).to_owned(),
                    cooperative.village_code.clone(),
                    cooperative.readiness.len().to_string(),
                ]
            }),
        );
        more(page, &self.next_page_token);
        as_of(page, self.as_of_position);
    }
}

impl Answer for pb::ListAccountsResponse {
    const MESSAGE: &'static str = "ListAccountsResponse";
    fn show(&self, page: &mut Page) {
        page.rows(
            &[
                "Rekening / Account",
                "Koperasi / Cooperative",
                "Status / State",
                "Pencairan / Disbursed",
                "Pokok dibayar / Repaid",
                "Sisa pokok / Outstanding",
            ],
            3,
            self.accounts.iter().map(|account| {
                let balances = account.balances.clone().unwrap_or_default();
                vec![
                    id(&account.name),
                    id(&account.cooperative),
                    words::account_state(account.state).to_owned(),
                    money(balances.disbursed.as_ref()),
                    money(balances.principal_repaid.as_ref()),
                    money(balances.outstanding.as_ref()),
                ]
            }),
        );
        more(page, &self.next_page_token);
        as_of(page, self.as_of_position);
    }
}

impl Answer for pb::ListLoansResponse {
    const MESSAGE: &'static str = "ListLoansResponse";
    fn show(&self, page: &mut Page) {
        page.rows(
            &[
                "Pinjaman / Loan",
                "Status / State",
                "Pinjaman / Principal",
                "Pencairan / Disbursed",
                "Pokok dibayar / Repaid",
                "Sisa pokok / Outstanding",
            ],
            2,
            self.loans.iter().map(|loan| {
                let balances = loan.balances.clone().unwrap_or_default();
                vec![
                    id(&loan.name),
                    words::loan_state(loan.state).to_owned(),
                    money(balances.principal.as_ref()),
                    money(balances.disbursed.as_ref()),
                    money(balances.principal_repaid.as_ref()),
                    money(balances.outstanding.as_ref()),
                ]
            }),
        );
        more(page, &self.next_page_token);
        as_of(page, self.as_of_position);
    }
}

impl Answer for pb::ListProposalsResponse {
    const MESSAGE: &'static str = "ListProposalsResponse";
    fn show(&self, page: &mut Page) {
        page.rows(
            &[
                "Posisi / Position",
                "Dana / Fund",
                "Isi / What",
                "Pengusul / Maker",
                "Kedaluwarsa / Expires",
            ],
            5,
            self.proposals.iter().map(|proposal| {
                vec![
                    proposal.position.to_string(),
                    id(&proposal.fund),
                    show::proposed(proposal),
                    proposal.maker.clone(),
                    instant(proposal.expires_at.as_ref()),
                ]
            }),
        );
        more(page, &self.next_page_token);
        as_of(page, self.as_of_position);
    }
}

impl Answer for pb::GetBalanceResponse {
    const MESSAGE: &'static str = "GetBalanceResponse";
    fn show(&self, page: &mut Page) {
        show::balance(page, self.balance.as_ref());
        as_of(page, self.as_of_position);
    }
}

impl Answer for pb::BatchGetBalancesResponse {
    const MESSAGE: &'static str = "BatchGetBalancesResponse";
    fn show(&self, page: &mut Page) {
        for balance in &self.balances {
            show::balance(page, Some(balance));
        }
        as_of(page, self.as_of_position);
    }
}

impl Answer for pb::ListTrailResponse {
    const MESSAGE: &'static str = "ListTrailResponse";
    fn show(&self, page: &mut Page) {
        page.rows(
            &[
                "Posisi / Position",
                "Dicatat / Recorded",
                "Kejadian / Event",
                "Oleh / By",
                "Rp",
                "Saldo / Balance",
            ],
            4,
            self.lines.iter().map(trail_line),
        );
        more(page, &self.next_page_token);
        as_of(page, self.as_of_position);
    }
}

fn trail_line(line: &pb::TrailLine) -> Vec<String> {
    let mut what = words::event(line.event.as_ref()).to_owned();
    if let Some(by) = line.reversed_by {
        what = format!("{what}\n(dibatalkan / undone @ {by})");
    }
    if let Some(reverses) = line.reverses {
        what = format!("{what}\n(membatalkan / undoes @ {reverses})");
    }
    let seconds = line.recorded_at.map(|at| pb::Timestamp {
        seconds: at.seconds,
        nanos: 0,
    });
    vec![
        line.position.to_string(),
        instant(seconds.as_ref()),
        what,
        line.principal.clone(),
        moved(&line.postings),
        owed(line.balance.as_ref()),
    ]
}

/// How much money a record moved: the sum of its debits.
fn moved(postings: &[pb::Posting]) -> String {
    let minors = postings
        .iter()
        .filter_map(|posting| minor_from_wire(posting.amount.as_ref()?, CURRENCY).ok());
    let debits: i64 = minors.filter(|minor| *minor > 0).sum();
    if postings.is_empty() {
        String::new()
    } else {
        rupiah(debits)
    }
}

/// What a trail's owner is looked at for: what is owed, or what the fund may lend.
fn owed(balance: Option<&pb::Balance>) -> String {
    match balance.and_then(|balance| balance.of.as_ref()) {
        Some(pb::balance::Of::Fund(fund)) => money(fund.available.as_ref()),
        Some(pb::balance::Of::Account(account)) => money(account.outstanding.as_ref()),
        Some(pb::balance::Of::Loan(loan)) => money(loan.outstanding.as_ref()),
        None => "-".to_owned(),
    }
}

impl Answer for pb::GetTrialBalanceResponse {
    const MESSAGE: &'static str = "GetTrialBalanceResponse";
    fn show(&self, page: &mut Page) {
        for fund in &self.funds {
            page.line(format_args!("Neraca saldo / Trial balance: {}", fund.fund));
            let total = vec![
                "Jumlah / Total".to_owned(),
                money(fund.total_debit.as_ref()),
                money(fund.total_credit.as_ref()),
            ];
            let lines = fund.lines.iter().map(|line| {
                vec![
                    words::book(line.book).to_owned(),
                    money(line.debit.as_ref()),
                    money(line.credit.as_ref()),
                ]
            });
            page.rows(
                &["Buku / Book", "Debit", "Kredit / Credit"],
                1,
                lines.chain([total]),
            );
        }
        as_of(page, self.as_of_position);
    }
}

impl Answer for pb::GetHeadResponse {
    const MESSAGE: &'static str = "GetHeadResponse";
    fn show(&self, page: &mut Page) {
        page.facts(
            "Kepala / Head",
            &[
                ("Jumlah catatan / Records", count(self.log_size)),
                ("Sidik / Hash", hex(&self.record_hash)),
                ("Dicatat / Recorded at", instant(self.recorded_at.as_ref())),
            ],
        );
    }
}

impl Answer for pb::GetRecordResponse {
    const MESSAGE: &'static str = "GetRecordResponse";
    fn show(&self, page: &mut Page) {
        let Some(record) = &self.record else { return };
        page.facts(
            "Catatan / Record",
            &[
                ("Posisi / Position", record.position.to_string()),
                ("Sidik / Hash", hex(&record.record_hash)),
                (
                    "Sidik sebelumnya / Previous hash",
                    hex(&record.previous_hash),
                ),
                (
                    "Dicatat / Recorded at",
                    instant(record.recorded_at.as_ref()),
                ),
                ("Oleh / By", record.principal.clone()),
                ("Permintaan / Request id", record.request_id.clone()),
                ("Menyusul / Following", record.following.to_string()),
                (
                    "Kejadian / Event",
                    words::event(record.event.as_ref()).to_owned(),
                ),
                ("Bita / Bytes", hex(&record.record)),
            ],
        );
    }
}

impl Answer for pb::SubmitBatchResponse {
    const MESSAGE: &'static str = "SubmitBatchResponse";
    fn show(&self, page: &mut Page) {
        use pb::batch_item_result::Outcome;
        page.rows(
            &["No.", "Posisi / Position", "Hasil / Outcome"],
            3,
            (1_u32..).zip(&self.results).map(|(number, result)| {
                let (position, outcome) = match &result.outcome {
                    Some(Outcome::Receipt(receipt)) if receipt.duplicate => (
                        receipt.position.to_string(),
                        "ulangan / duplicate".to_owned(),
                    ),
                    Some(Outcome::Receipt(receipt)) => (
                        receipt.position.to_string(),
                        "dicatat / recorded".to_owned(),
                    ),
                    Some(Outcome::Error(error)) => (
                        String::new(),
                        format!("{}: {}", error.reason, error.message),
                    ),
                    None => (String::new(), "? / unknown".to_owned()),
                };
                vec![number.to_string(), position, outcome]
            }),
        );
        page.line(format_args!(
            "Jumlah catatan / Log size: {}",
            count(self.log_size)
        ));
    }
}

#[cfg(test)]
mod tests {
    use bergulir_proto::money_to_wire;

    use super::*;
    use crate::output;

    #[test]
    fn every_answer_is_a_message_of_the_package_and_has_a_page() {
        fn check<A: Answer + Default>() {
            let descriptor = output::descriptor(A::MESSAGE);
            assert!(descriptor.fields().len() > 0);
            assert!(output::json(A::MESSAGE, &A::default()).starts_with('{'));
            let mut page = Page::default();
            A::default().show(&mut page);
        }
        check::<pb::OpenLedgerResponse>();
        check::<pb::AdoptRulesResponse>();
        check::<pb::OpenFundResponse>();
        check::<pb::ChangeTermsResponse>();
        check::<pb::AllocateFundResponse>();
        check::<pb::ProposeAllocationWithdrawalResponse>();
        check::<pb::ApproveAllocationWithdrawalResponse>();
        check::<pb::RegisterCooperativeResponse>();
        check::<pb::AppointOfficerResponse>();
        check::<pb::ConfirmReadinessResponse>();
        check::<pb::OpenAccountResponse>();
        check::<pb::SuspendAccountResponse>();
        check::<pb::ResumeAccountResponse>();
        check::<pb::CloseAccountResponse>();
        check::<pb::ProposeLoanResponse>();
        check::<pb::ApproveLoanResponse>();
        check::<pb::RefuseLoanResponse>();
        check::<pb::WithdrawLoanResponse>();
        check::<pb::DisburseResponse>();
        check::<pb::DisburseGrantResponse>();
        check::<pb::ReturnDisbursementResponse>();
        check::<pb::RepayResponse>();
        check::<pb::ProposeReversalResponse>();
        check::<pb::ApproveReversalResponse>();
        check::<pb::RefuseProposalResponse>();
        check::<pb::WithdrawProposalResponse>();
        check::<pb::CreateSealResponse>();
        check::<pb::SubmitBatchResponse>();
        check::<pb::GetLedgerResponse>();
        check::<pb::ListLedgersResponse>();
        check::<pb::GetFundResponse>();
        check::<pb::ListFundsResponse>();
        check::<pb::GetCooperativeResponse>();
        check::<pb::ListCooperativesResponse>();
        check::<pb::GetAccountResponse>();
        check::<pb::ListAccountsResponse>();
        check::<pb::GetLoanResponse>();
        check::<pb::ListLoansResponse>();
        check::<pb::ListProposalsResponse>();
        check::<pb::GetBalanceResponse>();
        check::<pb::BatchGetBalancesResponse>();
        check::<pb::ListTrailResponse>();
        check::<pb::GetTrialBalanceResponse>();
        check::<pb::GetHeadResponse>();
        check::<pb::GetRecordResponse>();
    }

    #[test]
    fn a_line_of_a_trail_shows_the_money_and_the_balance() {
        let line = pb::TrailLine {
            position: 12,
            principal: "petugas-a".to_owned(),
            event: Some(pb::Event {
                kind: Some(pb::event::Kind::Repaid(pb::Repaid::default())),
            }),
            postings: [348_484_800, -303_030_300, -45_454_500]
                .map(|minor| pb::Posting {
                    book: 1,
                    amount: Some(money_to_wire(minor, CURRENCY)),
                })
                .to_vec(),
            reversed_by: Some(20),
            ..pb::TrailLine::default()
        };
        let cells = trail_line(&line);
        assert_eq!(cells[0], "12");
        assert_eq!(cells[2], "Angsuran / Repaid\n(dibatalkan / undone @ 20)");
        assert_eq!(cells[4], "3.484.848,00");
    }
}
