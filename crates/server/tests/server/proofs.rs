//! What the log says about itself, checked as somebody does who trusts a key and nothing else.

use crate::support::*;
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Levels, Prefixes, TreeHead, verify_consistency, verify_inclusion};
use bergulir_chain::note::{KeyName, Note, SignerKey, VerifierKey};
use bergulir_chain::proof::LogProof;
use bergulir_chain::{Hash, LogSize};
use bergulir_proto::balance_proof::BalanceProof;
use bergulir_proto::balances::Leaf;
use bergulir_proto::pb;
use bergulir_proto::pb::command::Kind;
use bergulir_proto::statement::Statement;
use bergulir_proto::wire::{RequestParts, Resource};
use bergulir_server::PRINCIPAL_KEY;
use std::os::unix::fs::PermissionsExt as _;
use tonic::Code;
use tonic::metadata::MetadataValue;

const ORIGIN: &str = "ledger.example.go.id/kab";

fn origin() -> KeyName {
    KeyName::new(ORIGIN).unwrap()
}

/// The key that the ledger says it has.
async fn key(server: &Server) -> VerifierKey {
    let request = pb::GetLedgerRequest { name: KAB.to_owned(), min_position: None };
    let ledger = server.queries().get_ledger(request).await.unwrap().into_inner().ledger.unwrap();
    ledger.verifier_key.unwrap().parse().unwrap()
}

/// The checkpoint of the wire, if the key signed it and it says what the note says.
fn opened(checkpoint: &pb::Checkpoint, key: &VerifierKey) -> Checkpoint {
    let note = Note::parse(checkpoint.note.as_bytes()).unwrap();
    let opened = Checkpoint::open(&note, &origin(), [key]).unwrap();
    assert_eq!(opened.origin.as_str(), checkpoint.origin);
    assert_eq!(opened.size.get(), checkpoint.log_size);
    assert_eq!(opened.root.as_bytes().as_slice(), checkpoint.root_hash);
    opened
}

async fn checkpoint(server: &Server, min_log_size: Option<u64>) -> pb::Checkpoint {
    let request = pb::GetCheckpointRequest { ledger: KAB.to_owned(), min_log_size };
    let answer = server.logs().get_checkpoint(request).await.unwrap().into_inner();
    assert_eq!(answer.witnessed, None, "there is no policy");
    answer.checkpoint.unwrap()
}

pub(crate) async fn records(server: &Server) -> Vec<Vec<u8>> {
    let request =
        pb::ReadRecordsRequest { ledger: KAB.to_owned(), ..pb::ReadRecordsRequest::default() };
    let mut stream = server.logs().read_records(request).await.unwrap().into_inner();
    let mut records = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        records.extend(message.records.into_iter().map(|record| record.record));
    }
    records
}

pub(crate) fn tree<'a>(records: impl IntoIterator<Item = &'a Vec<u8>>) -> Levels {
    let mut tree = Levels::new(Prefixes::RFC_6962);
    records.into_iter().for_each(|record| tree.push(record));
    tree
}

fn hash(bytes: &[u8]) -> Hash {
    Hash::from_bytes(bytes.try_into().unwrap())
}

fn path(hashes: &[Vec<u8>]) -> Vec<Hash> {
    hashes.iter().map(|bytes| hash(bytes)).collect()
}

#[tokio::test]
async fn a_ledger_that_names_no_key_signs_with_one_that_the_node_made() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    // Trying makes no key.
    let parts = request(open_ledger("kab"));
    let tried = RequestParts { validate_only: true, ..parts.clone() };
    server.send("maker", tried).await.unwrap();
    assert!(!folder.path().join("keys").exists());

    let opened_ledger = server.send("maker", parts.clone()).await.unwrap();
    let Some(Resource::Ledger(ledger)) = opened_ledger.resource else { panic!("no ledger") };
    let key: VerifierKey = ledger.verifier_key.unwrap().parse().unwrap();
    assert_eq!(key.name().as_str(), ORIGIN);
    let file = folder.path().join("keys/kab.key");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let signed = opened(&checkpoint(&server, Some(1)).await, &key);
    assert_eq!(signed.size.get(), 1);

    // Sent again it is the same request, now and after a restart and other records.
    let again = server.send("maker", parts.clone()).await.unwrap().receipt.unwrap();
    assert!(again.duplicate && again.position == 0);
    server.post("maker", open_fund()).await.unwrap();
    let server = server.restart().await;
    let again = server.send("maker", parts).await.unwrap().receipt.unwrap();
    assert!(again.duplicate && again.position == 0);
    server.stop().await;
}

