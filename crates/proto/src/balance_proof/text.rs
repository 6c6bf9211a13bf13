//! Proofs of balances as text.

use core::fmt;

use bergulir_chain::merkle::{MAX_PATH_HASHES, Member};
use bergulir_chain::proof::{LogProof, LogProofError};
use bergulir_chain::{base64, decimal};
use thiserror::Error;

use super::BalanceProof;
use crate::balances::{BalanceKey, BalanceKeyError};

/// The first line of each.
pub const HEADER: &str = "bergulir-balance-proof 1";

/// How the name of a file with one ends.
pub const SUFFIX: &str = ".balance-proof";

/// The most leaves that a proof shows: the two between which a key would stand.
pub const MAX_LEAVES_SHOWN: usize = 2;

/// Why bytes are not a proof of balances.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BalanceProofTextError {
    /// The first line is another.
    #[error("the proof does not begin with {HEADER}")]
    Header,
    /// The second line does not say whose balances.
    #[error("the second line of the proof {0}")]
    Key(#[from] BalanceKeyError),
    /// The third line does not say how many leaves there are.
    #[error("the third line of the proof must be: leaves NUMBER")]
    Leaves,
    /// A leaf or its path is not right, there are more than two, or no blank line ends them.
    #[error("the leaves of the proof are not right")]
    Shown,
    /// The proof of the seal is not one.
    #[error("the seal: {0}")]
    Seal(#[from] LogProofError),
}

impl BalanceProof {
    /// Reads a proof.
    ///
    /// # Errors
    /// If it is none. For each proof there is one byte string only.
    pub fn parse(bytes: &[u8]) -> Result<Self, BalanceProofTextError> {
        use BalanceProofTextError as E;
        let mut rest = bytes;
        line(&mut rest).filter(|&line| line == HEADER).ok_or(E::Header)?;
        let key: BalanceKey = line(&mut rest).unwrap_or_default().parse()?;
        let leaves = line(&mut rest).and_then(|line| decimal::parse(line.strip_prefix("leaves ")?));
        let leaves = leaves.ok_or(E::Leaves)?;
        let mut shown: Vec<Member> = Vec::new();
        loop {
            let next = line(&mut rest).ok_or(E::Shown)?;
            if next.is_empty() {
                break;
            }
            if let Some(leaf) = next.strip_prefix("leaf ") {
                if shown.len() == MAX_LEAVES_SHOWN {
                    return Err(E::Shown);
                }
                shown.push(member(leaf).ok_or(E::Shown)?);
            } else {
                let path = &mut shown.last_mut().ok_or(E::Shown)?.path;
                if path.len() == MAX_PATH_HASHES {
                    return Err(E::Shown);
                }
                path.push(base64::decode_hash(next).ok_or(E::Shown)?);
            }
        }
        Ok(Self { key, leaves, shown, seal: LogProof::parse(rest)? })
    }
}

fn member(text: &str) -> Option<Member> {
    let (number, leaf) = text.split_once(' ')?;
    let (index, leaf) = (decimal::parse(number)?, base64::decode(leaf)?);
    Some(Member { index, leaf, path: Vec::new() })
}

/// Takes a line off the front, without its newline; `None` if none ends there or it is not UTF-8.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let (line, after) = rest.split_at(end);
    *rest = &after[1..];
    core::str::from_utf8(line).ok()
}

impl fmt::Display for BalanceProof {
    /// The whole proof: its bytes are the UTF-8 of this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        writeln!(f, "{}", self.key)?;
        writeln!(f, "leaves {}", self.leaves)?;
        for Member { index, leaf, path } in &self.shown {
            writeln!(f, "leaf {index} {}", base64::encode(leaf))?;
            for hash in path {
                writeln!(f, "{}", base64::encode(hash.as_bytes()))?;
            }
        }
        write!(f, "\n{}", self.seal)
    }
}
