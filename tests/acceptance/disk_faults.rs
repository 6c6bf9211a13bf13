//! A disk that breaks or fills up under a running server: nothing is acknowledged falsely, reads go on,
//! health says so, and when the disk works again the ledger does too, without a restart.

use crate::disk::dice::Dice;
use crate::disk::{Disk, Fault, Mounted, Operation, Rule, Then};
use crate::pilot::{allocate, open_fund, open_ledger};
use crate::support::{Client, LEDGER, Server, last_json, run};
use bergulir_proto::pb;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use uuid::Uuid;

/// How long a ledger may take to be there again: it is tried at growing intervals.
const PATIENCE: Duration = Duration::from_secs(90);

/// So many records have no room on the small file system.
const MORE_THAN_FITS: usize = 5_000;

/// A server on a disk of ours, and what its callers were told.
struct Office {
    mounted: Mounted,
    server: Server,
    client: Client,
    /// Request id, bank reference, position and hash.
    acknowledged: Vec<(Uuid, String, u64, Vec<u8>)>,
}

impl Office {
    /// With some money in a fund; `None` where no such disk can be had.
    async fn open() -> Option<Office> {
        let mounted = Mounted::new(Disk::default())?;
        let server = Server::start(&mounted.data());
        let mut client = server.client("maker").await;
        client.post(&open_ledger()).await;
        client.post(&open_fund()).await;
        let mut office = Office { mounted, server, client, acknowledged: Vec::new() };
        for _ in 0..5 {
            office.allocate(Uuid::new_v4()).await.unwrap();
        }
        Some(office)
    }

    async fn allocate(&mut self, id: Uuid) -> Result<(), Status> {
        let reference = format!("D-{id}");
        let receipt = self.client.send(id, &allocate(3, &reference)).await?;
        self.acknowledged.push((id, reference, receipt.position, receipt.record_hash));
        Ok(())
    }

    fn break_disk(&self, operation: Operation, path: &'static str, then: Then) {
        self.mounted.disk().rules = vec![Rule { operation, path, then }];
    }

    fn mend_disk(&self) {
        self.mounted.disk().rules.clear();
    }

    async fn health(&self) -> i32 {
        let address = format!("http://{}", self.server.address);
        let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
        let mut health = HealthClient::new(channel);
        let request = HealthCheckRequest { service: LEDGER.to_owned() };
        health.check(request).await.unwrap().into_inner().status
    }

