//! Flags over environment over file over defaults, and what is said of a configuration that is wrong.

use std::process::Output;
use std::time::Duration;

use bergulir_server::config::SETTINGS;
use serde_json::{Value, json};

use crate::support::{Server, bergulir, ended, last_json, run, run_briefly};

struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Scene {
        Scene(tempfile::tempdir().unwrap())
    }

    fn text(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file and gives its path.
    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.text(name), text).unwrap();
        self.text(name)
    }
}

fn with(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = bergulir(args.iter().copied());
    command.envs(environment.iter().copied());
    ended(command, Duration::from_secs(60))
}

/// The value of a setting and where it comes from.
fn shown(output: &Output, name: &str) -> (Value, Value) {
    let all = last_json(output);
    let found = all["settings"].as_array().unwrap().iter().find(|one| one["name"] == name);
    let found = found.unwrap_or_else(|| panic!("{name} is not shown: {all}"));
    (found["value"].clone(), found["from"].clone())
}

fn said(output: &Output) -> String {
    let [out, error] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}{error}")
}

#[test]
fn flags_go_before_the_environment_before_the_file_before_defaults() {
    let scene = Scene::new();
    let text =
        "# a comment\ndata = \"money\"\nlisten = \"127.0.0.1:1111\"\n\n[ledger]\nqueue = 77\n";
    let file = scene.file("bergulir.toml", text);
    let args = ["config", "show", "--json", "--config", &file];

    let output = with(&args, &[]);
    assert!(output.status.success(), "{}", said(&output));
    let line = |line| json!({"file": file, "line": line});
    // A relative path is relative to the file, wherever the command runs.
    assert_eq!(shown(&output, "data"), (json!(scene.text("money")), line(2)));
    assert_eq!(shown(&output, "listen"), (json!("127.0.0.1:1111"), line(3)));
    assert_eq!(shown(&output, "ledger.queue"), (json!(77), line(6)));
    let by_default = shown(&output, "ledger.seal_every");
    assert_eq!(by_default, (json!(1_000_000), json!({"default": true})));

    let environment = [
        ("BERGULIR_LISTEN", "127.0.0.1:2222"),
        ("BERGULIR_ANCHORS", "/a,/b"),
        ("BERGULIR_HTTP", ""),
    ];
    let output = with(&args, &environment);
    let from = |name: &str| json!({"environment": name});
    assert_eq!(shown(&output, "listen"), (json!("127.0.0.1:2222"), from("BERGULIR_LISTEN")));
    assert_eq!(shown(&output, "anchors"), (json!(["/a", "/b"]), from("BERGULIR_ANCHORS")));
    // A variable that is empty is not set.
    assert_eq!(shown(&output, "http"), (Value::Null, json!({"default": true})));

    let more = ["--listen", "127.0.0.1:3333", "--anchor", "/c", "--anchor", "/d"];
    let output = with(&[&args[..], &more].concat(), &environment);
    assert_eq!(shown(&output, "listen"), (json!("127.0.0.1:3333"), json!({"flag": "--listen"})));
    assert_eq!(shown(&output, "anchors"), (json!(["/c", "/d"]), json!({"flag": "--anchor"})));

    let file = ("BERGULIR_CONFIG", &*file);
    let table = said(&with(&["config", "show"], &[file, environment[0]]));
    let row = |name: &str| {
        let found = table.lines().find(|line| line.contains(name)).unwrap_or_default();
        found.split_whitespace().filter(|word| word.len() > 1).collect::<Vec<_>>().join(" ")
    };
    assert!(row(" listen ").contains("127.0.0.1:2222"), "{table}");
    assert!(row(" listen ").contains("BERGULIR_LISTEN"), "{table}");
    assert!(row(" policy ").contains("(no witnesses)"), "{table}");
}

