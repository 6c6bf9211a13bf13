//! A process that is stopped when it is dropped.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::net::TcpStream;

use crate::failure::Failure;

/// How long one may take to start.
const START: Duration = Duration::from_secs(60);
/// How long one may take to stop in order, before it is killed.
const STOP: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// How much of its log an error shows.
const LAST_LINES: usize = 3;

#[derive(Debug)]
pub struct Process {
    child: Child,
    what: String,
    log: PathBuf,
    stop: Signal,
}

impl Process {
    /// Starts it in a process group of its own, so that Ctrl-C comes to this program alone. What
    /// it says on its standard error, and on its output if that goes nowhere else, is kept in a
    /// file of the folder.
    pub fn start(
        what: &str,
        command: &mut Command,
        folder: &Path,
        output: Option<File>,
    ) -> Result<Process, Failure> {
        let log = folder.join("log");
        let errors = File::create(&log)?;
        let output = match output {
            Some(output) => output,
            None => errors.try_clone()?,
        };
        let child =
            command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0).spawn()?;
        // SIGINT, since PostgreSQL waits for its clients on SIGTERM.
        Ok(Process { child, what: what.to_owned(), log, stop: Signal::INT })
    }

    /// Has it killed when it is to stop. For one that waits then until its connections are closed,
    /// which this program's only thread cannot do while it waits itself.
    pub fn killed_at_the_end(mut self) -> Process {
        self.stop = Signal::KILL;
        self
    }

    /// Waits until it takes connections.
    pub async fn listening(&mut self, port: u16) -> Result<(), Failure> {
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if self.child.try_wait()?.is_some() || began.elapsed() > START {
                return Err(Failure::NotReady { what: self.what.clone(), log: self.last_words() });
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub async fn finished(&mut self) -> Result<(), Failure> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return self.judged(status);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn judged(&self, status: ExitStatus) -> Result<(), Failure> {
        if status.success() {
            return Ok(());
        }
        Err(Failure::Ended { what: self.what.clone(), status, log: self.last_words() })
    }

    pub fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join(" | ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else {
            return;
        };
        // An error of any step means that there is nobody left to be stopped.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process(pid, self.stop);
            let asked = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < STOP {
                std::thread::sleep(LOOK);
            }
        }
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// A port that nobody uses now.
pub fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The first of these that is a program: as it is if it has a folder, else from the PATH.
pub fn program(candidates: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    candidates.iter().find_map(|candidate| {
        if candidate.components().count() > 1 {
            return candidate.is_file().then(|| candidate.clone());
        }
        std::env::split_paths(&path).map(|folder| folder.join(candidate)).find(|at| at.is_file())
    })
}

/// What a program says of its version, in one line.
pub fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_drops_a_process_has_stopped_it_and_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $!; wait"]);
        let mut process = Process::start("sh", &mut command, folder.path(), None).unwrap();
        let began = Instant::now();
        let child = loop {
            if let Ok(pid) = process.last_words().trim().parse::<u32>() {
                break pid;
            }
            assert!(began.elapsed() < START && process.child.try_wait().unwrap().is_none());
            std::thread::sleep(LOOK);
        };
        drop(process);
        let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        // Nobody may have waited for it yet.
        while !state().is_empty() && !state().contains(") Z") {
            assert!(began.elapsed() < START, "{}", state());
            std::thread::sleep(LOOK);
        }
    }

    #[test]
    fn a_program_is_found_by_its_place_or_in_the_path() {
        assert!(program(&["no-such-program".into(), "sh".into()]).is_some());
        assert_eq!(program(&["/bin/sh".into()]), Some("/bin/sh".into()));
        assert_eq!(program(&["/no/such".into()]), None);
    }
}
