//! How much is read for an answer: sled reads whole pages.

use std::fs;

use super::*;

/// The bytes that this thread has read, from files or their copies in memory.
fn read_so_far() -> u64 {
    let io = fs::read_to_string("/proc/thread-self/io").unwrap();
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    read.parse().unwrap()
}

#[test]
fn an_id_is_found_by_reading_some_blocks_of_its_run() {
    const IDS: u64 = 60_000;
    const STEP: usize = 1_009;
    let folder = TempDir::new().unwrap();
    let options = IndexOptions { memtable_records: 65_536, ..options() };
    let index = open(&folder, &options);
    let mut batch = IndexBatch::default();
    batch.begin(LogSize::EMPTY);
    for number in 0..IDS {
        batch.request_id(Position::new(number), &scattered(number));
        cover(&mut batch, number);
    }
    index.apply(&batch).unwrap();
    index.flush().unwrap();
    drop(index);

    let index = open(&folder, &options);
    assert!(index.table(TableId::RequestIds).runs()[0].row().blocks > 50, "there is a choice");
    // sled keeps what it has read, so that later answers take less.
    let reads = (0..IDS).step_by(STEP).map(|number| {
        let before = read_so_far();
        assert_eq!(index.request_id(&scattered(number)).unwrap(), [Position::new(number)]);
        read_so_far() - before
    });
    let most = reads.max().unwrap();
    assert!(most < 40_000, "{most} bytes were read for an id, and a block has 7,000");
}
