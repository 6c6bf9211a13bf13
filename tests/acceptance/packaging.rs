//! What is in `packaging/` fits the program that it is for.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use crate::support::run;
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
    let verify = Command::new("systemd-analyze").arg("verify").arg("--man=no").arg(&unit).output();
    let Ok(verified) = verify else {
        println!("skipped: there is no systemd-analyze here");
        return;
    };
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success(), "{said}");
    assert!(!said.contains("bergulir.service:"), "{said}");
}
