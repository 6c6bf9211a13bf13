//! What the ledger says at the end, asked from the server and compared with what the verifier
//! computes from the log alone.

use std::path::Path;
use std::time::Duration;

use bergulir_audit::{LedgerReport, Verdict};
use bergulir_proto::{minor_from_wire, pb};
use serde::Serialize;

use super::programme::FUND;
use super::run::{Lent, Story};
use crate::audit;
use crate::desk::{Desk, Person, refused};
use crate::failure::Failure;
use crate::output::{self, Answer as _, Page, count, exact, hex, rupiah};
use crate::parse::CURRENCY;

/// The largest page.
const PAGE: i32 = 1_000;

/// What is said at the end.
#[derive(Debug)]
pub(crate) struct Findings {
    sums: Sums,
    further: usize,
    trail: Option<pb::ListTrailResponse>,
    trial_balance: pb::GetTrialBalanceResponse,
    reports: Vec<LedgerReport>,
    elapsed: Duration,
}

/// Totals, in minor units, net of reversals.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Sums {
    records: u64,
    head_hash: String,
    cooperatives: u64,
    loans: u64,
    allocated: i64,
    disbursed: i64,
    principal_repaid: i64,
    interest_received: i64,
    available: i64,
    outstanding: i64,
}

/// The last line for programs.
#[derive(Debug, Serialize)]
struct Line {
    cooperatives: u64,
    records: u64,
    head_hash: String,
    allocated: String,
    disbursed: String,
    principal_repaid: String,
    interest_received: String,
    available: String,
    outstanding: String,
    loans: u64,
    further_loans: usize,
    verified: bool,
    elapsed_seconds: f64,
}

impl Findings {
    /// Asks the server.
    pub(crate) async fn ask(desk: &Desk, lent: Lent, story: &Story) -> Result<Findings, Failure> {
        story.say("  Bertanya kepada server / Asking the server");
        let head = desk.head().await?;
        let min_position = Some(head.log_size.saturating_sub(1));
        let mut sums =
            Sums { records: head.log_size, head_hash: hex(&head.record_hash), ..Sums::default() };
        let fund = desk.fund(FUND).await?;
        sums.allocated = minor(fund.capital.as_ref());
        sums.interest_received = minor(fund.interest_income.as_ref());
        sums.available = minor(fund.available.as_ref());
        sums.outstanding = minor(fund.principal_receivable.as_ref());
        sums.count_cooperatives(desk, min_position).await?;
        sums.add_accounts(desk, min_position).await?;
        sums.count_loans(desk, min_position).await?;

        let trail = match &lent.shown {
            None => None,
            Some(ids) => {
                let request = pb::ListTrailRequest {
                    parent: format!("{}/funds/{FUND}/accounts/{}", desk.ledger(), ids.account()),
                    page_size: PAGE,
                    min_position,
                    ..pb::ListTrailRequest::default()
                };
                let answer = desk.queries().list_trail(Desk::from(Person::Maker, request)).await;
                Some(answer.map_err(|status| refused(&status))?.into_inner())
            }
        };
        let request = pb::GetTrialBalanceRequest { name: desk.ledger(), min_position, as_of: None };
        let answer = desk.queries().get_trial_balance(Desk::from(Person::Maker, request)).await;
        Ok(Findings {
            sums,
            further: lent.further,
            trail,
            trial_balance: answer.map_err(|status| refused(&status))?.into_inner(),
            reports: Vec::new(),
            elapsed: Duration::ZERO,
        })
    }

    /// Takes in what the verifier found.
    pub(crate) fn compare(&mut self, reports: &[LedgerReport], elapsed: Duration) {
        self.reports = reports.to_vec();
        self.elapsed = elapsed;
    }

    /// Whether the log is valid, and says what the server said.
    pub(crate) fn verified(&self) -> bool {
        match self.reports.as_slice() {
            [report] => {
                report.finding.verdict() == Verdict::Valid && recomputed(report) == self.sums
            }
            _ => false,
        }
    }

    /// Shows everything.
    pub(crate) fn show(&self, json: bool, kept: Option<&Path>) -> Result<(), Failure> {
        if json {
            let line = serde_json::to_string(&self.line())
                .expect("a struct of texts and numbers is always JSON");
            return output::line(line);
        }
        let mut page = Page::default();
        if let Some(trail) = &self.trail {
            page.line("\nJejak audit satu koperasi / Audit trail of one cooperative");
            trail.show(&mut page);
        }
        page.line("");
        self.trial_balance.show(&mut page);
        page.line("");
        self.summary(&mut page);
        for report in &self.reports {
            page.line("");
            audit::show(&mut page, report);
        }
        let verdict = if self.verified() {
            "✓ Terverifikasi: log sah, dan jumlahnya sama dengan jawaban server / \
             Verified: the log is valid, and its totals are what the server said"
        } else {
            "✗ TIDAK terverifikasi / NOT verified: the log is not valid, or its totals are not \
             what the server said"
        };
        page.line(format_args!("\n{verdict} ({:.1} s)", self.elapsed.as_secs_f64()));
        if let Some(data) = kept {
            page.line(format_args!(
                "Data: {0}; periksa sendiri / check it yourself: bergulir audit verify {0}",
                data.display()
            ));
        }
        page.print()
    }

