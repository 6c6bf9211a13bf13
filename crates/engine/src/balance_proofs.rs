//! Proofs of balances, from the balance tree of the newest seal, which is kept in memory. After a
//! start it is made again from the snapshot of that seal, by the first who asks.

use crate::ledger::{Ledger, held};
use crate::open;
use crate::proofs::{Inclusion, ProofRefusal};
use crate::submission::{Answer, Refusal};
use bergulir_chain::note::Note;
use bergulir_chain::proof::LogProof;
use bergulir_chain::{LogSize, Position};
use bergulir_proto::balance_proof::BalanceProof;
use bergulir_proto::balances::{BalanceKey, BalanceTree};
use bergulir_store::EventLog;
use bergulir_store::index::Index;
use std::sync::{Arc, Mutex};

/// The balance tree of a seal that is in the log.
#[derive(Debug)]
pub(crate) struct SealedBalances {
    pub(crate) tree: Arc<BalanceTree>,
    pub(crate) sealed_at: Position,
    /// The last proof that the seal is in the log: it serves until there is a newer checkpoint.
    proved: Mutex<Option<LogProof>>,
}

impl SealedBalances {
    pub(crate) fn new(tree: Arc<BalanceTree>, sealed_at: Position) -> Self {
        Self { tree, sealed_at, proved: Mutex::default() }
    }

    /// The proof that the seal is in the log, if it was made before under this checkpoint.
    fn proof_under(&self, checkpoint: &Note) -> Option<LogProof> {
        held(&self.proved).clone().filter(|proof| proof.checkpoint == *checkpoint)
    }
}

/// The balance tree of the newest seal.
#[derive(Debug, Default)]
pub(crate) struct NewestSeal {
    sealed: Mutex<Option<Arc<SealedBalances>>>,
    /// Held while the tree is made again: by one, the others wait.
    making: Mutex<()>,
}

impl NewestSeal {
    pub(crate) fn get(&self) -> Option<Arc<SealedBalances>> {
        held(&self.sealed).clone()
    }

    /// A newer seal takes the place of an older one.
    pub(crate) fn put(&self, sealed: SealedBalances) {
        let mut newest = held(&self.sealed);
        if newest.as_ref().is_none_or(|newest| newest.sealed_at < sealed.sealed_at) {
            *newest = Some(Arc::new(sealed));
        }
    }

    pub(crate) fn clear(&self) {
        held(&self.sealed).take();
    }

    /// The tree of the newest seal, made again from its snapshot if need be; `None` if there is no
    /// snapshot. Takes a while: not for an async task.
    pub(crate) fn get_or_make(
        &self,
        log: &dyn EventLog,
        index: &Index,
    ) -> Option<Arc<SealedBalances>> {
        let _making = held(&self.making);
        if self.get().is_none()
            && let Some((replica, sealed_at)) = open::newest_trusted(log, index)
        {
            self.put(SealedBalances::new(Arc::new(BalanceTree::of(&replica)), sealed_at));
        }
        self.get()
    }
}

impl Ledger {
    /// Proves the balances of a fund or an account, or that there is none of that name, as of the
    /// newest seal; as of now, if it is to be `fresh`, for which a seal is recorded unless the log
    /// ends with one. One is also recorded if there is none.
    ///
    /// # Errors
    /// If no seal can be recorded, no checkpoint be signed, or the log or the index fails.
    pub async fn balance_proof(
        &self,
        key: BalanceKey,
        fresh: bool,
    ) -> Result<BalanceProof, ProofRefusal> {
        let needed = self.head().size;
        let mut sealed = self.newest_seal().await;
        let covers = |sealed: &SealedBalances| sealed.sealed_at.size_through() >= needed;
        if sealed.as_ref().is_none_or(|sealed| fresh && !covers(sealed)) {
            self.seal_now(needed).await?;
            sealed = self.sealed.get();
        }
        let sealed = sealed.ok_or_else(|| self.nothing_is_signed())?;
        let seal = self.prove_seal(&sealed).await?;
        let tree = &sealed.tree;
        Ok(BalanceProof::new(key, tree.head().size, tree.prove(&key), seal))
    }

    /// Whether there is a seal to prove balances by, so that none has to be recorded.
    pub async fn is_sealed(&self) -> bool {
        self.newest_seal().await.is_some()
    }

    async fn newest_seal(&self) -> Option<Arc<SealedBalances>> {
        if let Some(sealed) = self.sealed.get() {
            return Some(sealed);
        }
        let sealed = Arc::clone(&self.sealed);
        let (log, index) = (Arc::clone(&self.log), self.index.get()?);
        let make = move || sealed.get_or_make(log.as_ref(), &index);
        tokio::task::spawn_blocking(make).await.ok()?
    }

    /// Records a seal. It is as well if somebody else does at the same time.
    async fn seal_now(&self, needed: LogSize) -> Result<(), ProofRefusal> {
        let refusal = match self.seal().await {
            Answer::Items(items) => items.into_iter().find_map(Result::err),
            Answer::Refused { refusal, .. } => Some(refusal),
        };
        self.projected_through(self.head().size).await?;
        let by_another = self.sealed.get().is_some_and(|s| s.sealed_at.size_through() >= needed);
        match refusal {
            None => Ok(()),
            Some(Refusal::Rule(_)) if by_another => Ok(()),
            Some(refusal) => Err(ProofRefusal::NotSealed(refusal)),
        }
    }

    /// Proves that the record of a seal is in the log, under a checkpoint that witnesses stand for
    /// if there is one.
    async fn prove_seal(&self, sealed: &SealedBalances) -> Result<LogProof, ProofRefusal> {
        let position = sealed.sealed_at;
        let needed = position.size_through();
        let witnessed = self.witnessed_checkpoint().filter(|w| w.checkpoint.size >= needed);
        let signed = match witnessed {
            Some(witnessed) => witnessed,
            None => self.checkpoint(Some(needed)).await?,
        };
        if let Some(proof) = sealed.proof_under(&signed.note) {
            return Ok(proof);
        }
        let Inclusion { record, path, .. } =
            self.inclusion_proof(position, signed.checkpoint.size)?;
        let checkpoint = signed.note.clone();
        let proof = LogProof { extra: Some(record), position, path, checkpoint };
        *held(&sealed.proved) = Some(proof.clone());
        Ok(proof)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_proto::replay::Replica;

    #[test]
    fn an_older_seal_does_not_take_the_place_of_a_newer_one() {
        let newest = NewestSeal::default();
        let tree = Arc::new(BalanceTree::of(&Replica::default()));
        for (position, expected) in [(7, 7), (3, 7), (9, 9)] {
            let sealed_at = Position::new(position);
            newest.put(SealedBalances::new(Arc::clone(&tree), sealed_at));
            assert_eq!(newest.get().unwrap().sealed_at, Position::new(expected));
        }
    }
}
