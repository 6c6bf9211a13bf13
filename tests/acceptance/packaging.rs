//! What is in `packaging/` fits the program that it is for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::pilot::{allocate, open_fund, open_ledger};
use crate::support::{Server, run};
use crate::telemetry::{get, watched};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

#[test]
fn the_example_configuration_is_good_and_knows_every_setting_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let [data, keys] = ["data", "keys"].map(|name| folder.path().join(name));
    let example = path("packaging/bergulir.toml");
    // Its folders are those of a machine that it is installed on.
    let output = run([
        "config",
        "check",
        "--config",
        example.to_str().unwrap(),
        "--data",
        data.to_str().unwrap(),
        "--keys",
        keys.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));

    // A line that is switched off is one, too: a setting after `#`, without a space.
    let whole = read("packaging/bergulir.toml");
    let switched_on = |line| {
        let off = str::strip_prefix(line, "#");
        off.filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase())).unwrap_or(line)
    };
    let all = whole.lines().map(switched_on).collect::<Vec<_>>().join("\n");
    assert_ne!(all, whole);
    let file = folder.path().join("all.toml");
    std::fs::write(&file, all).unwrap();
    let output = run(["config", "show", "--config", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The names of metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    let words = text.split(|c: char| !is_part(c));
    let ours = |word: &&str| {
        ["bergulir_", "process_"].iter().any(|prefix| word.starts_with(prefix)) && word.len() > 9
            // A crate, which RUST_LOG knows.
            && *word != "bergulir_server"
    };
    let plain = |word: &str| {
        let suffixes = ["_total", "_bucket", "_sum", "_count"];
        let end = suffixes.iter().find_map(|suffix| word.strip_suffix(suffix));
        end.unwrap_or(word).to_owned()
    };
    words.filter(ours).map(plain).collect()
}

#[test]
fn alerts_and_the_guide_speak_of_metrics_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, address) = watched(folder.path(), &[]);
    let scraped = get(&address, "/metrics");
    let types = scraped.text().lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let there: BTreeSet<&str> = types.filter_map(|line| line.split(' ').next()).collect();
    for file in ["packaging/alerts.yml", "docs/operations/monitoring.md"] {
        let named = metrics_in(&read(file));
        assert!(named.len() > 5, "{file}: {named:?}");
        for name in named {
            assert!(there.contains(name.as_str()), "{file} speaks of {name}: {there:?}");
        }
    }
    // And the guide says what each is.
    let guide = metrics_in(&read("docs/operations/monitoring.md"));
    for name in there {
        assert!(guide.contains(name), "docs/operations/monitoring.md does not say what {name} is");
    }
}

#[test]
fn systemd_understands_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("bergulir.service");
    // The program that was built, since none is installed.
    let text = read("packaging/bergulir.service")
        .replace("/usr/local/bin/bergulir", env!("CARGO_BIN_EXE_bergulir"));
    std::fs::write(&unit, text).unwrap();
    let Some(verified) = analyze(&["verify", "--man=no"], &unit) else { return };
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success(), "{said}");
    assert!(!said.contains("bergulir.service:"), "{said}");
}

/// What systemd says of a unit; `None`, and said to be skipped, where there is no systemd to ask.
fn analyze(args: &[&str], unit: &Path) -> Option<Output> {
    let ran = Command::new("systemd-analyze").args(args).arg(unit).output();
    let there = ran.ok().filter(|output| {
        // An older one knows no such question.
        !String::from_utf8_lossy(&output.stderr).contains("unrecognized option")
    });
    if there.is_none() {
        println!("SKIPPED: there is no systemd-analyze here that can be asked");
    }
    there
}

