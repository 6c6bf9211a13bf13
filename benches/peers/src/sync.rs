//! What a sync costs at the moment: most of what changes from one turn to the next, on a machine
//! that is shared.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::failure::Failure;

const TRIES: usize = 25;
const PAGE: [u8; 4_096] = [1; 4_096];

/// How long a quiet moment is waited for.
const WAIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(500);

/// Waits for a moment in which a sync takes less than this, if it is given. Says what it takes.
pub async fn quiet(folder: &Path, below: Option<u64>) -> Result<u64, Failure> {
    let began = Instant::now();
    loop {
        let sync_us = probe(folder)?;
        if below.is_none_or(|below| sync_us < below) || began.elapsed() > WAIT {
            return Ok(sync_us);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The median of some appends of 4 KiB, each with its `fdatasync`, in microseconds.
fn probe(folder: &Path) -> Result<u64, Failure> {
    let place = folder.join("sync");
    let mut file = File::create(&place)?;
    let mut took = [0; TRIES];
    for took in &mut took {
        let began = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        *took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    }
    std::fs::remove_file(place)?;
    took.sort_unstable();
    Ok(took[TRIES / 2])
}
