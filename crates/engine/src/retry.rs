//! Retries: what was accepted under a request id is answered again, as it was, to whoever sends the
//! same command again; to anyone else the id is taken.

use crate::asked::Asked;
use crate::facts::Facts;
use crate::reads::running;
use crate::submission::{Accepted, Balances, Receipt, Refusal, Request};
use crate::trail::Owner;
use crate::writer::{By, Writer, named};
use bergulir_domain::{Touched, touched};
use bergulir_store::index::Direction;

impl Writer {
    /// The first answer again, if every request of the batch was accepted as this batch.
    pub(crate) fn repeat_atomic(
        &self,
        by: By<'_>,
        all: &[Asked<'_>],
    ) -> Result<Option<Vec<Accepted>>, (usize, Refusal)> {
        let mut first = None;
        let mut accepted = Vec::new();
        for (item, asked) in all.iter().enumerate() {
            let at = |refusal| (item, refusal);
            let expected = match (item, first) {
                (0, _) => {
                    first = self.position_of(asked).map_err(at)?;
                    first.map_or(Ok(()), |p| self.check_begins_batch(p)).map_err(at)?;
                    first
                }
                (_, Some(first)) => Some(first + item as u64),
                (_, None) => None,
            };
            let found = if item == 0 { first } else { self.position_of(asked).map_err(at)? };
            match (found, expected) {
                (None, None) => {}
                (Some(found), Some(expected)) if found == expected => {
                    let following = u32::try_from(all.len() - 1 - item).unwrap_or(u32::MAX);
                    accepted.push(self.repeat(by, asked.request, found, following).map_err(at)?);
                }
                (Some(position), _) | (None, Some(position)) => {
                    let position = bergulir_chain::Position::new(position);
                    return Err(at(Refusal::RequestIdConflict { position }));
                }
            }
        }
        Ok(first.map(|_| accepted))
    }

    pub(crate) fn position_of(&self, asked: &Asked<'_>) -> Result<Option<u64>, Refusal> {
        let facts = Facts { known: &asked.known, ..self.facts() };
        let found = facts.request_id(&asked.request.request_id);
        found.map_err(|failed| Refusal::Rule(failed.into()))
    }

    /// A part of an atomic batch is not what was sent then.
    pub(crate) fn check_begins_batch(&self, position: u64) -> Result<(), Refusal> {
        let Some(before) = position.checked_sub(1) else {
            return Ok(());
        };
        let before = self.facts().look_up(before).map_err(|failed| Refusal::Rule(failed.into()))?;
        if before.is_none_or(|before| before.following == 0) {
            return Ok(());
        }
        let position = bergulir_chain::Position::new(position);
        Err(Refusal::RequestIdConflict { position })
    }

    /// Answers a retry: the first answer again, if it is the same command of the same caller.
    pub(crate) fn repeat(
        &self,
        by: By<'_>,
        request: &Request,
        position: u64,
        following: u32,
    ) -> Result<Accepted, Refusal> {
        let facts = self.facts();
        let failed = |_| Refusal::Rule(bergulir_domain::Rejection::LookupFailed);
        let at = bergulir_chain::Position::new(position);
        let known = facts.look_up(position).map_err(failed)?;
        let known = known.ok_or(Refusal::RequestIdConflict { position: at })?;
        let same = known.principal == by.name
            && known.following == following
            && known.event.command() == request.command;
        if !same {
            return Err(Refusal::RequestIdConflict { position: at });
        }
        let receipt = Some(Receipt {
            position: at,
            record_hash: known.hash,
            recorded_at: known.recorded_at,
            duplicate: true,
        });
        if let Some(sealed) = self.recent.get(position) {
            let (touched, balances) = (sealed.touched, sealed.balances);
            let named = named(&self.state, touched);
            return Ok(Accepted { receipt, touched, named, balances });
        }
        let touched = touched(&self.state, &known.event, &facts).map_err(failed)?;
        let balances = self.balances_at(touched, at);
        let balances =
            balances.map_err(|error| Refusal::Rule(facts.index_failed(&error).into()))?;
        Ok(Accepted { receipt, touched, named: named(&self.state, touched), balances })
    }

    /// The balances right after an indexed record, from its trails.
    fn balances_at(
        &self,
        touched: Touched,
        at: bergulir_chain::Position,
    ) -> Result<Balances, bergulir_store::index::IndexError> {
        let mut balances = Balances::default();
        let owners = [touched.fund.map(Owner::Fund), touched.account.map(Owner::Account)];
        for owner in owners.into_iter().flatten() {
            let range = at..at.next();
            let found = self.index.trail(owner.key(), range, 1, Direction::OldestFirst)?;
            let Some((at, line)) = found.first() else { continue };
            let (_, running) = running(*at, line)?;
            balances.fund = balances.fund.or(running.balances.fund);
            balances.account = balances.account.or(running.balances.account);
            balances.loan = balances.loan.or(running.balances.loan);
        }
        Ok(balances)
    }
}
