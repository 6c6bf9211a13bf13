//! Bundles that an insider made who has the signing key too, and did not let the program write.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bergulir_audit::{Finding, Imbalance, Part, Reason, Trust};
use bergulir_chain::{Authentication, Position, SegmentHeader, record, segment};
use bergulir_domain::Event;
use bergulir_domain::command::Seal;
use bergulir_proto::replay::{Replica, digest};

use crate::commands::key;
use crate::cooperatives::View;
use crate::files::{SegmentFile, write};
use crate::ledger::{Draft, chained};
use crate::programme::small;
use crate::scene::{Scene, chain_report, export, found, proof, report, statement_of};

/// Puts these records into a view instead of its own, and the seals at these positions too; all
/// proved to be under a checkpoint that the key signed.
fn forge_view(view: &View, records: &[Vec<u8>], more: &[u64]) {
    let note = statement_of(records).sign(&key("tangerang")).unwrap();
    fs::write(view.path.join("checkpoint"), note.to_string()).unwrap();
    let folder = view.path.join("records");
    let names = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name());
    let own = names.map(|name| name.to_str().unwrap()[..20].parse().unwrap());
    for position in own.chain(more.iter().copied()).collect::<BTreeSet<u64>>() {
        let file = folder.join(format!("{position:020}.tlog-proof"));
        fs::write(file, proof(records, position, &note).to_string()).unwrap();
    }
}

/// The positions of the seals.
fn seals(drafts: &[Draft]) -> Vec<usize> {
    (0..drafts.len()).filter(|at| drafts[*at].principal == "system").collect()
}

/// What is found in a view that shows records with a change to them.
#[track_caller]
fn view_of(change: impl FnOnce(&mut Vec<Draft>), more: &[u64]) -> (u64, &'static str, String) {
    let mut drafts = small().drafts;
    let view = View::of(&drafts, None);
    change(&mut drafts);
    forge_view(&view, &chained(&drafts), more);
    view.found()
}

#[test]
fn a_view_in_which_time_runs_backwards() {
    let last = small().drafts.len() - 1;
    let (position, code, _) =
        view_of(|drafts| drafts[last].recorded_at = drafts[0].recorded_at, &[]);
    assert_eq!((position, code), (last as u64, "TIME_BACKWARDS"));
}

#[test]
fn a_view_of_a_record_that_claims_to_be_the_servers() {
    let last = small().drafts.len() - 1;
    let (position, code, _) =
        view_of(|drafts| drafts[last].authentication = Authentication::System, &[]);
    assert_eq!((position, code), (last as u64, "PRINCIPAL_INVALID"));
}

#[test]
fn a_view_stands_under_one_seal_of_what_came_before_it() {
    let seals = seals(&small().drafts);
    let [first, second] = seals[..] else { panic!("{seals:?}") };
    let (_, code, message) = view_of(|_| {}, &[first as u64]);
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains("second seal"), "{message}");
    for ahead in [0, 1] {
        let through = bergulir_domain::Position::new((second + ahead) as u64);
        let seal = Seal { through, balance_root: [0; 32], state_digest: [0; 32] };
        let (_, code, message) =
            view_of(|drafts| drafts[second].set_event(&Event::Sealed(seal)), &[]);
        assert_eq!(code, "BUNDLE_DAMAGED");
        assert!(message.contains("what comes after it"), "{message}");
    }
}

#[test]
fn a_view_of_a_record_that_says_another_position_than_its_leaf() {
    let drafts = small().drafts;
    let view = View::of(&drafts, None);
    let mut records = chained(&drafts);
    let last = records.len() - 1;
    records[last] = records[last - 1].clone();
    forge_view(&view, &records, &[]);
    let (_, code, message) = view.found();
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains(&format!("at position {}", last - 1)), "{message}");
}

/// The log of a range, made of these records from `from` on; signed.
fn forge_range(path: &Path, records: &[Vec<u8>], from: usize) {
    let note = statement_of(records).sign(&key("tangerang")).unwrap();
    fs::write(path.join("checkpoint"), note.to_string()).unwrap();
    let first = Position::new(from as u64);
    let previous = record::hash(&records[from - 1]);
    let header = SegmentHeader { first, previous }.encode().to_vec();
    let name = segment::file_name(first);
    let mut file = SegmentFile { name, bytes: header, frames: Vec::new(), owners: Vec::new() };
    file.push(first.get(), &records[from..]);
    write(&path.join("log"), &[file]);
}

#[test]
fn a_range_that_begins_before_the_time_of_its_state() {
    let mut drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let path = scene.beside("since");
    let part = Part::Range { through: Some(Position::new(18)) };
    export(scene.path(), part, None, &path).unwrap();
    // What follows is later than the state, and so only the first record can tell.
    drafts[19].recorded_at = drafts[18].recorded_at - 1;
    forge_range(&path, &chained(&drafts), 19);
    for report in [report(&path, Trust::default()), chain_report(&path, Trust::default())] {
        let (position, code, _) = found(&report);
        assert_eq!((position, code), (19, "TIME_BACKWARDS"));
    }
}

/// A seal vouches for the state, so only its sums are left to tell.
#[test]
fn a_state_that_is_sealed_and_whose_money_does_not_add_up() {
    let drafts = small().drafts;
    let seal = seals(&drafts)[1];
    let scene = Scene::signed(&drafts);
    let path = scene.beside("since");
    let part = Part::Range { through: None };
    export(scene.path(), part, None, &path).unwrap();
    let state = fs::read(path.join("state")).unwrap();
    let mut found = BTreeSet::new();
    for place in 0..state.len() {
        let mut forged = state.clone();
        forged[place] ^= 1;
        let Ok(replica) = Replica::restore(&forged) else { continue };
        let mut drafts = drafts.clone();
        drafts[seal].set_event(&Event::Sealed(Seal {
            through: bergulir_domain::Position::new(seal as u64 - 1),
            balance_root: *replica.balance_root().as_bytes(),
            state_digest: *digest(&forged).as_bytes(),
        }));
        fs::write(path.join("state"), forged).unwrap();
        forge_range(&path, &chained(&drafts), seal);
        if let Finding::Invalid { reason: Reason::NotConserved(imbalance), position, .. } =
            report(&path, Trust::default()).finding
        {
            assert_eq!(position.get(), seal as u64 - 1);
            let (Imbalance::Differ { whose, what, .. } | Imbalance::Negative { whose, what, .. }) =
                imbalance;
            found.insert(format!("{} {what}", whose.split(' ').next().unwrap()));
        }
    }
    for number in [
        "account committed",
        "account disbursed",
        "account granted",
        "account interest paid",
        "account late fees paid",
        "account outstanding",
        "account outstanding of a closed account",
        "account pending",
        "account principal repaid",
        "fund available",
        "fund capital",
        "fund committable",
        "fund committed",
        "fund income not kept apart",
        "fund principal receivable",
        "fund reserved",
        "fund what is left of an allocation",
        "loan disbursed",
        "loan outstanding",
        "loan what may still be disbursed",
    ] {
        assert!(found.contains(number), "{number} is not among {found:?}");
    }
}
