//! The quick start of the README does what it says.

use crate::support::{Server, bergulir, run};

/// The commands of the README's quick start from the first one that needs a server.
fn quick_start() -> Vec<Vec<String>> {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let section = readme.split("## Quick start").nth(1).unwrap();
    let block = section.split("```").nth(1).unwrap().replace("\\\n", " ");
    let client = |line: &&str| line.starts_with("bergulir") && !line.contains(" serve ");
    block.lines().filter(client).map(words).collect()
}

/// The words of a line as a shell splits them: quotes keep spaces, `#` begins a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars().chain([' ']) {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted => break,
            ' ' if quoted => word.push(c),
            ' ' if word.is_empty() => {}
            ' ' => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words
}

#[test]
fn the_quick_start_runs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let commands = quick_start();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let output = bergulir(command[1..].iter().map(String::as_str))
            .env("BERGULIR_ADDRESS", &server.address)
            .env("BERGULIR_LEDGER", "tangerang")
            .env("BERGULIR_PRINCIPAL", "officer-1")
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {error}");
    }
    server.kill();
    let verified = run(["audit", "verify", folder.path().to_str().unwrap()]);
    assert_eq!(verified.status.code(), Some(0));
}
