//! `bergulir audit verify`: a log or a bundle, offline, without trusting who wrote it.

use std::path::{Path, PathBuf};

use bergulir_audit::{
    CannotTell, Depth, Finding, Kind, LedgerReport, Options, PassedOver, Totals, Trust, Verdict,
    Verification,
};
use bergulir_chain::LogSize;
use bergulir_chain::note::VerifierKey;
use bergulir_domain::LedgerId;
use bergulir_domain::state::AccountBalances;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::files;
use crate::failure::Failure;
use crate::output::{self, Page, count, exact, rupiah};
use crate::progress::Bar;
use crate::witness;

/// What to verify, and what to hold it against.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A data directory, a ledger's folder, a log folder, or a bundle
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Only this ledger
    #[arg(long, value_parser = bergulir_proto::name::ledger_id)]
    ledger: Option<LedgerId>,
    /// Check only how the records hang together: frames, hashes, times, batches, the tree,
    /// signatures, witnesses. Much faster; whether the rules were kept is not decided
    #[arg(long)]
    chain_only: bool,
    /// A log's key that you know, as NAME+ID+BASE64; may be given again. One of them that the log
    /// names must have signed the checkpoint
    #[arg(long = "key", value_name = "VERIFIER_KEY", value_parser = witness::log_key)]
    keys: Vec<VerifierKey>,
    /// Which witnesses must have cosigned the checkpoint (a C2SP tlog-policy)
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The checkpoint that you kept last time: the log must go on from there
    #[arg(long, value_name = "CHECKPOINT")]
    since: Option<PathBuf>,
}

impl VerifyArgs {
    fn trust(&self) -> Result<Trust, Failure> {
        let policy = self.policy.as_deref().map(witness::policy);
        Ok(Trust {
            keys: self.keys.clone(),
            policy: policy.transpose()?,
            since: self.since.as_deref().map(files::checkpoint).transpose()?,
        })
    }
}

/// What a verification found, for programs. Amounts are exact decimals; totals are net of
/// reversals and returns.
#[derive(Debug, Serialize)]
struct Found {
    ledger: Option<String>,
    origin: Option<String>,
    /// Where the log goes on under another origin, as it says itself.
    continued: Vec<Continued>,
    kind: &'static str,
    from: u64,
    valid: bool,
    verified: bool,
    verdict: &'static str,
    records: u64,
    head_hash: String,
    tree_size: u64,
    root_hash: String,
    checkpoint: Option<u64>,
    witnesses: Vec<String>,
    checked: Vec<String>,
    not_checked: Vec<String>,
    seals: u64,
    /// What the records add up to; null if only the chain was verified.
    #[serde(flatten)]
    sums: Sums,
    position: Option<u64>,
    reason: Option<String>,
    place: Option<String>,
    elapsed_seconds: f64,
    records_per_second: u64,
}

/// A record by which a log goes on under another origin.
#[derive(Debug, Serialize)]
struct Continued {
    position: u64,
    from_origin: String,
    origin: String,
    /// The size of the checkpoint that it names; null: none was known.
    checkpoint: Option<u64>,
    /// How many records of that are lost, at least; null if that cannot be told.
    lost: Option<u64>,
    /// The records are not those of the checkpoint, although there are as many.
    forked: bool,
}

/// What the records add up to; nulls if they were not read for it.
#[derive(Debug, Default, Serialize)]
struct Sums {
    cooperatives: Option<u64>,
    accounts: Option<u64>,
    loans: Option<u64>,
    allocated: Option<String>,
    disbursed: Option<String>,
    granted: Option<String>,
    principal_repaid: Option<String>,
    interest_received: Option<String>,
    late_fees_received: Option<String>,
    available: Option<String>,
    committed: Option<String>,
    outstanding: Option<String>,
    written_off: Option<String>,
    recovered: Option<String>,
    cash: Option<String>,
}

pub(super) fn run(args: &VerifyArgs, json: bool) -> Result<(), Failure> {
    let depth = if args.chain_only { Depth::ChainOnly } else { Depth::Rules };
    let trust = args.trust()?;
    let options = Options { ledger: args.ledger, depth, trust, ..Options::default() };
    let Verification { ledgers: reports, passed_over } =
        verify_with(&args.path, &options).map_err(Failure::could_not)?;
    let mut worst = Verdict::Valid;
    for report in &reports {
        worst = worst.max(report.finding.verdict());
        if json {
            let found = serde_json::to_string(&found(report))
                .expect("a struct of texts and numbers is always JSON");
            output::line(found)?;
        } else {
            let mut page = Page::default();
            show(&mut page, report);
            page.print()?;
        }
    }
    show_passed_over(&passed_over, json)?;
    match worst {
        Verdict::Valid => Ok(()),
        Verdict::Invalid => Err(Failure::Invalid),
        Verdict::CannotTell => Err(Failure::CouldNotTell(
            "it could not be told whether the ledger is valid; see above".to_owned(),
        )),
    }
}

