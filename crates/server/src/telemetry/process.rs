//! What the operating system says of this process. Where it does not say, nothing is shown.

use std::fs;
use std::path::Path;

/// Memory, time and files of the process.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) most_files: Option<u64>,
    pub(super) threads: Option<u64>,
}

impl Process {
    pub(super) fn now() -> Process {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let ticks = rustix::param::clock_ticks_per_second();
        Process {
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            most_files: limits.current,
            ..read(&stat, ticks, rustix::param::page_size() as u64)
        }
    }
}

/// Reads `/proc/self/stat`: the fields after the name, which is in parentheses and may hold anything.
fn read(stat: &str, ticks_per_second: u64, page: u64) -> Process {
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // The manual counts from 1, and the third field, the state, is the first one here.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    #[expect(clippy::cast_precision_loss, reason = "hundredths of seconds, shown as seconds")]
    let seconds = |ticks: u64| ticks as f64 / ticks_per_second as f64;
    let cpu = field(14).zip(field(15)).map(|(user, system)| seconds(user + system));
    Process {
        cpu_seconds: cpu,
        resident_bytes: field(24).map(|pages| pages * page),
        threads: field(20),
        ..Process::default()
    }
}

/// The bytes that are free on the disk of a folder, and all that it has.
pub(super) fn disk(folder: &Path) -> Option<(u64, u64)> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some((disk.f_bavail.checked_mul(disk.f_frsize)?, disk.f_blocks.checked_mul(disk.f_frsize)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_system_is_read_by_its_numbers() {
        let line = "7 (a) b) S 1 7 7 0 -1 4194560 999 0 0 0 250 50 0 0 20 0 9 0 100 4096 25 0\n";
        let process = read(line, 100, 4_096);
        assert_eq!(process.cpu_seconds, Some(3.0));
        assert_eq!(process.threads, Some(9));
        assert_eq!(process.resident_bytes, Some(25 * 4_096));
        assert_eq!(read("", 100, 4_096), Process::default());
    }
}
