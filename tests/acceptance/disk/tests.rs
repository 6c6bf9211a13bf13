//! The model of the disk itself.

use super::dice::Dice;
use super::model::{Disk, Fault, Node, Operation, ROOT, Rule, Then};

fn read(disk: &mut Disk, name: &str) -> Option<Vec<u8>> {
    let ino = disk.lookup(ROOT, name).ok()?;
    match disk.node(ino).ok()? {
        Node::File(file) => Some(file.bytes.clone()),
        Node::Folder(_) => None,
    }
}

fn survivors(disk: &Disk) -> impl Iterator<Item = Disk> + '_ {
    (0..200).map(|seed| disk.survivor(&mut Dice::new(seed)))
}

#[test]
fn what_was_synced_survives_and_the_rest_by_chance() {
    let mut disk = Disk::default();
    let ino = disk.create(ROOT, "f", false).unwrap();
    disk.write(ino, 0, &[1; 10_000]).unwrap();
    disk.sync(ino).unwrap();
    disk.sync(ROOT).unwrap();
    assert!(survivors(&disk).all(|mut found| read(&mut found, "f") == Some(vec![1; 10_000])));

    disk.write(ino, 9_000, &[2; 5_000]).unwrap();
    let (mut old, mut new, mut torn) = (0, 0, 0);
    for mut found in survivors(&disk) {
        let bytes = read(&mut found, "f").unwrap();
        assert!(bytes[..8_192].iter().all(|byte| *byte == 1), "sectors that were not written stay");
        assert!([10_000, 14_000].contains(&bytes.len()));
        if bytes.len() == 14_000 && bytes[9_000..].iter().all(|byte| *byte == 2) {
            new += 1;
        } else if bytes[9_000..].iter().all(|byte| *byte != 2) {
            old += 1;
        } else {
            torn += 1;
        }
    }
    assert!(old > 0 && new > 0 && torn > 0, "{old} {new} {torn}");
}

#[test]
fn a_name_survives_if_its_folder_was_synced_whatever_was_done_to_the_file() {
    let mut disk = Disk::default();
    let ino = disk.create(ROOT, "new", false).unwrap();
    disk.write(ino, 0, b"bytes").unwrap();
    disk.sync(ino).unwrap();
    let there = survivors(&disk).filter_map(|mut found| read(&mut found, "new")).count();
    assert!(there > 0 && there < 200, "{there}");
    disk.sync(ROOT).unwrap();
    disk.rename(ROOT, "new", ROOT, "named").unwrap();
    for mut found in survivors(&disk) {
        let (old, new) = (read(&mut found, "new"), read(&mut found, "named"));
        assert_eq!(old.or(new), Some(b"bytes".to_vec()), "it has one of its names");
    }
}

#[test]
fn after_a_cut_nothing_is_done_any_more() {
    let mut disk = Disk::default();
    disk.until_cut = Some(3);
    let ino = disk.create(ROOT, "f", false).unwrap();
    assert!(disk.write(ino, 0, b"one").is_ok());
    assert!(disk.write(ino, 0, b"two").is_err());
    assert!(disk.dead && disk.sync(ino).is_err() && disk.read(ino, 0, 9).is_err());
}

#[test]
fn what_could_not_be_synced_is_read_and_is_not_on_the_disk_whatever_is_synced_after() {
    let mut disk = Disk::default();
    let ino = disk.create(ROOT, "f", false).unwrap();
    disk.sync(ROOT).unwrap();
    disk.write(ino, 0, &[1; 5_000]).unwrap();
    disk.rules =
        vec![Rule { operation: Operation::Sync, path: "/f", then: Then::Fail(Fault::Broken) }];
    assert_eq!(disk.sync(ino), Err(Fault::Broken));
    disk.rules.clear();
    disk.write(ino, 8_192, &[2; 10]).unwrap();
    disk.sync(ino).unwrap();
    assert_eq!(&read(&mut disk, "f").unwrap()[..5_000], &[1; 5_000]);
    for mut found in survivors(&disk) {
        let bytes = read(&mut found, "f").unwrap();
        assert_eq!((&bytes[..5_000], &bytes[8_192..]), (&[0; 5_000][..], &[2; 10][..]));
    }
}
