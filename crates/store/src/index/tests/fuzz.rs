//! Values of the index whose sums are right: what a block holds is used, or refused as damage.

use bergulir_fuzz::{Target, fuzz, outcome};

use super::super::batch::MAX_LINE_NUMBERS;
use super::super::blocks::{Body, SEAL_BYTES};
use super::super::columns::{Row, placed};
use super::super::filter::{Filter, Probe};
use super::super::hasher::KEY_BITS;
use super::super::key_block::{KeyBlock, KeyBlockBuilder};
use super::super::trail_block::{TrailBlockBuilder, TrailLines};

fn key_value() -> Vec<u8> {
    let mut keys = KeyBlockBuilder::new(0, 100);
    for number in 0..20 {
        keys.push(number * 1_000, number);
    }
    let mut value = Vec::new();
    keys.finish(&mut value);
    value
}

fn trail_value() -> Vec<u8> {
    let mut trail = TrailBlockBuilder::new(0);
    let (filled, numbers) = placed(&[5, 0, -7]);
    for number in 0..20 {
        trail.push(number / 3, number, Row { tag: 1, count: 3, filled, numbers: &numbers });
    }
    let mut value = vec![0; SEAL_BYTES];
    trail.finish(&mut value);
    value
}

#[test]
fn whatever_a_block_holds_nothing_outside_of_it_is_read() {
    let target = Target::new("index-value", env!("CARGO_MANIFEST_DIR"));
    let target = target.sample(key_value()).sample(trail_value()).sample([0xa5; 64]);
    // A block of 65,535 keys that are all alike has a few bytes.
    fuzz!(target.memory(4 << 20, 64), |input| {
        let mut value = input.to_vec();
        value.resize(value.len().max(SEAL_BYTES), 0);
        let keys = KeyBlock::parse(Body::of(&value), 7);
        if let Ok(block) = &keys {
            let (mut all, mut positions) = (Vec::new(), Vec::new());
            block.unpack(&mut all, &mut positions);
            assert_eq!((all.len(), positions.len()), (block.len(), block.len()));
            for record in 0..block.len() {
                assert_eq!(
                    (block.key(record), block.position(record)),
                    (all[record], positions[record])
                );
                assert!(block.lower_bound(all[record], positions[record]) <= block.len());
            }
        }
        let trails = TrailLines::of(Body::of(&value)).and_then(|mut lines| {
            let mut count = 0;
            while lines.next()? {
                assert!(lines.row().all().len() <= MAX_LINE_NUMBERS);
                let _ = lines.at();
                count += 1;
            }
            Ok(count)
        });
        let filters = [1_000, 10_000_000].map(|keys| Filter::from_bytes(input, keys));
        for filter in filters.iter().flatten() {
            assert_eq!(filter.to_bytes(), input);
            for key in [0, 1, (1 << KEY_BITS) - 1] {
                let _ = filter.may_hold(&Probe::new(key));
            }
        }
        format!("{} {} {}", keys.is_ok(), outcome(&trails.map(|_| ())), filters[0].is_ok())
    });
}
