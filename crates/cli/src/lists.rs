//! How lists and trails are shown to people.

use bergulir_proto::{minor_from_wire, pb};

use crate::answers::as_of;
use crate::output::{Answer, Page, count, instant, money, rupiah};
use crate::parse::CURRENCY;
use crate::{show, words};

fn more(page: &mut Page, token: &str) {
    if !token.is_empty() {
        page.line(format_args!("Halaman berikut / Next page: --page-token {token}"));
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
            &["Buku besar / Ledger", "Asal / Origin", "Wilayah / Region", "Catatan / Records"],
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

impl Answer for pb::ListTrailResponse {
    const MESSAGE: &'static str = "ListTrailResponse";
    fn show(&self, page: &mut Page) {
        page.rows(
            &[
                "Posisi / Position",
                "Dicatat / Recorded",
                "Tanggal / Value date",
                "Kejadian / Event",
                "Oleh / By",
                "Rp",
                "Saldo / Balance",
            ],
            5,
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
    let seconds = line.recorded_at.map(|at| pb::Timestamp { seconds: at.seconds, nanos: 0 });
    vec![
        line.position.to_string(),
        instant(seconds.as_ref()),
        words::value_date(line.event.as_ref()).map_or_else(String::new, |date| date.to_string()),
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
    if postings.is_empty() { String::new() } else { rupiah(debits) }
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

#[cfg(test)]
mod tests {
    use bergulir_proto::money_to_wire;

    use super::*;

    #[test]
    fn a_line_of_a_trail_shows_the_money_and_the_balance() {
        let line = pb::TrailLine {
            position: 12,
            principal: "petugas-a".to_owned(),
            event: Some(pb::Event {
                kind: Some(pb::event::Kind::Repaid(pb::Repaid {
                    value_date: 20_528,
                    ..pb::Repaid::default()
                })),
            }),
            postings: [348_484_800, -303_030_300, -45_454_500]
                .map(|minor| pb::Posting { book: 1, amount: Some(money_to_wire(minor, CURRENCY)) })
                .to_vec(),
            reversed_by: Some(20),
            ..pb::TrailLine::default()
        };
        let cells = trail_line(&line);
        assert_eq!(cells[0], "12");
        assert_eq!(cells[2], "2026-03-16");
        assert_eq!(cells[3], "Angsuran / Repaid\n(dibatalkan / undone @ 20)");
        assert_eq!(cells[5], "3.484.848,00");
    }
}
