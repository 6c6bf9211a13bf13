//! The programme, step by step.

use std::fmt::Display;
use std::time::Instant;

use bergulir_domain::Amount;
use bergulir_proto::{minor_from_wire, pb};
use indicatif::ProgressBar;
use time::OffsetDateTime;

use super::programme::{self, Calendar, FUND, INSTALMENTS, LOAN_MINOR, WAVES, wave};
use super::roster::{Cooperative, Roster};
use crate::desk::{Desk, Person, first, new_id, refused};
use crate::failure::Failure;
use crate::output::{self, count, rupiah};
use crate::parse::CURRENCY;
use crate::progress;

/// Tells people how far it is: on the standard output, or beside it if that is for a program.
#[derive(Debug)]
pub(crate) struct Story {
    beside: bool,
}

impl Story {
    pub(crate) const fn new(json: bool) -> Story {
        Story { beside: json }
    }

    /// One line.
    pub(crate) fn say(&self, line: impl Display) {
        if self.beside {
            eprintln!("{line}");
        } else {
            // If nobody reads, the programme goes on all the same.
            let _ = output::line(line);
        }
    }

    /// A step of so many commands, with a bar while it lasts.
    async fn step<T>(
        &self,
        what: &str,
        commands: usize,
        work: impl AsyncFnOnce(&ProgressBar) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        let bar = progress::bar(commands as u64);
        bar.set_message(what.to_owned());
        let done = work(&bar).await;
        bar.finish_and_clear();
        if done.is_ok() {
            self.say(format_args!(
                "  ✓ {what}: {} ({:.1} s)",
                count(commands as u64),
                began.elapsed().as_secs_f64()
            ));
        }
        done
    }
}

/// Runs the whole programme.
pub(crate) async fn programme(
    desk: &Desk,
    roster: &Roster,
    ledger: &str,
    story: &Story,
) -> Result<Lent, Failure> {
    let calendar = Calendar::before(OffsetDateTime::now_utc());
    let all = roster.cooperatives.as_slice();
    let setup = Box::pin(opened(desk, roster, ledger, calendar));
    story
        .step("Dana dibuka dan dialokasikan / Fund opened, allocated", 3, async |_| setup.await)
        .await?;

    let ready = all.first().map_or(0, |first| programme::make_ready(first).len());
    story
        .step(
            "Terdaftar, siap, rekening / Registered, ready, account",
            all.len() * ready,
            async |bar| {
                let groups = all.iter().map(programme::make_ready);
                desk.send(Person::Maker, groups, bar).await
            },
        )
        .await?;
    lend(desk, all, 1, story).await?;
    for number in 0..WAVES {
        let of_wave = || {
            let placed = all.iter().enumerate();
            placed.filter(|(place, _)| wave(*place, all.len()) == number).map(|(_, c)| c)
        };
        let what = format!("Pencairan tahap {0} / Disbursed, wave {0}", number + 1);
        story
            .step(&what, of_wave().count(), async |bar| {
                let on = calendar.disbursed(number);
                let groups = of_wave().map(|c| vec![programme::disburse(c, 1, on)]);
                desk.send(Person::Maker, groups, bar).await
            })
            .await?;
    }
    for instalment in 0..INSTALMENTS {
        // The last one of the first cooperative goes wrong first.
        if instalment == INSTALMENTS - 1
            && let [right, wrong, ..] = all
        {
            let correction = Box::pin(corrected(desk, right, wrong, calendar, all.len()));
            story
                .step("Salah bayar, dibatalkan / Wrong payment, reversed", 3, async |_| {
                    correction.await
                })
                .await?;
        }
        let what = format!("Angsuran ke-{0} / Instalment {0}", instalment + 1);
        story
            .step(&what, all.len(), async |bar| {
                let groups = all.iter().enumerate().map(|(place, cooperative)| {
                    let on = calendar.repaid(wave(place, all.len()), instalment);
                    vec![programme::repay_own(cooperative, instalment, on)]
                });
                desk.send(Person::Maker, groups, bar).await
            })
            .await?;
    }
    let further = lend_again(desk, all, calendar, story).await?;
    let sealing = desk
        .commands()
        .create_seal(Desk::from(Person::Maker, pb::CreateSealRequest { ledger: desk.ledger() }))
        .await;
    sealing.map_err(|status| refused(&status))?;
    Ok(Lent { further, shown: all.get(1).or(all.first()).map(programme::Ids::of) })
}

/// What the programme did that the answers at the end are about.
#[derive(Debug, Clone)]
pub(crate) struct Lent {
    /// How many loans were made from what came back.
    pub(crate) further: usize,
    /// The cooperative whose trail is shown: the one that got the wrong payment, if there is one.
    pub(crate) shown: Option<programme::Ids>,
}