    fn summary(&self, page: &mut Page) {
        let sums = &self.sums;
        page.rows(
            &["Ringkasan / Summary", "Rp"],
            1,
            [
                ("Alokasi / Allocated", rupiah(sums.allocated)),
                ("Pencairan / Disbursed", rupiah(sums.disbursed)),
                ("Pokok kembali / Principal repaid", rupiah(sums.principal_repaid)),
                ("Jasa diterima / Interest received", rupiah(sums.interest_received)),
                ("Tersedia / Available", rupiah(sums.available)),
                ("Sisa pokok / Outstanding", rupiah(sums.outstanding)),
                ("Koperasi / Cooperatives", count(sums.cooperatives)),
                (
                    "Pinjaman (bergulir) / Loans (lent again)",
                    format!("{} ({})", count(sums.loans), count(self.further as u64)),
                ),
                ("Catatan / Records", count(sums.records)),
            ]
            .into_iter()
            .map(|(name, value)| vec![name.to_owned(), value]),
        );
    }

    fn line(&self) -> Line {
        let sums = &self.sums;
        Line {
            cooperatives: sums.cooperatives,
            records: sums.records,
            head_hash: sums.head_hash.clone(),
            allocated: exact(sums.allocated),
            disbursed: exact(sums.disbursed),
            principal_repaid: exact(sums.principal_repaid),
            interest_received: exact(sums.interest_received),
            available: exact(sums.available),
            outstanding: exact(sums.outstanding),
            loans: sums.loans,
            further_loans: self.further,
            verified: self.verified(),
            elapsed_seconds: self.elapsed.as_secs_f64(),
        }
    }
}

/// What the verifier computed from the log alone.
fn recomputed(report: &LedgerReport) -> Sums {
    let totals = &report.totals;
    Sums {
        records: report.records.get(),
        head_hash: report.head_hash.to_string(),
        cooperatives: totals.cooperatives,
        loans: totals.loans,
        allocated: totals.allocated,
        disbursed: totals.disbursed,
        principal_repaid: totals.principal_repaid,
        interest_received: totals.interest_received,
        available: totals.available,
        outstanding: totals.outstanding,
    }
}

impl Sums {
    async fn count_cooperatives(&mut self, desk: &Desk, min: Option<u64>) -> Result<(), Failure> {
        let mut request = pb::ListCooperativesRequest {
            parent: desk.ledger(),
            page_size: PAGE,
            min_position: min,
            ..pb::ListCooperativesRequest::default()
        };
        loop {
            let asked = Desk::from(Person::Maker, request.clone());
            let answer = desk.queries().list_cooperatives(asked).await;
            let page = answer.map_err(|status| refused(&status))?.into_inner();
            self.cooperatives += page.cooperatives.len() as u64;
            if page.next_page_token.is_empty() {
                return Ok(());
            }
            request.page_token = page.next_page_token;
        }
    }

    async fn add_accounts(&mut self, desk: &Desk, min: Option<u64>) -> Result<(), Failure> {
        let mut request = pb::ListAccountsRequest {
            parent: format!("{}/funds/{FUND}", desk.ledger()),
            page_size: PAGE,
            min_position: min,
            ..pb::ListAccountsRequest::default()
        };
        loop {
            let asked = Desk::from(Person::Maker, request.clone());
            let answer = desk.queries().list_accounts(asked).await;
            let page = answer.map_err(|status| refused(&status))?.into_inner();
            for balances in page.accounts.iter().filter_map(|account| account.balances.as_ref()) {
                self.disbursed += minor(balances.disbursed.as_ref());
                self.principal_repaid += minor(balances.principal_repaid.as_ref());
            }
            if page.next_page_token.is_empty() {
                return Ok(());
            }
            request.page_token = page.next_page_token;
        }
    }

    async fn count_loans(&mut self, desk: &Desk, min: Option<u64>) -> Result<(), Failure> {
        let mut request = pb::ListLoansRequest {
            parent: format!("{}/funds/{FUND}", desk.ledger()),
            page_size: PAGE,
            min_position: min,
            state: pb::LoanState::Disbursed.into(),
            ..pb::ListLoansRequest::default()
        };
        loop {
            let asked = Desk::from(Person::Maker, request.clone());
            let answer = desk.queries().list_loans(asked).await;
            let page = answer.map_err(|status| refused(&status))?.into_inner();
            self.loans += page.loans.len() as u64;
            if page.next_page_token.is_empty() {
                return Ok(());
            }
            request.page_token = page.next_page_token;
        }
    }
}

/// Minor units; what is absent or no amount counts as nothing, and the comparison with the
/// verifier finds it.
fn minor(money: Option<&pb::Money>) -> i64 {
    money.and_then(|money| minor_from_wire(money, CURRENCY).ok()).unwrap_or(0)
}
