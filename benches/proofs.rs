//! The tree over records grows, and proves; balances are proved out of a seal.

mod support;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hint::black_box;

use bergulir_chain::Hash;
use bergulir_chain::merkle::{Levels, Prefixes, Tree, prove_inclusion, verify_inclusion};
use bergulir_chain::tiles::{LEVELS, Tile, TileHashes, TileSource};
use bergulir_proto::balances::{BalanceAnswer, BalanceKey, BalanceTree};
use criterion::Criterion;

use support::Ledger;

const RECORDS: u64 = 1_000_000;
const PREFIXES: Prefixes = Prefixes::RFC_6962;

/// Tiles in memory.
struct Tiles(BTreeMap<Tile, Vec<u8>>);

impl TileSource for &Tiles {
    type Error = Infallible;
    fn tile(&mut self, tile: Tile) -> Result<Vec<u8>, Infallible> {
        Ok(self.0[&tile].clone())
    }
}

fn record(number: u64) -> Hash {
    PREFIXES.leaf_hash(&number.to_le_bytes())
}

fn tiles(levels: &Levels) -> Tiles {
    let all = (0..LEVELS)
        .flat_map(|level| (0..).map_while(move |index| Tile::of_tree(RECORDS, level, index)));
    Tiles(all.map(|tile| (tile, tile.read(&mut &*levels).expect("it cannot fail"))).collect())
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("proofs");

    let mut tree = Tree::new(PREFIXES);
    let hash = record(0);
    group.bench_function("append", |bencher| bencher.iter(|| tree.push_hash(black_box(hash))));

    let mut levels = Levels::new(PREFIXES);
    (0..RECORDS).for_each(|number| levels.push_hash(record(number)));
    let (head, tiles) = (levels.head(), tiles(&levels));
    let mut number = 0;
    group.bench_function("inclusion, from tiles", |bencher| {
        bencher.iter(|| {
            number = (number + 7_919) % RECORDS;
            let mut hashes = TileHashes::new(PREFIXES, RECORDS, &tiles);
            prove_inclusion(PREFIXES, RECORDS, number, &mut hashes).expect("it is in the tree")
        });
    });
    let path = levels.inclusion(7).expect("it is in the tree");
    group.bench_function("verify inclusion", |bencher| {
        bencher.iter(|| verify_inclusion(PREFIXES, head, 7, record(7), &path));
    });

    let replica = Ledger::of(84_000).replica;
    group.sample_size(10);
    group.bench_function("balance tree/84000", |bencher| {
        bencher.iter(|| BalanceTree::of(&replica));
    });
    let balances = BalanceTree::of(&replica);
    let keys: Vec<BalanceKey> = (0..84_000)
        .step_by(97)
        .map(|account| format!("account kdmp-1 rek-{account}").parse().expect("a key"))
        .collect();
    let mut next = keys.iter().cycle();
    group.bench_function("balance proof/84000", |bencher| {
        bencher.iter(|| {
            let key = next.next().expect("they go round");
            let answer = balances.prove(key);
            assert!(matches!(answer, BalanceAnswer::Present(_)));
            answer
        });
    });
    group.finish();
    criterion.final_summary();
}
