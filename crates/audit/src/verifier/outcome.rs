//! What a verification has found once it is through, or had to stop.

use std::time::Duration;

use bergulir_chain::{Hash, LogSize, Position};
use bergulir_domain::State;

use super::{Stop, Verifier};
use crate::claims::Contradiction;
use crate::fetch::Fetch;
use crate::reason::Reason;
use crate::report::{Continued, Finding, FundReport, LedgerReport, Place, Totals};
use crate::survey::Torn;
use crate::{Checked, Depth, NotChecked};

impl Verifier<'_> {
    pub(super) fn finding(&mut self, stop: Option<Stop>) -> Finding {
        let ending = if stop.is_none() { self.ending() } else { Ok(()) };
        let frame = self.place.map(|(segment, offset)| Place {
            file: self.survey.segments[segment].path.clone(),
            offset,
        });
        match (stop, self.survey.torn) {
            (Some(Stop::Bad { position, reason }), _) if reason.is_unknown_version() => {
                let why = reason.to_string();
                Finding::Unreadable { position, why }
            }
            (Some(Stop::Bad { position, reason }), _) => {
                let place = Fetch::new(self.survey).place(position).or(frame);
                Finding::Invalid { position, reason, place }
            }
            (Some(Stop::Unreadable { position, why }), _) => Finding::Unreadable { position, why },
            (None, torn) if let Err((position, reason)) = ending => {
                let place = torn.map(|torn| self.torn_at(torn));
                Finding::Invalid { position, reason, place }
            }
            (None, torn) if self.folder.has_index && self.size().is_empty() => Finding::Invalid {
                position: self.next(),
                reason: Reason::LogMissing,
                place: torn.map(|torn| self.torn_at(torn)),
            },
            // No server writes into a bundle: what made it, or came by since, left that there.
            (None, Some(torn)) if self.bundle.is_some() => Finding::Invalid {
                position: self.next(),
                reason: Reason::BundleTail { bytes: torn.bytes },
                place: Some(self.torn_at(torn)),
            },
            (None, Some(torn)) => Finding::Torn {
                position: self.next(),
                bytes: torn.bytes,
                place: self.torn_at(torn),
            },
            (None, None) if self.size().is_empty() => Finding::Empty,
            (None, None) => self.claims.unproven().map_or(Finding::Valid, Finding::Unproven),
        }
    }

    /// Whether the log ends where checkpoints say that it does, or later.
    fn ending(&mut self) -> Result<(), Contradiction> {
        let size = self.size();
        self.claims.end(size)?;
        match self.bundle {
            Some((_, stated)) if stated < size => {
                Err((stated.next_position(), Reason::BeyondBundle { size: stated }))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn torn_at(&self, torn: Torn) -> Place {
        Place { file: self.survey.segments[torn.segment].path.clone(), offset: torn.offset }
    }

    /// The records before the first bad one, and the hash of the last of them.
    fn right(&self, finding: &Finding) -> (LogSize, Hash) {
        let size = self.size();
        match finding {
            Finding::Invalid { position, .. } if *position < size.next_position() => {
                let right = LogSize::new(position.get());
                let hash = match right.last() {
                    _ if position.next() == size.next_position() => Some(self.before),
                    // It is before the records that are there.
                    Some(last) if last.next().get() < self.survey.first => Some(Hash::ZERO),
                    // What is wrong showed only later on: the record itself continues the chain.
                    Some(last) => Fetch::new(self.survey).named_after(last),
                    None => Some(Hash::ZERO),
                };
                (right, hash.unwrap_or(self.before))
            }
            _ => (size, self.head_hash()),
        }
    }

    pub(super) fn report(&self, finding: Finding) -> LedgerReport {
        let empty = State::default();
        let state = if self.links.is_some() { &empty } else { self.replica.state() };
        let (records, head_hash) = self.right(&finding);
        let (checkpoint, witnesses) = self.claims.summary();
        let mut checked = self.checked(records);
        let mut not_checked = Vec::new();
        if self.survey.first > 0 && self.links.is_none() {
            let from = Position::new(self.survey.first);
            not_checked.push(NotChecked::EarlierDecisions { from });
            not_checked.push(NotChecked::EarlierUses { from });
        }
        if self.links.is_some() {
            not_checked.push(NotChecked::Rules);
        }
        not_checked.extend(last_known(&self.continued));
        self.claims.scope(self.size(), &mut checked, &mut not_checked);
        let funds = state
            .funds()
            .iter()
            .map(|(_, fund)| FundReport { fund: fund.id, balances: fund.balances });
        LedgerReport {
            folder: self.folder.path.clone(),
            bundle: self.bundle.map(|(kind, _)| kind),
            first: Position::new(self.survey.first),
            ledger: self.named.as_ref().map(|(ledger, _)| *ledger),
            origin: self.named.as_ref().map(|(_, origin)| origin.clone()),
            continued: self.continued.clone(),
            finding,
            records,
            head_hash,
            tree_size: LogSize::new(self.tree().size()),
            root_hash: self.tree().root(),
            checkpoint,
            witnesses,
            checked,
            not_checked,
            first_recorded_at: self.first_recorded_at,
            last_recorded_at: self.first_recorded_at.map(|_| self.recorded_at()),
            events: self.counts.by_name(),
            seals: self.seals_checked,
            totals: Totals::of(state),
            funds: funds.collect(),
            accounts: Vec::new(),
            not_read: self.survey.not_read.clone(),
            elapsed: Duration::ZERO,
        }
    }

    fn checked(&self, records: LogSize) -> Vec<Checked> {
        let records = records.get().saturating_sub(self.survey.first);
        let mut checked = vec![Checked::Chain { records }];
        if self.links.is_none() {
            checked.push(Checked::Decisions { records });
        }
        // The state's digest is that of the seal; its root is compared where the seal is passed.
        let is_sealed = match self.depth {
            Depth::Rules => self.seals_checked > 0,
            Depth::ChainOnly => self.state_is_sealed,
        };
        if let Some(through) = self.survey.first.checked_sub(1).map(Position::new)
            && is_sealed
        {
            checked.push(Checked::State { through });
        }
        if self.proven > 0 {
            checked.push(Checked::Inclusion { records: self.proven });
        }
        if self.seals_checked > 0 {
            checked.push(Checked::Seals { seals: self.seals_checked });
        }
        checked
    }
}

/// What was not compared of the checkpoints that records name.
pub(crate) fn last_known(continued: &[Continued]) -> impl Iterator<Item = NotChecked> {
    let open = continued.iter().filter(|continued| !continued.is_compared);
    open.map(|continued| NotChecked::LastKnown { at: continued.position })
}