#[tokio::test]
async fn a_checkpoint_covers_what_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(2).await;
    let (key, size) = (key(&server).await, server.size().await);
    let signed = opened(&checkpoint(&server, Some(size)).await, &key);
    assert_eq!(signed.head(), tree(&records(&server).await).head());
    assert_eq!(opened(&checkpoint(&server, None).await, &key), signed);
    let beyond = pb::GetCheckpointRequest { ledger: KAB.to_owned(), min_log_size: Some(size + 1) };
    let (code, info) = why(server.logs().get_checkpoint(beyond).await);
    assert_eq!((code, info.reason.as_str()), (Code::FailedPrecondition, "LOG_SHORTER"));
    assert_eq!(info.metadata["log_size"], size.to_string());
    let nowhere = pb::GetCheckpointRequest { ledger: "ledgers/no".to_owned(), min_log_size: None };
    let refused = server.logs().get_checkpoint(nowhere).await;
    assert_eq!(reason(refused), (Code::NotFound, "LEDGER_NOT_FOUND".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn every_record_is_proved_to_be_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(3).await;
    let (key, records) = (key(&server).await, records(&server).await);
    let size = records.len() as u64;
    let ask = |position, log_size| {
        let mut logs = server.logs();
        async move {
            let ledger = KAB.to_owned();
            let request = pb::GetInclusionProofRequest { ledger, position, log_size };
            logs.get_inclusion_proof(request).await.map(tonic::Response::into_inner)
        }
    };
    for (position, record) in (0..).zip(&records) {
        let answer = ask(position, None).await.unwrap();
        let signed = opened(answer.checkpoint.as_ref().unwrap(), &key);
        assert!(signed.size.get() > position);
        let leaf = bergulir_chain::record::hash(record);
        assert_eq!(answer.record_hash, leaf.as_bytes());
        assert_eq!(answer.root_hash, signed.root.as_bytes());
        verify_inclusion(Prefixes::RFC_6962, signed.head(), position, leaf, &path(&answer.path))
            .unwrap();
        // The text says the same, and has the record in it.
        let proof = LogProof::parse(answer.proof.as_bytes()).unwrap();
        assert_eq!(proof.extra.as_deref(), Some(record.as_slice()));
        assert_eq!(proof.verify(leaf, &origin(), [&key]), Ok(signed));
        assert!(proof.verify(Hash::ZERO, &origin(), [&key]).is_err());
    }
    // At every size, though there is no checkpoint of most of them.
    for log_size in 1..=size {
        let answer = ask(0, Some(log_size)).await.unwrap();
        let head = tree(&records[..usize::try_from(log_size).unwrap()]).head();
        assert_eq!((answer.log_size, hash(&answer.root_hash)), (log_size, head.root));
        let signed = answer.checkpoint.as_ref().map(|signed| signed.log_size);
        assert_eq!(signed, Some(size).filter(|_| log_size == size), "none was made for it");
        let leaf = hash(&answer.record_hash);
        verify_inclusion(Prefixes::RFC_6962, head, 0, leaf, &path(&answer.path)).unwrap();
        assert_eq!(answer.checkpoint.is_some(), !answer.proof.is_empty());
    }
    let missing = (Code::NotFound, "RECORD_NOT_FOUND".to_owned());
    assert_eq!(reason(ask(size, None).await), missing);
    assert_eq!(reason(ask(u64::MAX, None).await), missing);
    let invalid = (Code::InvalidArgument, "INVALID_FIELD".to_owned());
    assert_eq!(reason(ask(3, Some(3)).await), invalid);
    assert_eq!(reason(ask(0, Some(0)).await), invalid);
    let shorter = (Code::FailedPrecondition, "LOG_SHORTER".to_owned());
    assert_eq!(reason(ask(0, Some(size + 1)).await), shorter);
    server.stop().await;
}

#[tokio::test]
async fn between_any_two_sizes_the_log_was_only_extended() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(2).await;
    let (key, records) = (key(&server).await, records(&server).await);
    let size = records.len() as u64;
    let ask = |from_log_size, to_log_size| {
        let mut logs = server.logs();
        async move {
            let ledger = KAB.to_owned();
            let request = pb::GetConsistencyProofRequest { ledger, from_log_size, to_log_size };
            logs.get_consistency_proof(request).await.map(tonic::Response::into_inner)
        }
    };
    let head = |size: u64| tree(&records[..usize::try_from(size).unwrap()]).head();
    for from in 0..=size {
        for to in from..=size {
            let answer = ask(from, Some(to)).await.unwrap();
            let [old, new] = [&answer.from_root_hash, &answer.to_root_hash].map(|root| hash(root));
            assert_eq!((old, new), (head(from).root, head(to).root));
            let path = path(&answer.path);
            verify_consistency(Prefixes::RFC_6962, head(from), head(to), &path).unwrap();
        }
    }
    // To the newest checkpoint, which is signed now if it must be.
    for from in [1, size] {
        let answer = ask(from, None).await.unwrap();
        let signed = opened(answer.checkpoint.as_ref().unwrap(), &key);
        assert_eq!(answer.to_log_size, signed.size.get());
        let path = path(&answer.path);
        verify_consistency(Prefixes::RFC_6962, head(from), signed.head(), &path).unwrap();
    }
    let shorter = (Code::FailedPrecondition, "LOG_SHORTER".to_owned());
    assert_eq!(reason(ask(size + 1, None).await), shorter);
    assert_eq!(reason(ask(0, Some(size + 1)).await), shorter);
    let invalid = (Code::InvalidArgument, "INVALID_FIELD".to_owned());
    assert_eq!(reason(ask(3, Some(2)).await), invalid);
    server.stop().await;
}