/// A finding in one line.
pub(crate) fn finding(finding: &Finding) -> String {
    let (position, reason, place) = bad(finding);
    let reason = reason.unwrap_or_else(|| "valid".to_owned());
    let at = position.map(|position| format!("position {position}: ")).unwrap_or_default();
    let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
    format!("{at}{reason}{place}")
}

/// Verifies what lies at that path, with a bar if it takes long.
pub(crate) fn verify(path: &Path, ledger: Option<LedgerId>) -> Result<Verification, CannotTell> {
    verify_with(path, &Options { ledger, ..Options::default() })
}

pub(crate) fn verify_with(path: &Path, options: &Options) -> Result<Verification, CannotTell> {
    let mut bar = Bar::patient();
    let found = bergulir_audit::verify(path, options, &mut |progress| {
        bar.tell(super::stage(progress.stage), progress.done, progress.total);
    });
    bar.done();
    found
}

/// Says what lies among the ledgers and is none: to programs in one line beside the answer.
fn show_passed_over(passed_over: &[PassedOver], json: bool) -> Result<(), Failure> {
    if passed_over.is_empty() {
        return Ok(());
    }
    if json {
        let each = passed_over
            .iter()
            .map(|one| json!({"path": one.path.display().to_string(), "why": one.why.to_string()}));
        eprintln!("{}", json!({"passed_over": each.collect::<Vec<_>>()}));
        return Ok(());
    }
    let mut page = Page::default();
    for one in passed_over {
        page.line(format_args!("Dilewati / Passed over: {one}"));
    }
    page.print()
}

/// Whether a finding is bad, where, why, and in which file.
fn bad(finding: &Finding) -> (Option<u64>, Option<String>, Option<String>) {
    match finding {
        Finding::Valid => (None, None, None),
        Finding::Invalid { position, reason, place } => (
            Some(position.get()),
            Some(reason.to_string()),
            place.as_ref().map(ToString::to_string),
        ),
        Finding::Torn { position, bytes, place } => (
            Some(position.get()),
            Some(format!(
                "the last frame is not whole: {bytes} bytes of it are there. A crash tore it, or \
                 the end was cut off"
            )),
            Some(place.to_string()),
        ),
        Finding::Empty => (None, Some("there is no record at all".to_owned()), None),
        Finding::Unreadable { position, why } => (Some(position.get()), Some(why.clone()), None),
        Finding::Unproven(unproven) => (None, Some(unproven.to_string()), None),
    }
}

impl Sums {
    fn of(totals: &Totals) -> Sums {
        Sums {
            cooperatives: Some(totals.cooperatives),
            accounts: Some(totals.accounts),
            loans: Some(totals.loans),
            allocated: Some(exact(totals.allocated)),
            disbursed: Some(exact(totals.disbursed)),
            granted: Some(exact(totals.granted)),
            principal_repaid: Some(exact(totals.principal_repaid)),
            interest_received: Some(exact(totals.interest_received)),
            late_fees_received: Some(exact(totals.late_fees_received)),
            available: Some(exact(totals.available)),
            committed: Some(exact(totals.committed)),
            outstanding: Some(exact(totals.outstanding)),
            written_off: Some(exact(totals.written_off)),
            recovered: Some(exact(totals.recovered)),
            cash: Some(exact(totals.cash)),
        }
    }
}

fn found(report: &LedgerReport) -> Found {
    let (position, reason, place) = bad(&report.finding);
    let valid = report.finding.verdict() == Verdict::Valid;
    Found {
        ledger: report.ledger.map(|ledger| ledger.to_string()),
        origin: report.origin.clone(),
        continued: report.continued.iter().map(continued).collect(),
        kind: kind(report.bundle),
        from: report.first.get(),
        valid,
        verified: valid,
        verdict: match report.finding.verdict() {
            Verdict::Valid => "valid",
            Verdict::Invalid => "invalid",
            Verdict::CannotTell => "cannot_tell",
        },
        records: report.records.get(),
        head_hash: report.head_hash.to_string(),
        tree_size: report.tree_size.get(),
        root_hash: report.root_hash.to_string(),
        checkpoint: report.checkpoint.map(LogSize::get),
        witnesses: report.witnesses.clone(),
        checked: report.checked.iter().map(ToString::to_string).collect(),
        not_checked: report.not_checked.iter().map(ToString::to_string).collect(),
        seals: report.seals,
        sums: if report.has_totals() { Sums::of(&report.totals) } else { Sums::default() },
        position,
        reason,
        place,
        elapsed_seconds: report.elapsed.as_secs_f64(),
        records_per_second: report.records_per_second(),
    }
}

fn continued(told: &bergulir_audit::Continued) -> Continued {
    Continued {
        position: told.position.get(),
        from_origin: told.from_origin.clone(),
        origin: told.origin.clone(),
        checkpoint: told.checkpoint.map(LogSize::get),
        lost: told.lost,
        forked: told.forked,
    }
}

