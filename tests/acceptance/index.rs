//! The index is made from the log, and nothing else: from nothing it becomes the same again.

use crate::support::{Server, last_json, run};
use std::path::Path;

fn digest(command: &str, data: &Path) -> String {
    let output = run(["index", command, "--json", "--data", data.to_str().unwrap()]);
    let report = last_json(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    report["content_digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_rebuilt_index_has_the_content_of_the_one_that_grew() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let demo = run(["demo", "--json", "--data", data.to_str().unwrap()]);
    assert_eq!(demo.status.code(), Some(0));
    let grown = digest("digest", &data);
    assert_eq!(digest("rebuild", &data), grown);

    std::fs::remove_dir_all(data.join("ledgers/demo/index")).unwrap();
    Server::start(&data).kill();
    assert_eq!(digest("digest", &data), grown);
}
