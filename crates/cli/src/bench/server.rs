//! The server under load: a process of its own on a fresh directory, and what it uses.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::failure::Failure;

/// What the line of a server that is ready begins with.
const READY: &str = "listening on ";
/// Linux counts a process's time in hundredths of a second (`USER_HZ`), on every machine.
const TICKS_A_SECOND: u32 = 100;

/// A server in a process of its own.
pub(crate) struct Server {
    process: Child,
    data: tempfile::TempDir,
    address: SocketAddr,
}

/// How often the server is asked whether it has stopped.
const STOP_PAUSE: Duration = Duration::from_millis(5);

impl Server {
    /// Starts this program as a server on a fresh directory and waits until it is ready.
    pub(crate) fn start() -> Result<Server, Failure> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            Failure::CouldNotTell(format!("the server could not be started: {what}: {error}"))
        };
        let data = tempfile::Builder::new()
            .prefix("bergulir-bench-")
            .tempdir()
            .map_err(|error| failed("no temporary directory", &error))?;
        let program = std::env::current_exe().map_err(|error| failed("no program", &error))?;
        let log = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned());
        let mut process = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .env("RUST_LOG", log)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed("no process", &error))?;
        let mut line = String::new();
        if let Some(out) = process.stdout.take() {
            BufReader::new(out)
                .read_line(&mut line)
                .map_err(|error| failed("no answer", &error))?;
        }
        let ready = line.trim().strip_prefix(READY);
        let Some(address) = ready.and_then(|address| address.parse().ok()) else {
            let _ = process.kill();
            let _ = process.wait();
            return Err(failed("it ended before it was ready", &line));
        };
        Ok(Server { process, data, address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Processor time used so far, in seconds; `None` where the system does not tell.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        cpu_seconds(&self.process.id().to_string())
    }

    /// Memory in use, in bytes; `None` where the system does not tell.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(proc(&self.process.id().to_string(), "status"));
        resident_bytes(&status.ok()?)
    }

    /// Asks it to stop in order and waits until it has. Connections that were let go of are closed
    /// meanwhile, for which the server waits.
    pub(crate) async fn stop(&mut self) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::CouldNotTell(format!("the server could not be stopped: {error}"))
        };
        if let Some(pid) =
            i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)
                .map_err(|error| failed(&error))?;
        }
        loop {
            if let Some(status) = self.process.try_wait().map_err(|error| failed(&error))? {
                return if status.success() { Ok(()) } else { Err(failed(&status)) };
            }
            tokio::time::sleep(STOP_PAUSE).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing to do if it has ended; no process may stay behind if it has not.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Processor time that this process used so far, in seconds.
pub(crate) fn own_cpu_seconds() -> Option<f64> {
    cpu_seconds("self")
}

fn cpu_seconds(process: &str) -> Option<f64> {
    let stat = std::fs::read_to_string(proc(process, "stat")).ok()?;
    cpu_ticks(&stat).map(|ticks| f64::from(ticks) / f64::from(TICKS_A_SECOND))
}

fn proc(process: &str, what: &str) -> PathBuf {
    Path::new("/proc").join(process).join(what)
}

/// User and system time of `/proc/PID/stat`: the 14th and 15th field, counted after the name,
/// which may hold spaces.
fn cpu_ticks(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

/// `VmRSS` of `/proc/PID/status`.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1_024)
}

/// The bytes of all files in a folder and below.
pub(crate) fn folder_bytes(folder: &Path) -> u64 {
    let Ok(found) = std::fs::read_dir(folder) else {
        return 0;
    };
    found
        .filter_map(Result::ok)
        .map(|file| match file.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_bytes(&file.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_time_and_memory() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 4 0 100 0";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("nonsense"), None);
        let status = "Name:\tx\nVmPeak:\t  1 kB\nVmRSS:\t   2048 kB\n";
        assert_eq!(resident_bytes(status), Some(2_097_152));
    }

    #[test]
    fn a_folder_is_as_large_as_its_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a").join("b"), [0; 10]).unwrap();
        std::fs::write(folder.path().join("c"), [0; 5]).unwrap();
        assert_eq!(folder_bytes(folder.path()), 15);
        assert_eq!(folder_bytes(&folder.path().join("none")), 0);
    }
}