#[tokio::test]
async fn balances_are_proved_as_of_a_seal_and_so_is_that_there_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(2).await;
    server.lend(1, 100_000_000).await;
    let key = key(&server).await;
    let ask_as = |principal: Option<&'static str>, name: &str, fresh: bool| {
        let (mut logs, name) = (server.logs(), format!("{KAB}/{name}"));
        let mut request = tonic::Request::new(pb::GetBalanceProofRequest { name, fresh });
        if let Some(principal) = principal {
            request.metadata_mut().insert(PRINCIPAL_KEY, MetadataValue::from_static(principal));
        }
        async move {
            let answer = logs.get_balance_proof(request).await;
            answer.map(tonic::Response::<pb::GetBalanceProofResponse>::into_inner)
        }
    };
    let ask = |name: &str, fresh: bool| ask_as(fresh.then_some("auditor"), name, fresh);
    let proved = |answer: &pb::GetBalanceProofResponse| {
        let proof = BalanceProof::parse(answer.proof.as_bytes()).unwrap();
        let proved = proof.verify(&origin(), [&key]).unwrap();
        assert_eq!(proved.checkpoint, opened(answer.checkpoint.as_ref().unwrap(), &key));
        assert_eq!(proved.seal.through.get(), answer.through);
        assert_eq!(proved.seal.balance_root.as_slice(), answer.balance_root);
        assert_eq!(proved.sealed_at.get(), answer.sealed_at);
        assert_eq!(proved.leaf.is_some(), answer.present);
        assert_eq!(proof.leaves, answer.leaves);
        assert_eq!(proof.shown.len(), answer.shown.len());
        proved.leaf
    };

    // Whoever says nothing of who that is has no seal recorded, not the first one either.
    let before = server.size().await;
    let nobody = (Code::Unauthenticated, "PRINCIPAL_MISSING".to_owned());
    for fresh in [true, false] {
        let refused = ask_as(None, "funds/dana/accounts/a-1", fresh).await;
        assert_eq!(reason(refused), nobody);
    }
    assert_eq!(server.size().await, before);
    let answer = ask("funds/dana/accounts/a-1", true).await.unwrap();
    assert_eq!((answer.through, answer.sealed_at), (before - 1, before));
    let Some(Leaf::Account { balances, statement, .. }) = proved(&answer) else {
        panic!("the account is there")
    };
    assert_eq!(balances.outstanding(), 10_000_000_000);
    // Opened, proposed, approved, paid out: the statement is of exactly those records.
    let trail = pb::ListTrailRequest {
        parent: format!("{FUND}/accounts/a-1"),
        ..pb::ListTrailRequest::default()
    };
    let lines = server.queries().list_trail(trail).await.unwrap().into_inner().lines;
    let records = records(&server).await;
    let mut concern: Vec<u64> = lines.iter().map(|line| line.position).collect();
    concern.sort_unstable();
    let hashes = concern
        .iter()
        .map(|at| bergulir_chain::record::hash(&records[usize::try_from(*at).unwrap()]));
    assert_eq!(statement, Statement::over(hashes.clone()));
    assert_ne!(statement, Statement::over(hashes.skip(1)), "a line is left out");

    // What came since is not in it until the ledger is sealed again.
    server.post("maker", repay(1, 1_000, 0, "in-1")).await.unwrap();
    assert_eq!(ask("funds/dana/accounts/a-1", false).await.unwrap().through, before - 1);
    assert_eq!(reason(ask_as(None, "funds/dana/accounts/a-1", true).await), nobody);
    let fresh = ask("funds/dana/accounts/a-1", true).await.unwrap();
    let Some(Leaf::Account { balances, .. }) = proved(&fresh) else { panic!("it is there") };
    assert_eq!(balances.principal_repaid, 100_000);
    let fund = ask("funds/dana", false).await.unwrap();
    assert!(matches!(proved(&fund), Some(Leaf::Fund { .. })));

    for absent in ["funds/dana/accounts/a-3", "funds/a", "funds/z", "funds/dana/accounts/a"] {
        let answer = ask(absent, false).await.unwrap();
        assert!(!answer.present);
        assert_eq!(proved(&answer), None, "{absent}");
    }
    let loan = ask("loans/l-1", false).await;
    assert_eq!(reason(loan), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn a_key_is_rotated_to_one_that_the_node_holds() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let first = key(&server).await;
    let next = SignerKey::from_seed(origin(), &[7; 32]).unwrap();
    let rotate = || Kind::RotateKey(pb::RotateKey { verifier_key: next.verifier().to_string() });
    let not_held = (Code::FailedPrecondition, "KEY_NOT_HELD".to_owned());
    assert_eq!(reason(server.post("maker", rotate()).await), not_held);
    let batch_of_one = batch(pb::BatchMode::Atomic, vec![item(rotate())]);
    assert_eq!(reason(server.batch("maker", batch_of_one).await), not_held);

    let file = folder.path().join("keys/next.key");
    std::fs::write(&file, format!("{}\n", *next.to_text())).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let receipt = server.post("maker", rotate()).await.unwrap().receipt.unwrap();
    assert_eq!(&key(&server).await, next.verifier());
    let signed = checkpoint(&server, Some(receipt.position + 1)).await;
    assert_eq!(opened(&signed, next.verifier()).size, LogSize::new(receipt.position + 1));
    // It never goes back.
    let back = Kind::RotateKey(pb::RotateKey { verifier_key: first.to_string() });
    assert_eq!(reason(server.post("maker", back).await).0, Code::AlreadyExists);
    server.stop().await;
}

