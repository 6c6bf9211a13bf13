//! `bergulir proof`: checks proofs offline, with the keys that the caller trusts and nothing else.

use std::path::{Path, PathBuf};

use bergulir_chain::checkpoint::{Checkpoint, CheckpointError};
use bergulir_chain::note::{KeyName, Note, VerifierKey, VerifyError};
use bergulir_chain::policy::{Cosigned, Policy, Refusal};
use bergulir_chain::proof::{self, LogProof};
use bergulir_chain::{Hash, Position, Record, record};
use bergulir_domain::postings::Book;
use bergulir_domain::state::{AccountBalances, FundBalances};
use bergulir_proto::balance_proof::{self, BalanceProof};
use bergulir_proto::balances::{BalanceKey, Leaf};
use bergulir_proto::record::recorded_at_to_wire;
use bergulir_proto::statement::Statement;
use bergulir_proto::{decode_event, event_to_wire};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{self, Page, count, exact, hex, instant, rupiah};
use crate::witness::{log_key, policy};
use crate::words;

/// The most bytes of a file that can be a proof: a note, a record and paths.
const MAX_PROOF_BYTES: u64 = 4 << 20;

/// Check a proof offline
#[derive(Debug, Args)]
pub(crate) struct ProofArgs {
    #[command(subcommand)]
    command: ProofCommand,
}

#[derive(Debug, Subcommand)]
enum ProofCommand {
    /// Check that a record is in a log, or what the balances of a fund or an account were
    ///
    /// Reads a C2SP tlog-proof (`log inclusion`) or a balance proof (`balance proof`). Trusts the
    /// keys that are given, and nothing else: not the server, not the file. Ends with 0: proved;
    /// 1: not proved; 2: could not tell, as without the record, without a key of the log, with one
    /// that did not sign, with too few witnesses, or if the file is no proof.
    ///
    /// Examples:
    ///   bergulir proof verify 42.tlog-proof --key "$(cat log.vkey)"
    ///   bergulir proof verify acct-1.balance-proof --policy policy.txt
    #[command(verbatim_doc_comment)]
    Verify {
        /// The proof
        file: PathBuf,
        /// A verifier key of the log; may be given again
        #[arg(long = "key", value_name = "VKEY", value_parser = log_key)]
        keys: Vec<VerifierKey>,
        /// A policy: its logs are trusted too, and a quorum of its witnesses must have cosigned
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// The record's bytes, if the proof does not have them
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
    },
}

/// What is trusted.
struct Trust {
    keys: Vec<VerifierKey>,
    policy: Option<Policy>,
}

/// What was proved, for people and for programs.
struct Proved {
    title: &'static str,
    facts: Vec<(&'static str, String)>,
    json: Value,
}

/// Why nothing was.
enum Unproved {
    /// It does not hold.
    Invalid(String),
    /// Something is missing that does not come with a proof.
    CannotTell(String),
}

impl Unproved {
    fn invalid(why: impl std::fmt::Display) -> Unproved {
        Unproved::Invalid(why.to_string())
    }

