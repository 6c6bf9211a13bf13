//! Manifests of the index that are nearly right, in a block whose sum is right: see
//! docs/adr/0036-fuzzing.md.

use bergulir_chain::{Hash, LogSize};
use bergulir_fuzz::{Target, fuzz};

use super::{Body, Manifest, RunRow, SEAL_BYTES};
use crate::index::table::TableId;
use crate::log::Head;

#[test]
fn a_manifest_has_one_byte_string_and_its_runs_follow_each_other() {
    let mut manifest = Manifest {
        applied: Head { size: LogSize::new(90), hash: Hash::from_bytes([7; 32]) },
        ..Manifest::default()
    };
    for (table, from, to) in
        [(TableId::ALL[0], 0, 40), (TableId::ALL[0], 40, 90), (TableId::ALL[1], 0, 90)]
    {
        let run = manifest.number_run();
        let row =
            RunRow { table, run, from, to, records: to - from, blocks: 3, ..RunRow::default() };
        manifest.push(row);
    }
    let sample = manifest.to_value()[SEAL_BYTES..].to_vec();
    let target = Target::new("index-manifest", env!("CARGO_MANIFEST_DIR")).sample(sample);
    fuzz!(target, |input| {
        let value = [&[0; SEAL_BYTES][..], input].concat();
        match Manifest::read(&Body::of(&value)) {
            Ok(manifest) => {
                assert_eq!(manifest.to_value(), value);
                for table in TableId::ALL {
                    let runs: Vec<&RunRow> = manifest.runs(table).collect();
                    assert!(runs.iter().all(|run| run.from < run.to));
                    assert!(runs.windows(2).all(|pair| pair[0].to <= pair[1].from));
                    let end = manifest.applied.size.get();
                    assert!(runs.iter().all(|run| run.to <= end && run.run < manifest.next_run));
                }
                format!("{} runs", manifest.runs.len().min(4))
            }
            Err(error) => {
                let text = error.to_string();
                let words = text.split(' ').filter(|word| word.chars().all(char::is_alphabetic));
                words.take(5).collect::<Vec<_>>().join(" ")
            }
        }
    });
}