/// Ledger, fund and money.
async fn opened(
    desk: &Desk,
    roster: &Roster,
    ledger: &str,
    calendar: Calendar,
) -> Result<(), Failure> {
    let total = i64::try_from(roster.cooperatives.len())
        .ok()
        .and_then(|cooperatives| cooperatives.checked_mul(LOAN_MINOR))
        .and_then(|minor| Amount::from_minor(minor).ok())
        .ok_or_else(|| {
            Failure::Input("so many cooperatives cannot be given money at once".to_owned())
        })?;
    let mut commands = desk.commands();
    let open = pb::OpenLedgerRequest {
        ledger: desk.ledger(),
        request_id: new_id(),
        open_ledger: Some(programme::open_ledger(ledger, roster)),
        ..pb::OpenLedgerRequest::default()
    };
    first(commands.open_ledger(Desk::from(Person::Maker, open)), |a| a.receipt).await?;
    let fund = pb::OpenFundRequest {
        ledger: desk.ledger(),
        request_id: new_id(),
        open_fund: Some(programme::open_fund(calendar)),
        ..pb::OpenFundRequest::default()
    };
    first(commands.open_fund(Desk::from(Person::Maker, fund)), |a| a.receipt).await?;
    let allocate = pb::AllocateFundRequest {
        ledger: desk.ledger(),
        request_id: new_id(),
        allocate_fund: Some(programme::allocate(total, calendar)),
        ..pb::AllocateFundRequest::default()
    };
    first(commands.allocate_fund(Desk::from(Person::Maker, allocate)), |a| a.receipt).await?;
    Ok(())
}

/// Loans are proposed by one person and approved by another.
async fn lend(
    desk: &Desk,
    cooperatives: &[Cooperative],
    number: u32,
    story: &Story,
) -> Result<(), Failure> {
    let count = cooperatives.len();
    story
        .step("Pinjaman diusulkan / Loans proposed", count, async |bar| {
            let groups = cooperatives.iter().map(|c| vec![programme::propose(c, number)]);
            desk.send(Person::Maker, groups, bar).await
        })
        .await?;
    story
        .step("Pinjaman disetujui / Loans approved", count, async |bar| {
            let groups = cooperatives.iter().map(|c| vec![programme::approve(c, number)]);
            desk.send(Person::Checker, groups, bar).await
        })
        .await
}

/// The last instalment of `right` is posted to `wrong`, reversed by two people, and so free to be
/// posted anew.
async fn corrected(
    desk: &Desk,
    right: &Cooperative,
    wrong: &Cooperative,
    calendar: Calendar,
    cooperatives: usize,
) -> Result<(), Failure> {
    let mut commands = desk.commands();
    // Dated by the later of the two waves: before its first tranche nobody can repay a loan.
    let on = calendar.repaid(wave(1, cooperatives), INSTALMENTS - 1);
    let repay = pb::RepayRequest {
        ledger: desk.ledger(),
        request_id: new_id(),
        repay: Some(programme::repay(right, wrong, INSTALMENTS - 1, on)),
        ..pb::RepayRequest::default()
    };
    let posted = first(commands.repay(Desk::from(Person::Maker, repay)), |a| a.receipt).await?;
    let propose = pb::ProposeReversalRequest {
        ledger: desk.ledger(),
        request_id: new_id(),
        propose_reversal: Some(pb::ProposeReversal {
            reverses: posted,
            reason: "Dibukukan ke koperasi yang salah / posted to the wrong cooperative".to_owned(),
            evidence: None,
            expires_at: None,
        }),
        ..pb::ProposeReversalRequest::default()
    };
    let request = Desk::from(Person::Maker, propose);
    let proposal = first(commands.propose_reversal(request), |a| a.receipt).await?;
    let approve = pb::ApproveReversalRequest {
        ledger: desk.ledger(),
        request_id: new_id(),
        approve_reversal: Some(pb::ApproveReversal { proposal }),
        ..pb::ApproveReversalRequest::default()
    };
    let request = Desk::from(Person::Checker, approve);
    first(commands.approve_reversal(request), |a| a.receipt).await?;
    Ok(())
}

/// As many further loans as the principal that came back carries, to the first by code.
async fn lend_again(
    desk: &Desk,
    all: &[Cooperative],
    calendar: Calendar,
    story: &Story,
) -> Result<usize, Failure> {
    let fund = desk.fund(FUND).await?;
    let committable = fund
        .committable
        .as_ref()
        .and_then(|money| minor_from_wire(money, CURRENCY).ok())
        .ok_or_else(|| Failure::CouldNotTell("the fund's balance has no number".to_owned()))?;
    let carried = usize::try_from(committable / LOAN_MINOR).unwrap_or(0);
    let borrowers = &all[..carried.min(all.len())];
    story.say(format_args!(
        "  Kembali Rp {}: {further} pinjaman lagi / came back: {further} further loans",
        rupiah(committable),
        further = count(borrowers.len() as u64)
    ));
    if borrowers.is_empty() {
        return Ok(0);
    }
    lend(desk, borrowers, 2, story).await?;
    story
        .step("Dana bergulir dicairkan / Lent again, disbursed", borrowers.len(), async |bar| {
            let on = calendar.lent_again();
            let groups = borrowers.iter().map(|c| vec![programme::disburse(c, 2, on)]);
            desk.send(Person::Maker, groups, bar).await
        })
        .await?;
    Ok(borrowers.len())
}