    /// Sends the same until it is accepted.
    async fn until_accepted(&mut self, id: Uuid) {
        let began = Instant::now();
        while let Err(status) = self.allocate(id).await {
            assert!(began.elapsed() < PATIENCE, "{status:?}");
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Every receipt stands, and is given again.
    async fn everything_stands(&mut self) {
        let records = self.client.records().await;
        for (id, reference, position, hash) in &self.acknowledged {
            assert_eq!(&records[usize::try_from(*position).unwrap()].record_hash, hash);
            let again = self.client.send(*id, &allocate(3, reference)).await.unwrap();
            assert_eq!((again.duplicate, again.position), (true, *position));
        }
    }

    /// The power is cut, and comes back.
    async fn power_cut(self) -> Office {
        let Office { mounted, server, acknowledged, .. } = self;
        let survivor = mounted.disk().survivor(&mut Dice::new(1));
        server.kill();
        drop(mounted);
        let mounted = Mounted::new(survivor).expect("there was one before");
        let server = Server::start(&mounted.data());
        let client = server.client("maker").await;
        Office { mounted, server, client, acknowledged }
    }

    /// Stops, and has it verified.
    async fn close(mut self) {
        self.everything_stands().await;
        assert_eq!(self.health().await, ServingStatus::Serving as i32);
        assert!(self.server.stop().success());
        verify(&self.mounted.data(), self.acknowledged.len());
    }
}

fn verify(data: &Path, acknowledged: usize) {
    let verified = run(["audit", "verify", "--json", data.to_str().unwrap()]);
    let report = last_json(&verified);
    assert_eq!(verified.status.code(), Some(0), "{report}");
    assert_eq!(report["allocated"], format!("{}.00", acknowledged * 3), "{report}");
}

/// The log cannot be written or synced.
async fn log_fails(operation: Operation, then: Then) {
    let Some(mut office) = Office::open().await else { return };
    office.break_disk(operation, "/log/", then);
    let id = Uuid::new_v4();
    let refused = office.allocate(id).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    // It stays so while the disk is broken, however often the ledger is opened again.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        let refused = office.allocate(Uuid::new_v4()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        assert!(!refused.message().contains("/log/"), "no path of the server: {refused:?}");
        assert_eq!(office.health().await, ServingStatus::NotServing as i32);
        // Those of before are read all the same.
        assert!(office.client.records().await.len() >= 2 + office.acknowledged.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    office.mend_disk();
    office.until_accepted(id).await;
    // What the page cache showed when it went on is on the disk, too.
    let mut office = office.power_cut().await;
    office.everything_stands().await;
    office.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_error_of_the_log() {
    log_fails(Operation::Write, Then::Fail(Fault::Broken)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_error_of_the_log() {
    log_fails(Operation::Sync, Then::Fail(Fault::Broken)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_room_for_the_log() {
    log_fails(Operation::Write, Then::Fail(Fault::Full)).await;
}

/// The rest of a short write is written with the next call, which the operating system allows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_writes_of_the_log() {
    let Some(mut office) = Office::open().await else { return };
    office.break_disk(Operation::Write, "/log/", Then::Short);
    for _ in 0..5 {
        let id = Uuid::new_v4();
        if let Err(status) = office.allocate(id).await {
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            office.mend_disk();
            office.until_accepted(id).await;
        }
    }
    office.mend_disk();
    office.close().await;
}

/// What can be made anew, or later, does not keep the ledger from going on once the disk works.
async fn beside_the_log(operation: Operation, path: &'static str, then: Then) {
    let Some(mut office) = Office::open().await else { return };
    office.break_disk(operation, path, then);
    let id = Uuid::new_v4();
    for round in 0..4 {
        let seal = pb::CreateSealRequest { ledger: LEDGER.to_owned() };
        // The seal, the record and the checkpoint may each be refused; none takes the server away.
        _ = office.client.ledger.create_seal(seal).await;
        let id = if round == 0 { id } else { Uuid::new_v4() };
        if let Err(status) = office.allocate(id).await {
            assert_eq!(status.code(), Code::Unavailable, "{path}: {status:?}");
        }
        let checkpoint =
            pb::GetCheckpointRequest { ledger: LEDGER.to_owned(), ..Default::default() };
        _ = office.client.log.get_checkpoint(checkpoint).await;
        assert!(office.client.records().await.len() >= 2 + office.acknowledged.len());
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    office.mend_disk();
    office.until_accepted(Uuid::new_v4()).await;
    office.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_room_for_the_index() {
    beside_the_log(Operation::Write, "/index/", Then::Fail(Fault::Full)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_error_of_the_index() {
    beside_the_log(Operation::Sync, "/index/", Then::Fail(Fault::Broken)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_room_for_snapshots() {
    beside_the_log(Operation::Write, "/snapshots/", Then::Fail(Fault::Full)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_room_for_the_checkpoint() {
    beside_the_log(Operation::Write, "/checkpoint", Then::Fail(Fault::Full)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checkpoint_cannot_be_given_its_name() {
    beside_the_log(Operation::Names, "/checkpoint", Then::Fail(Fault::Broken)).await;
}

/// A small file system that is full, a real one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_writes_go_on_after_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let mount = |options: &str| {
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs", path]).status();
        mounted.is_ok_and(|status| status.success())
    };
    if !mount("size=24m") {
        eprintln!("SKIPPED: no tmpfs can be mounted here");
        return;
    }
    let server = Server::start(&folder.path().join("data"));
    let mut client = server.client("maker").await;
    client.post(&open_ledger()).await;
    client.post(&open_fund()).await;
    let mut acknowledged = 0;
    std::fs::write(folder.path().join("ballast"), vec![1; 8 << 20]).unwrap();
    let refused = loop {
        let (id, reference) = (Uuid::new_v4(), format!("F-{acknowledged}"));
        match client.send(id, &allocate(3, &reference)).await {
            Ok(_) => acknowledged += 1,
            Err(status) => break (id, reference, status),
        }
        assert!(acknowledged < MORE_THAN_FITS, "nothing is refused");
        // Files grow by the block, and sled's by more: fill up what is left.
        if acknowledged == 50 {
            _ = std::fs::write(folder.path().join("rest"), vec![1; 24 << 20]);
        }
    };
    let (id, reference, status) = refused;
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(client.records().await.len() >= 2 + acknowledged);
    std::fs::remove_file(folder.path().join("rest")).unwrap();
    std::fs::remove_file(folder.path().join("ballast")).unwrap();
    let began = Instant::now();
    while let Err(status) = client.send(id, &allocate(3, &reference)).await {
        assert!(began.elapsed() < PATIENCE, "{status:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(server.stop().success());
    verify(&folder.path().join("data"), acknowledged + 1);
    assert!(Command::new("umount").arg(path).status().unwrap().success());
}
