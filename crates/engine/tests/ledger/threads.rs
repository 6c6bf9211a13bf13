//! The threads of a ledger, as the operating system sees them.

use crate::support::*;
use std::fs;
use std::time::{Duration, Instant};

/// Name and niceness of every thread of this process.
fn threads() -> Vec<(String, i32)> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    // One may end meanwhile.
    tasks.filter_map(|task| stat(&fs::read_to_string(task.path().join("stat")).ok()?)).collect()
}

/// Of `proc_pid_stat(5)` the second field, in brackets, and the nineteenth.
fn stat(line: &str) -> Option<(String, i32)> {
    let (before, after) = line.rsplit_once(") ")?;
    let name = before.split_once('(')?.1;
    Some((name.to_owned(), after.split(' ').nth(16)?.parse().ok()?))
}

#[tokio::test]
#[cfg_attr(not(target_os = "linux"), ignore = "elsewhere a thread has no niceness of its own")]
async fn who_is_waited_for_by_nobody_is_nicer_than_who_writes() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    let (_, own) = stat(&fs::read_to_string("/proc/thread-self/stat").unwrap()).unwrap();
    let nicer = (own + 5).min(19);
    let began = Instant::now();
    // One that was just started has not said so yet.
    while !threads().contains(&("index".to_owned(), nicer)) {
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", threads());
        std::thread::sleep(Duration::from_millis(10));
    }
    for name in ["writer", "persister", "projector"] {
        assert!(threads().contains(&(name.to_owned(), own)), "{name}: {:?}", threads());
    }
    desk.stop().await;
}