#[test]
fn limits_of_single_principals_are_shown_and_a_wrong_one_is_said() {
    let scene = Scene::new();
    let text = "data = \"d\"\n[limits.principals.\"sipd.go.id\"]\nrate = 9000\ncalls = 0\n";
    let file = scene.file("bergulir.toml", text);
    let output = with(&["config", "show", "--json", "--config", &file], &[]);
    let expected = json!({"sipd.go.id": {"rate": 9000, "calls": 0}});
    let from = json!({"file": file, "line": 2});
    assert_eq!(shown(&output, "limits.principals"), (expected, from));
    let table = said(&with(&["config", "show", "--config", &file], &[]));
    assert!(table.contains("sipd.go.id: rate 9000, calls 0"), "{table}");
    let file = scene.file("wrong.toml", &text.replace("rate", "rat"));
    let output = with(&["config", "check", "--config", &file], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("[limits.principals]: unknown field `rat`"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_server_runs_with_its_file_and_its_environment() {
    let scene = Scene::new();
    let file = scene.file("bergulir.toml", "data = \"data\"\nhttp = \"127.0.0.1:0\"\n");
    let server = Server::run(["serve", "--config", &file]);
    assert!(server.printed.iter().any(|line| line.starts_with("serving logs on")));
    assert!(scene.0.path().join("data/ledgers").is_dir());
    drop(server);

    let output = with(&["serve"], &[("BERGULIR_CONFIG", &file), ("BERGULIR_HTTP", "192.0.2.1:1")]);
    assert_eq!(output.status.code(), Some(2));
    let said = said(&output);
    assert!(said.contains("BERGULIR_HTTP: 192.0.2.1:1 can be reached"), "{said}");
}

#[test]
fn a_check_says_all_that_is_wrong_and_where() {
    let scene = Scene::new();
    std::fs::create_dir(scene.text("keys")).unwrap();
    scene.file("keys/a.key", "no key\n");
    scene.file("no-folder", "");
    scene.file("policy", "nonsense\n");
    let text = "\
data = \"no-folder\"
lisen = \"127.0.0.1:1\"
http = 7448
anchors = [\"missing\", 5]
keys = \"keys\"
policy = \"policy\"
queue = 5
[ledger]
queue = 0
seal_evry = 10
[legder]
";
    let file = scene.file("wrong.toml", text);
    let environment =
        [("BERGULIR_LEDGER_SEAL_EVERY", "often"), ("BERGULIR_LISTENN", "127.0.0.1:1")];
    let output =
        with(&["config", "check", "--config", &file, "--listen", "0.0.0.0:1"], &environment);
    assert_eq!(output.status.code(), Some(1));
    let all = said(&output);
    for expected in [
        "wrong.toml:1: ", // that is no folder
        "no-folder is no folder",
        "wrong.toml:2: there is no setting `lisen`; did you mean `listen`?",
        "wrong.toml:3: `http` takes a string, in quotes, and this is of the type integer",
        "wrong.toml:4: `anchors` takes a list of strings",
        "wrong.toml:5: ",
        "a.key",
        "wrong.toml:6: ",
        "wrong.toml:7: there is no setting `queue`; did you mean `ledger.queue`?",
        "wrong.toml:9: `ledger.queue`: `0` is not a whole number from 1 to 1000000",
        "wrong.toml:10: there is no setting `ledger.seal_evry`; did you mean `ledger.seal_every`?",
        "wrong.toml:11: there is no setting `legder`",
        "BERGULIR_LEDGER_SEAL_EVERY: `ledger.seal_every`: `often` is not a whole number from 1000",
        "--listen: 0.0.0.0:1 can be reached from other machines",
        "warning: BERGULIR_LISTENN: no setting has this variable, so it does nothing; did you mean \
         BERGULIR_LISTEN?",
        "12 things are wrong",
    ] {
        assert!(all.contains(expected), "{expected}: {all}");
    }

    let with_json = [&["config", "check", "--json", "--config", &*file][..]].concat();
    let answer = last_json(&with(&with_json, &environment));
    assert_eq!(answer["valid"], false);
    assert_eq!(answer["problems"].as_array().unwrap().len(), 11);
    assert_eq!(answer["warnings"].as_array().unwrap().len(), 1);

    // A start refuses what can be seen without the disk, with all of it too.
    let output = with(&["serve", "--config", &file], &environment);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("wrong.toml:10:"));
}

#[test]
fn a_file_that_is_no_toml_or_is_not_there_is_said_to_be() {
    let scene = Scene::new();
    let file = scene.file("broken.toml", "data = \"d\"\nlisten = 127.0.0.1:1\ndata = \"e\"\n");
    let output = run(["config", "check", "--config", &file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("broken.toml:2: "), "{}", said(&output));
    for args in [["config", "check"], ["config", "show"]] {
        let output = run(args.into_iter().chain(["--config", "/missing.toml"]));
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains("could not read the configuration /missing.toml"));
    }
    let output = run_briefly(["serve"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--data DIR, BERGULIR_DATA, or `data`"), "{}", said(&output));
}

#[test]
fn a_good_configuration_is_said_to_be_good() {
    let scene = Scene::new();
    for folder in ["anchor", "other"] {
        std::fs::create_dir(scene.text(folder)).unwrap();
    }
    let [data, anchor] = ["new/data", "anchor"].map(|name| scene.text(name));
    let good = ["config", "check", "--data", &data, "--anchor", &anchor];
    // Variables of clients and of tests are none of ours.
    let output = with(&good, &[("BERGULIR_LEDGER", "pilot"), ("BERGULIR_TEST_DATA", "x")]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).trim(), "the configuration is good");
    assert!(!scene.0.path().join("new").exists(), "a check makes nothing");
    assert_eq!(std::fs::read_dir(&anchor).unwrap().count(), 0);
    let inside = scene.text("anchor/data");
    let output = run(["config", "check", "--data", &anchor, "--anchor", &anchor]);
    assert!(said(&output).contains("--anchor: the anchor"), "{}", said(&output));
    assert!(run(["config", "check", "--data", &inside]).status.success());
}

/// The table of the guide, as the list of settings has it.
fn guide_table() -> String {
    let rows = SETTINGS.iter().map(|setting| {
        format!(
            "| `{}` | `--{}` | `{}` | {} | {} |\n",
            setting.name,
            setting.flag,
            setting.variable,
            setting.default(),
            setting.help
        )
    });
    let head = "| setting | flag | variable | default | meaning |\n|---|---|---|---|---|\n";
    std::iter::once(head.to_owned()).chain(rows).collect()
}

#[test]
fn the_guide_has_every_setting_with_its_default() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md"));
    let table = guide_table();
    assert!(
        guide.unwrap().contains(&table),
        "docs/operations.md must have this table under \"Settings\":\n{table}"
    );
}