/// A ledger whose key is taken away has everything but signatures.
#[tokio::test]
async fn without_the_private_key_nothing_is_signed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let own = SignerKey::from_seed(origin(), &[9; 32]).unwrap();
    let open = || {
        let Kind::OpenLedger(mut open) = open_ledger("kab") else { panic!("it opens a ledger") };
        open.verifier_key = Some(own.verifier().to_string());
        Kind::OpenLedger(open)
    };
    // None is opened with a key that the server cannot sign with.
    let not_held = (Code::FailedPrecondition, "KEY_NOT_HELD".to_owned());
    assert_eq!(reason(server.post("maker", open()).await), not_held);
    let tried = RequestParts { validate_only: true, ..request(open()) };
    assert_eq!(reason(server.send("maker", tried).await), not_held);
    let file = folder.path().join("keys/own.key");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, format!("{}\n", *own.to_text())).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let opening = request(open());
    server.send("maker", opening.clone()).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    // Sent again, it is answered whatever the folder holds by now.
    assert!(server.send("maker", opening).await.unwrap().receipt.unwrap().duplicate);
    server.post("maker", open_fund()).await.unwrap();
    let request = pb::GetCheckpointRequest { ledger: KAB.to_owned(), min_log_size: Some(2) };
    let refused = server.logs().get_checkpoint(request).await.unwrap_err();
    assert!(refused.message().contains("put its file there"), "{refused:?}");
    assert!(!refused.message().contains(folder.path().to_str().unwrap()), "{refused:?}");
    assert_eq!(reason(Err::<(), _>(refused)), (Code::FailedPrecondition, "NO_SIGNING_KEY".into()));
    let (ledger, position) = (KAB.to_owned(), 1);
    let request = pb::GetInclusionProofRequest { ledger, position, log_size: Some(2) };
    let answer = server.logs().get_inclusion_proof(request).await.unwrap().into_inner();
    assert_eq!((answer.checkpoint, answer.proof.as_str()), (None, ""));
    let head = TreeHead { size: 2, root: hash(&answer.root_hash) };
    let path = path(&answer.path);
    verify_inclusion(Prefixes::RFC_6962, head, 1, hash(&answer.record_hash), &path).unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_key_that_cannot_be_had_is_told_without_the_folders_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let keys = folder.path().join("keys");
    // A file where the folder should be.
    std::fs::write(&keys, "").unwrap();
    let refused = server.post("maker", open_ledger("kab")).await.unwrap_err();
    assert!(!refused.message().contains(folder.path().to_str().unwrap()), "{refused:?}");
    assert_eq!(reason(Err::<(), _>(refused)), (Code::FailedPrecondition, "NO_SIGNING_KEY".into()));
    std::fs::remove_file(&keys).unwrap();
    std::fs::create_dir(&keys).unwrap();
    for seed in [1, 2] {
        let key = SignerKey::from_seed(origin(), &[seed; 32]).unwrap();
        let file = keys.join(format!("{seed}.key"));
        std::fs::write(&file, format!("{}\n", *key.to_text())).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let refused = server.post("maker", open_ledger("kab")).await.unwrap_err();
    assert!(refused.message().contains("2 keys of the name"), "{refused:?}");
    assert!(!refused.message().contains(folder.path().to_str().unwrap()), "{refused:?}");
    server.stop().await;
}