#[test]
fn the_unit_leaves_a_server_little_that_it_could_harm() {
    let unit = path("packaging/bergulir.service");
    // From 0 to 10, in tenths here; what is left is that it speaks over the network.
    let args = ["security", "--offline=true", "--threshold=15", "--no-pager"];
    let Some(output) = analyze(&args, &unit) else { return };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// The system calls that the unit lets through, by name.
fn allowed_calls() -> Option<BTreeSet<String>> {
    let unit = read("packaging/bergulir.service");
    let mut allowed = BTreeSet::new();
    for line in unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let (taken, sets) = match line.strip_prefix('~') {
            Some(sets) => (false, sets),
            None => (true, line),
        };
        for set in sets.split(' ') {
            for call in calls_of(set)? {
                if taken {
                    allowed.insert(call)
                } else {
                    allowed.remove(&call)
                };
            }
        }
    }
    Some(allowed)
}

/// The calls of a set of systemd's, with those of the sets in it; or the one call of that name. `None`
/// where there is no systemd that can be asked.
fn calls_of(set: &str) -> Option<Vec<String>> {
    if !set.starts_with('@') {
        return Some(vec![set.to_owned()]);
    }
    let args = ["syscall-filter", "--no-pager", set];
    let output = Command::new("systemd-analyze").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let mut calls = Vec::new();
    let names = text.lines().skip(1).map(str::trim).filter(|line| !line.starts_with('#'));
    for name in names.filter(|name| !name.is_empty()) {
        if name.starts_with('@') {
            calls.extend(calls_of(name)?);
        } else {
            calls.push(name.to_owned());
        }
    }
    Some(calls)
}

#[tokio::test]
async fn a_server_makes_no_system_call_that_the_unit_forbids() {
    let strace = Command::new("strace").args(["-c", "true"]).output();
    let (Some(allowed), true) = (allowed_calls(), strace.is_ok_and(|ran| ran.status.success()))
    else {
        println!("SKIPPED: it takes systemd-analyze and an strace that may trace");
        return;
    };
    // In force one after the other: the one that is let through again stands behind those taken away.
    assert!(allowed.contains("setpriority") && !allowed.contains("sched_setscheduler"));
    let folder = tempfile::tempdir().unwrap();
    let [data, counted] = ["data", "counted"].map(|name| folder.path().join(name));
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-c", "-S", "name", "-U", "name", "-o"]).arg(&counted);
    command.arg(env!("CARGO_BIN_EXE_bergulir")).args(["serve", "--listen", "127.0.0.1:0"]);
    command.arg("--data").arg(&data).args(["--metrics", "127.0.0.1:0"]).stderr(Stdio::null());
    let server = Server::command(command);
    let metrics = server.printed_address("serving metrics on http://", "/metrics");
    let mut client = server.client("maker").await;
    client.post(&open_ledger()).await;
    client.post(&open_fund()).await;
    client.post(&allocate(1, "A")).await;
    assert_eq!(get(&metrics, "/metrics").status, 200);
    // The child of strace, not strace.
    let stop = Command::new("pkill").args(["-TERM", "-P", &server.id().to_string()]).status();
    assert!(stop.unwrap().success());
    assert!(server.wait().success());
    let text = std::fs::read_to_string(&counted).unwrap();
    // A name a line, between a head and a sum.
    let names = text.lines().map(str::trim).filter(|line| !line.starts_with('-'));
    let made: BTreeSet<&str> =
        names.filter(|name| !["syscall", "total", ""].contains(name)).collect();
    assert!(made.contains("fdatasync") && made.len() > 30, "{text}");
    let forbidden: Vec<_> = made.iter().filter(|call| !allowed.contains(**call)).collect();
    assert!(forbidden.is_empty(), "{forbidden:?}");
}

#[test]
fn nothing_is_built_by_other_means_than_rust_and_a_c_compiler() {
    let lock = read("Cargo.lock");
    for tool in
        ["cmake", "bindgen", "nasm-rs", "openssl-src", "aws-lc-sys", "protobuf-src", "autotools"]
    {
        assert!(!lock.contains(&format!("name = \"{tool}\"\n")), "{tool}");
    }
}
