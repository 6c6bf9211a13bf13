//! A log that goes on under another origin: which checkpoints are of which, and whether the one that
//! the record names is what it must be.

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::TreeHead;
use bergulir_chain::note::{Note, VerifierKey};
use bergulir_chain::{LogSize, Position};
use bergulir_domain::command::ContinueLedger;
use bergulir_proto::continuation::last_known;

use super::{Claim, Claims, Contradiction, Named};
use crate::reason::Reason;
use crate::report::{Continued, Unproven};
use crate::trust::CheckpointSource;

impl Claims<'_> {
    /// Takes in which records continue the log, of those from `first` on: the checkpoints that they
    /// name are compared on the way.
    pub(crate) fn expect(&mut self, continued: &[(u64, ContinueLedger)], first: u64) {
        for (at, continued) in continued {
            let known = continued.last_known.as_ref();
            let note =
                known.and_then(|known| Note::parse(known.checkpoint.as_str().as_bytes()).ok());
            let checkpoint = note.and_then(|note| Checkpoint::parse_unverified(note.text()).ok());
            // What cannot be read is refused where the record comes.
            if let Some(checkpoint) = checkpoint
                && (first..=*at).contains(&checkpoint.size.get())
            {
                self.named.push(Named { at: *at, head: checkpoint.head() });
            }
        }
        self.named.sort_by_key(|named| std::cmp::Reverse(named.head.size));
    }

    pub(super) fn is_named(&self, size: LogSize) -> bool {
        self.named.last().is_some_and(|named| named.head.size == size.get())
    }

    pub(super) fn compare(&mut self, head: TreeHead) {
        while let Some(Named { at, head: stated }) =
            self.named.pop_if(|named| named.head.size == head.size)
        {
            self.compared.insert(at, stated == head);
        }
    }

    /// A record continues the log under another origin.
    pub(crate) fn continued(
        &mut self,
        at: Position,
        continued: &ContinueLedger,
    ) -> Result<Continued, Contradiction> {
        let records = LogSize::new(at.get());
        let forged = |why: String| (at, Reason::ContinuationForged { why });
        let (from, origin) = (continued.from_origin.as_str(), continued.origin.as_str());
        if self.keys.origin().is_some_and(|current| current.as_str() != from) {
            return Err(forged(format!("it says that the origin until here was {from}")));
        }
        if self.keys.has(origin) {
            return Err(forged(format!("the log had the origin {origin} before")));
        }
        let known = last_known(continued, self.keys.named(), records);
        let known = known.map_err(|error| forged(error.to_string()))?;
        let forked = continued.last_known.as_ref().is_some_and(|known| known.forked);
        let compared = self.compared.remove(&at.get());
        if let Some(Checkpoint { size, .. }) = known.as_ref().filter(|_| compared == Some(forked)) {
            let are =
                if forked { "are those, and it says that they are not" } else { "are not those" };
            return Err(forged(format!(
                "the first {size} records {are} of the checkpoint that it names"
            )));
        }
        self.past(at, from)?;
        self.keys.opened(at, origin);
        self.keys.push(at, continued.verifier_key.as_str());
        let size = known.map(|known| known.size);
        Ok(Continued {
            position: at,
            from_origin: from.to_owned(),
            origin: origin.to_owned(),
            checkpoint: size,
            forked,
            lost: size.filter(|_| !forked).map(|size| size.get().saturating_sub(at.get())),
            is_compared: compared.is_some() || size.is_none_or(|size| size > records),
        })
    }

    /// Whether the auditor knows of more records under the origin until here than there are.
    fn past(&mut self, at: Position, from: &str) -> Result<(), Contradiction> {
        let kept = LogSize::new(at.get());
        let lost = |claim: &mut Claim| {
            let Claim { which, checkpoint, .. } = claim;
            *which == CheckpointSource::Older
                && checkpoint.origin.as_str() == from
                && checkpoint.size > kept
        };
        let lost: Vec<Claim> = self.waiting.extract_if(.., lost).collect();
        lost.into_iter().try_for_each(|claim| self.lost(claim, at))
    }

    /// Passes a checkpoint on if it is of the origin that the log had at its size.
    pub(super) fn of_this_origin(&mut self, claim: Claim) -> Result<Option<Claim>, Contradiction> {
        let then = self.keys.origin_at(claim.checkpoint.size);
        let Some(then) = then.filter(|then| **then != claim.checkpoint.origin) else {
            return Ok(Some(claim));
        };
        let which = claim.which;
        let (expected, found) = (then.to_string(), claim.checkpoint.origin.to_string());
        if which != CheckpointSource::Older {
            return Err((Position::ZERO, Reason::CheckpointOfOther { which, expected, found }));
        }
        if let Some(ended) = self.keys.ended(&claim.checkpoint.origin, claim.checkpoint.size) {
            return self.lost(claim, ended).map(|()| None);
        }
        self.aside = Some(Unproven::SinceOfOther { expected, found });
        self.early = Some(claim);
        Ok(None)
    }

    /// The older checkpoint is of more records than the log had when it gave that origin up.
    fn lost(&mut self, claim: Claim, ended: Position) -> Result<(), Contradiction> {
        let Claim { which, note, checkpoint } = claim;
        let (size, kept) = (checkpoint.size, LogSize::new(ended.get()));
        match self.keys.signer(&note, kept, self.trust) {
            Ok(_) => {
                let origin = checkpoint.origin.to_string();
                Err((ended, Reason::RecordsLost { which, size, origin, kept }))
            }
            Err(fault) => {
                let fault = Box::new(fault);
                self.aside = Some(Unproven::SinceNotSigned { size, fault });
                Ok(())
            }
        }
    }

    /// Whether the older checkpoint was signed under an origin that the log got only later: then
    /// there was another log of that name.
    pub(super) fn early(&mut self) -> Result<(), Contradiction> {
        let Some(Claim { which, note, checkpoint }) = self.early.take() else {
            return Ok(());
        };
        let Some(at) = self.keys.since(&checkpoint.origin) else {
            return Ok(());
        };
        let keys: Vec<VerifierKey> =
            self.keys.named().filter_map(|(_, k)| k.parse().ok()).collect();
        if Checkpoint::open(&note, &checkpoint.origin, &keys).is_err() {
            return Ok(());
        }
        let (size, origin) = (checkpoint.size, checkpoint.origin.to_string());
        Err((at, Reason::TwoHistories { which, size, origin }))
    }

    /// The checkpoints that lie with a log are of the origin that it has now.
    pub(super) fn newest_is_of_this_origin(&self) -> Result<(), Contradiction> {
        let Some(origin) = self.keys.origin() else {
            return Ok(());
        };
        let own = |which| which != CheckpointSource::Older;
        let past = self
            .agreed
            .iter()
            .find(|agreed| own(agreed.which) && agreed.signer.key.name() != origin);
        let Some(past) = past else {
            return Ok(());
        };
        let (expected, found) = (origin.to_string(), past.signer.key.name().to_string());
        Err((Position::ZERO, Reason::CheckpointOfOther { which: past.which, expected, found }))
    }
}
