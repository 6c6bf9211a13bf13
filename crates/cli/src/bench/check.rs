//! After a load: has everything caught up, are the balances those that were counted, and is the
//! log valid?

use std::path::Path;
use std::time::Duration;

use bergulir_audit::Verdict;
use bergulir_domain::LedgerId;
use bergulir_engine::LEDGERS_FOLDER;
use bergulir_proto::{minor_from_wire, pb};

use super::mix::Money;
use super::plan::FUND;
use super::server::folder_bytes;
use crate::audit;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::parse::CURRENCY;

/// How often a ledger is asked how far it has come.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until the balances, trails and the index of every ledger reflect all of its records.
pub(crate) async fn caught_up(desks: &[Desk]) -> Result<(), Failure> {
    for desk in desks {
        loop {
            let head = desk.head().await?;
            if head.projected_size == head.log_size {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Whether the balances of every ledger are those that the load counted.
pub(crate) async fn totals_match(desks: &[Desk], counted: &[Money]) -> Result<bool, Failure> {
    for (desk, money) in desks.iter().zip(counted) {
        let fund = desk.fund(FUND).await?;
        let minor = |money: Option<&pb::Money>| {
            let minor = money.and_then(|money| minor_from_wire(money, CURRENCY).ok())?;
            u64::try_from(minor).ok()
        };
        let owed = money.disbursed.checked_sub(money.principal);
        if minor(fund.principal_receivable.as_ref()) != owed
            || minor(fund.interest_income.as_ref()) != Some(money.interest)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The bytes of the logs and of the indexes of these ledgers.
pub(crate) fn bytes(data: &Path, ledgers: &[String]) -> (u64, u64) {
    let folders = ledgers.iter().map(|ledger| data.join(LEDGERS_FOLDER).join(ledger));
    folders.fold((0, 0), |(log, index), folder| {
        (log + folder_bytes(&folder.join("log")), index + folder_bytes(&folder.join("index")))
    })
}

/// How many records the logs of these ledgers have, as their files tell.
pub(crate) async fn records(desks: &[Desk]) -> Result<u64, Failure> {
    let mut records = 0;
    for desk in desks {
        records += desk.head().await?.log_size;
    }
    Ok(records)
}

/// Whether the logs of all ledgers are valid: chain, tree, rules and balances, from their bytes.
pub(crate) async fn verified(data: &Path, ledgers: &[String]) -> Result<bool, Failure> {
    for ledger in ledgers {
        let ledger = LedgerId::new(ledger).map_err(Failure::could_not)?;
        let data = data.to_owned();
        let found = tokio::task::spawn_blocking(move || audit::verify(&data, Some(ledger)))
            .await
            .map_err(Failure::could_not)?
            .map_err(Failure::could_not)?;
        let mut reports = found.ledgers.iter();
        if !reports.all(|report| report.finding.verdict() == Verdict::Valid) {
            return Ok(false);
        }
    }
    Ok(true)
}
