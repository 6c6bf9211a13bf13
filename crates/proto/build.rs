//! Generates the messages and services from `proto/`. Uses protox, so that nobody needs protoc.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message as _;

const FILES: [&str; 8] =
    ["types", "resources", "commands", "event", "ledger", "query", "log", "backup"];

fn main() -> Result<(), Box<dyn Error>> {
    let proto = Path::new("../../proto");
    println!("cargo::rerun-if-changed={}", proto.display());

    let files: Vec<PathBuf> =
        FILES.iter().map(|name| proto.join(format!("bergulir/v1/{name}.proto"))).collect();
    let descriptors = protox::compile(files, [proto])?;

    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    tonic_prost_build::configure()
        .build_server(false)
        // Ordered, so that equal answers have equal bytes.
        .btree_map(".")
        .compile_fds(descriptors.clone())?;

    // The servers' side, over the same messages, but for those with thousands of commands or records,
    // which it gets and gives as bytes, and the answers to payments, which it gives so.
    let servers = out.join("servers");
    std::fs::create_dir_all(&servers)?;
    tonic_prost_build::configure()
        .build_client(false)
        .out_dir(servers)
        .extern_path(".bergulir.v1.SubmitBatchRequest", "crate::wire::BatchBytes")
        .extern_path(".bergulir.v1.SubmitBatchResponse", "crate::wire::BatchAnswer")
        .extern_path(".bergulir.v1.SubmitStreamRequest", "crate::wire::BatchBytes")
        .extern_path(".bergulir.v1.SubmitStreamResponse", "crate::wire::BatchAnswer")
        .extern_path(".bergulir.v1.ReadRecordsResponse", "crate::record::RecordsAnswer")
        .extern_path(".bergulir.v1.DisburseResponse", "crate::wire::PaymentAnswer")
        .extern_path(".bergulir.v1.RepayResponse", "crate::wire::PaymentAnswer")
        .extern_path(".bergulir.v1", "crate::pb")
        .extern_path(".google.type", "crate::pb::google::r#type")
        .compile_fds(descriptors)?;
    Ok(())
}