    fn no_proof(why: impl std::fmt::Display) -> Unproved {
        Unproved::CannotTell(format!("this is neither a tlog-proof nor a balance proof: {why}"))
    }
}

pub(crate) fn run(args: ProofArgs, json: bool) -> Result<(), Failure> {
    let ProofCommand::Verify { file, mut keys, policy: policy_file, record } = args.command;
    let policy = policy_file.as_deref().map(policy).transpose()?;
    keys.extend(policy.iter().flat_map(Policy::logs).map(|log| log.key.clone()));
    let trust = Trust { keys, policy };
    let bytes = read(&file)?;
    let record = record.as_deref().map(read).transpose()?;
    match verify(&bytes, record.as_deref(), &trust) {
        Ok(proved) => show(&proved, json),
        Err(Unproved::CannotTell(why)) => {
            Err(Failure::CouldNotTell(format!("{}: {why}", file.display())))
        }
        Err(Unproved::Invalid(why)) => {
            let file = file.display().to_string();
            if json {
                output::line(json!({"valid": false, "file": file, "reason": why}))?;
            } else {
                let mut page = Page::default();
                page.facts(
                    "Bukti / Proof",
                    &[
                        ("Berkas / File", file),
                        ("Hasil / Result", "TIDAK SAH / INVALID".to_owned()),
                        ("Sebab / Why", why),
                    ],
                );
                page.print()?;
            }
            Err(Failure::Invalid)
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let name = path.display();
    let failed = |why: &dyn std::fmt::Display| {
        Failure::CouldNotTell(format!("could not read {name}: {why}"))
    };
    let length = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if length > MAX_PROOF_BYTES {
        return Err(failed(&"it is too large for a proof or a record"));
    }
    std::fs::read(path).map_err(|error| failed(&error))
}

fn verify(bytes: &[u8], record: Option<&[u8]>, trust: &Trust) -> Result<Proved, Unproved> {
    let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if first == proof::HEADER.as_bytes() {
        let proof = LogProof::parse(bytes).map_err(Unproved::no_proof)?;
        return inclusion(&proof, record, trust);
    }
    if first == balance_proof::HEADER.as_bytes() {
        let proof = BalanceProof::parse(bytes).map_err(Unproved::no_proof)?;
        return balance(&proof, trust);
    }
    Err(Unproved::no_proof(format!(
        "its first line is neither {} nor {}",
        proof::HEADER,
        balance_proof::HEADER
    )))
}

impl Trust {
    /// The origin of the log, if one of the keys that are trusted signed for it.
    fn log(&self, note: &Note) -> Result<KeyName, Unproved> {
        let stated = Checkpoint::parse_unverified(note.text()).map_err(Unproved::no_proof)?;
        let origin = stated.origin;
        if self.keys.is_empty() {
            return Err(Unproved::CannotTell(format!(
                "no key of the log {origin} is known: give it with --key, or a policy that names it"
            )));
        }
        if self.keys.iter().all(|key| *key.name() != origin) {
            return Err(Unproved::Invalid(format!(
                "none of the keys given is one of the log {origin}: a log's key has its name"
            )));
        }
        match Checkpoint::open(note, &origin, &self.keys) {
            Ok(_) => Ok(origin),
            // The log may have taken another key. Its records say that, and no proof has them.
            Err(CheckpointError::Signature(VerifyError::NoKnownKey)) => {
                let of_log = note.signatures().iter().filter(|signature| signature.name == origin);
                let by: Vec<String> =
                    of_log.map(|by| format!("{}+{}", by.name, by.key_id)).collect();
                let by =
                    if by.is_empty() { "no key of its name".to_owned() } else { by.join(", ") };
                Err(Unproved::CannotTell(format!(
                    "no key given signed the checkpoint of {} records; it is signed by {by}. If the \
                     log took another key, give that one (--key), as you got it from elsewhere",
                    stated.size
                )))
            }
            Err(error) => Err(Unproved::invalid(error)),
        }
    }

    /// The witnesses that stand for a checkpoint, if they are asked for.
    fn witnesses(&self, note: &Note) -> Result<Vec<Cosigned<'_>>, Unproved> {
        let Some(policy) = &self.policy else {
            return Ok(Vec::new());
        };
        policy.witnessed(note).map_err(|refusal| match refusal {
            Refusal::NoQuorum { .. } => Unproved::CannotTell(format!(
                "the checkpoint is not witnessed as the policy asks: {refusal}"
            )),
            refusal => Unproved::invalid(refusal),
        })
    }
}

fn inclusion(proof: &LogProof, given: Option<&[u8]>, trust: &Trust) -> Result<Proved, Unproved> {
    let origin = trust.log(&proof.checkpoint)?;
    let bytes = given.or(proof.extra.as_deref()).ok_or_else(|| {
        let missing = "the proof does not have the record itself: give it with --record";
        Unproved::CannotTell(missing.to_owned())
    })?;
    let hash = record::hash(bytes);
    let checkpoint = proof.verify(hash, &origin, &trust.keys).map_err(Unproved::invalid)?;
    let cosigned = trust.witnesses(&proof.checkpoint)?;
    let mut facts = vec![
        ("Posisi / Position", proof.position.to_string()),
        ("Sidik catatan / Record hash", hash.to_string()),
    ];
    let mut json = json!({
        "valid": true,
        "kind": "inclusion",
        "position": proof.position.get(),
        "record_hash": hash.to_string(),
    });
    // A log of others holds what it likes.
    if let Ok(record) = Record::parse(bytes) {
        recorded(&record, proof.position, &mut facts, &mut json)?;
    }
    under(&checkpoint, &cosigned, &mut facts, &mut json);
    Ok(Proved { title: "Bukti catatan / Proof of a record", facts, json })
}

/// What the record says.
fn recorded(
    record: &Record<'_>,
    position: Position,
    facts: &mut Vec<(&'static str, String)>,
    json: &mut Value,
) -> Result<(), Unproved> {
    if record.position != position {
        return Err(Unproved::Invalid(format!(
            "the record says that it is at {}, and the log has it at {position}",
            record.position
        )));
    }
    let event = decode_event(record.event).ok().map(|event| event_to_wire(&event));
    let at = instant(Some(&recorded_at_to_wire(record.recorded_at)));
    json["recorded_at"] = at.clone().into();
    json["principal"] = record.principal.into();
    facts.extend([
        ("Dicatat / Recorded at", at),
        ("Oleh / By", record.principal.to_owned()),
        ("Kejadian / Event", words::event(event.as_ref()).to_owned()),
    ]);
    Ok(())
}

fn balance(proof: &BalanceProof, trust: &Trust) -> Result<Proved, Unproved> {
    let origin = trust.log(&proof.seal.checkpoint)?;
    let proved = proof.verify(&origin, &trust.keys).map_err(Unproved::invalid)?;
    let cosigned = trust.witnesses(&proof.seal.checkpoint)?;
    let whose = match proof.key {
        BalanceKey::Fund(fund) => format!("funds/{fund}"),
        BalanceKey::Account(fund, account) => format!("funds/{fund}/accounts/{account}"),
    };
    let at = instant(Some(&recorded_at_to_wire(proved.recorded_at)));
    let through = proved.seal.through;
    let mut facts = vec![
        ("Milik / Whose", whose.clone()),
        ("Sampai posisi / Through position", through.to_string()),
        ("Disegel / Sealed at", format!("{} ({at})", proved.sealed_at)),
    ];
    let mut json = json!({
        "valid": true,
        "kind": "balance",
        "name": whose,
        "present": proved.leaf.is_some(),
        "through": through.get(),
        "sealed_at": proved.sealed_at.get(),
        "recorded_at": at,
        "balance_root": hex(&proved.seal.balance_root),
    });
    match &proved.leaf {
        Some(leaf) => balances(leaf, &mut facts, &mut json),
        None => facts.push(("Saldo / Balances", "tidak ada / there was none".to_owned())),
    }
    under(&proved.checkpoint, &cosigned, &mut facts, &mut json);
    Ok(Proved { title: "Bukti saldo / Proof of balances", facts, json })
}

/// What the leaf says; sums of it only where they can be made, for its numbers are anybody's.
fn balances(leaf: &Leaf, facts: &mut Vec<(&'static str, String)>, json: &mut Value) {
    let amounts = match leaf {
        Leaf::Fund { balances, .. } => fund_amounts(balances),
        Leaf::Account { balances, .. } => account_amounts(balances),
    };
    for (key, name, minor) in amounts {
        if let Some(minor) = minor {
            json["balances"][key] = exact(minor).into();
            facts.push((name, format!("Rp {}", rupiah(minor))));
        }
    }
    let Statement { records, running_hash } = leaf.statement();
    json["statement"] = json!({"records": records, "running_hash": running_hash.to_string()});
    facts.push(("Jumlah catatannya / Records that concern it", count(records)));
    facts.push(("Sidik catatannya / Their running hash", running_hash.to_string()));
}

type Amounts = Vec<(&'static str, &'static str, Option<i64>)>;

fn fund_amounts(fund: &FundBalances) -> Amounts {
    let book = |book| fund.books.amount(book);
    let available = book(Book::Cash)
        .checked_sub(fund.income_apart)
        .and_then(|left| left.checked_sub(book(Book::Suspense)));
    vec![
        ("capital", "Modal / Capital", Some(book(Book::Capital))),
        ("cash", "Kas / Cash", Some(book(Book::Cash))),
        (
            "principal_receivable",
            "Piutang pokok / Principal receivable",
            Some(book(Book::PrincipalReceivable)),
        ),
        ("interest_income", "Pendapatan jasa / Interest income", Some(book(Book::InterestIncome))),
        ("late_fee_income", "Pendapatan denda / Late-fee income", Some(book(Book::LateFeeIncome))),
        ("grant_expense", "Beban hibah / Grant expense", Some(book(Book::GrantExpense))),
        ("write_off_loss", "Kerugian penghapusan / Write-off loss", Some(book(Book::WriteOffLoss))),
        (
            "recovery_income",
            "Penerimaan kembali / Recovery income",
            Some(book(Book::RecoveryIncome)),
        ),
        ("available", "Tersedia / Available", available),
        ("committed", "Terikat / Committed", Some(fund.committed)),
        ("reserved", "Dicadangkan / Reserved", Some(fund.reserved)),
    ]
}

fn account_amounts(account: &AccountBalances) -> Amounts {
    let outstanding = account
        .disbursed
        .checked_sub(account.principal_repaid)
        .and_then(|left| left.checked_sub(account.written_off));
    vec![
        ("disbursed", "Pencairan / Disbursed", Some(account.disbursed)),
        ("principal_repaid", "Pokok dibayar / Principal repaid", Some(account.principal_repaid)),
        ("outstanding", "Sisa pokok / Outstanding", outstanding),
        ("interest_paid", "Jasa dibayar / Interest paid", Some(account.interest_paid)),
        ("late_fee_paid", "Denda dibayar / Late fee paid", Some(account.late_fees_paid)),
        ("committed", "Terikat / Committed", Some(account.committed)),
        ("pending", "Menunggu / Pending", Some(account.pending)),
        ("granted", "Hibah / Granted", Some(account.granted)),
        ("written_off", "Dihapuskan / Written off", Some(account.written_off)),
        ("recovered", "Penerimaan kembali / Recovered", Some(account.recovered)),
    ]
}

/// Under which checkpoint, and who stands for it.
fn under(
    checkpoint: &Checkpoint,
    cosigned: &[Cosigned<'_>],
    facts: &mut Vec<(&'static str, String)>,
    json: &mut Value,
) {
    let Checkpoint { origin, size, root } = checkpoint;
    let root: &Hash = root;
    json["origin"] = origin.as_str().into();
    json["log_size"] = size.get().into();
    json["root_hash"] = root.to_string().into();
    json["cosigned_by"] = cosigned.iter().map(|by| by.witness.key.name().as_str()).collect();
    facts.extend([
        ("Log / Origin", origin.to_string()),
        ("Jumlah catatan / Log size", count(size.get())),
        ("Akar / Root hash", root.to_string()),
    ]);
    let names: Vec<&str> = cosigned.iter().map(|by| by.witness.name.as_str()).collect();
    let names = if names.is_empty() { "-".to_owned() } else { names.join(", ") };
    facts.push(("Saksi / Cosigned by", names));
}

fn show(proved: &Proved, json: bool) -> Result<(), Failure> {
    if json {
        return output::line(&proved.json);
    }
    let mut page = Page::default();
    let mut facts = vec![("Hasil / Result", "SAH / VALID".to_owned())];
    facts.extend(proved.facts.iter().cloned());
    page.facts(proved.title, &facts);
    page.print()
}