/// What was verified, in one word.
pub(super) fn kind(bundle: Option<Kind>) -> &'static str {
    match bundle {
        None => "ledger",
        Some(Kind::Log) => "log",
        Some(Kind::Range { .. }) => "range",
        Some(Kind::Cooperative { .. }) => "cooperative",
    }
}

/// Says what was checked, and what could not be.
fn show_scope(page: &mut Page, report: &LedgerReport) {
    for (title, lines) in [
        ("Diperiksa / Checked:", report.checked.iter().map(ToString::to_string).collect()),
        (
            "Tidak diperiksa / Not checked:",
            report.not_checked.iter().map(ToString::to_string).collect::<Vec<String>>(),
        ),
    ] {
        if !lines.is_empty() {
            page.line(title);
        }
        for line in lines {
            page.line(format_args!("  - {line}"));
        }
    }
}

/// Shows the accounts of a cooperative's view.
fn show_accounts(page: &mut Page, report: &LedgerReport) {
    if report.accounts.is_empty() {
        return;
    }
    page.rows(
        &[
            "Rekening / Account",
            "Catatan / Records",
            "Pencairan / Disbursed",
            "Hibah / Granted",
            "Pokok kembali / Repaid",
            "Jasa / Interest",
            "Sisa pokok / Outstanding",
        ],
        1,
        report.accounts.iter().map(|account| {
            let balances = &account.balances;
            vec![
                format!("funds/{}/accounts/{}", account.fund, account.account),
                count(account.records),
                rupiah(balances.disbursed),
                rupiah(balances.granted),
                rupiah(balances.principal_repaid),
                rupiah(balances.interest_paid),
                rupiah(owed(balances)),
            ]
        }),
    );
}

/// What an account owes; sums of what a leaf says can overflow.
fn owed(balances: &AccountBalances) -> i64 {
    let left = balances.disbursed.saturating_sub(balances.principal_repaid);
    left.saturating_sub(balances.written_off)
}

/// Shows what the records add up to.
fn show_totals(page: &mut Page, totals: &Totals) {
    page.rows(
        &["Dihitung ulang dari log / Recomputed from the log", "Rp"],
        1,
        [
            ("Alokasi / Allocated", totals.allocated),
            ("Pencairan / Disbursed", totals.disbursed),
            ("Hibah / Granted", totals.granted),
            ("Pokok kembali / Principal repaid", totals.principal_repaid),
            ("Jasa diterima / Interest received", totals.interest_received),
            ("Denda diterima / Late fees received", totals.late_fees_received),
            ("Tersedia / Available", totals.available),
            ("Sisa pokok / Outstanding", totals.outstanding),
            ("Dihapuskan / Written off", totals.written_off),
            ("Penerimaan kembali / Recovered", totals.recovered),
        ]
        .into_iter()
        .map(|(name, minor)| vec![name.to_owned(), rupiah(minor)]),
    );
    page.line(format_args!(
        "Koperasi / Cooperatives: {} · Rekening / Accounts: {} · Pinjaman / Loans: {}",
        count(totals.cooperatives),
        count(totals.accounts),
        count(totals.loans)
    ));
}

/// Shows a report to people.
pub(crate) fn show(page: &mut Page, report: &LedgerReport) {
    let verdict = match report.finding.verdict() {
        Verdict::Valid => "SAH / VALID",
        Verdict::Invalid => "TIDAK SAH / INVALID",
        Verdict::CannotTell => "TIDAK DAPAT DIPASTIKAN / COULD NOT TELL",
    };
    let ledger = report
        .ledger
        .map_or_else(|| report.folder.display().to_string(), |ledger| ledger.to_string());
    let (position, reason, place) = bad(&report.finding);
    let mut facts = vec![("Hasil / Result", verdict.to_owned())];
    if let Some(position) = position {
        facts.push(("Posisi pertama yang salah / First bad position", position.to_string()));
    }
    if let Some(reason) = reason {
        facts.push(("Sebab / Why", reason));
    }
    if let Some(place) = place {
        facts.push(("Tempat / Where", place));
    }
    for told in &report.continued {
        facts.push(("Dilanjutkan / Continued", told.to_string()));
    }
    facts.extend([
        ("Catatan benar / Records found right", count(report.records.get())),
        ("Sidik kepala / Head hash", report.head_hash.to_string()),
        ("Akar pohon / Root hash", report.root_hash.to_string()),
        ("Catatan di bawah akar / Records under the root", count(report.tree_size.get())),
        ("Segel dibandingkan / Seals compared", count(report.seals)),
        ("Catatan per detik / Records a second", count(report.records_per_second())),
    ]);
    page.facts(&format!("Verifikasi / Verification: {ledger}"), &facts);

    show_scope(page, report);
    if report.has_totals() {
        show_totals(page, &report.totals);
    }
    show_accounts(page, report);
    if !report.not_read.is_empty() {
        page.line(format_args!("Tidak dibaca / Not read: {}", report.not_read.join(", ")));
    }
}
