//! What a load counted, and whether each answer was the one that was expected.

use std::iter::Peekable;
use std::slice::Iter;
use std::time::Duration;

use super::mix::Expected;
use super::skim::{Arriving, Outcome};
use crate::failure::Failure;

/// Why the server refuses what the mix sends to be refused.
const TOO_MUCH: &[u8] = b"LOAN_LIMIT_EXCEEDED";

/// A batch that is under way.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) commands: usize,
    /// The places of those that do not lead to new records.
    pub(crate) others: Vec<(usize, Expected)>,
}

/// What the workers counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// New records.
    pub(crate) events: u64,
    /// Refusals, as expected.
    pub(crate) refused: u64,
    /// Duplicates, as expected.
    pub(crate) duplicates: u64,
    /// How long each request took, in microseconds.
    pub(crate) latencies: Vec<u32>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Tally) {
        self.events += other.events;
        self.refused += other.refused;
        self.duplicates += other.duplicates;
        if self.latencies.is_empty() {
            self.latencies = other.latencies;
        } else {
            self.latencies.extend(other.latencies);
        }
    }

    pub(crate) fn timed(&mut self, took: Duration) {
        self.latencies.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// Counts an answer, which must be what was expected; a new record lies after the one before.
    pub(crate) fn count(
        &mut self,
        expected: Expected,
        got: Outcome<'_>,
        after: Option<u64>,
    ) -> Result<Option<u64>, Failure> {
        match (expected, got) {
            (Expected::New, Outcome::Recorded { position, duplicate: false })
                if after.is_none_or(|after| after < position) =>
            {
                self.events += 1;
                return Ok(Some(position));
            }
            (Expected::Duplicate, Outcome::Recorded { duplicate: true, .. }) => {
                self.duplicates += 1;
            }
            (Expected::Refused, Outcome::Refused(TOO_MUCH)) => self.refused += 1,
            (expected, got) => {
                let got = match got {
                    Outcome::Refused(reason) => String::from_utf8_lossy(reason).into_owned(),
                    Outcome::Recorded { .. } => format!("{got:?}"),
                };
                return Err(Failure::CouldNotTell(format!(
                    "a command was answered wrongly: {expected:?} was expected, and {got} came"
                )));
            }
        }
        Ok(after)
    }

    /// Counts the answers to a batch.
    pub(crate) fn batch(&mut self, answer: &[u8], sent: &Sent) -> Result<(), Failure> {
        let mut answered = Answered::to(sent);
        answered.read(answer, self)?;
        answered.end()
    }

    /// See [`per_mille`].
    pub(crate) fn per_mille(&self, share: usize) -> u32 {
        per_mille(&self.latencies, share)
    }
}

/// How far the answer to a batch has been read.
#[derive(Debug)]
pub(crate) struct Answered<'a> {
    commands: usize,
    others: Peekable<Iter<'a, (usize, Expected)>>,
    arriving: Arriving,
    place: usize,
    after: Option<u64>,
    readable: bool,
}

impl<'a> Answered<'a> {
    pub(crate) fn to(sent: &'a Sent) -> Answered<'a> {
        Answered {
            commands: sent.commands,
            others: sent.others.iter().peekable(),
            arriving: Arriving::default(),
            place: 0,
            after: None,
            readable: true,
        }
    }

    /// Counts what one more piece of it says.
    pub(crate) fn read(&mut self, piece: &[u8], tally: &mut Tally) -> Result<(), Failure> {
        let (others, place, after) = (&mut self.others, &mut self.place, &mut self.after);
        let mut wrong = None;
        let read = self.arriving.read(piece, |got| {
            let other = others.next_if(|(other, _)| other == place);
            let expected = other.map_or(Expected::New, |(_, expected)| *expected);
            *place += 1;
            if wrong.is_none() {
                match tally.count(expected, got, *after) {
                    Ok(position) => *after = position,
                    Err(failure) => wrong = Some(failure),
                }
            }
        });
        self.readable &= read.is_ok();
        wrong.map_or(Ok(()), Err)
    }

    /// That nothing more comes.
    pub(crate) fn end(self) -> Result<(), Failure> {
        let Answered { commands, place, .. } = self;
        if !self.readable || self.arriving.end().is_err() || place != commands {
            return Err(Failure::CouldNotTell(format!(
                "{commands} commands were sent, and {place} answers could be read"
            )));
        }
        Ok(())
    }
}

/// The latency that this many of a thousand requests did not exceed; they are sorted.
pub(crate) fn per_mille(latencies: &[u32], share: usize) -> u32 {
    let last = latencies.len().saturating_sub(1);
    let place = (latencies.len() * share).div_ceil(1_000).max(1) - 1;
    latencies.get(place.min(last)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_proto::pb;
    use bergulir_proto::pb::batch_item_result::Outcome as Full;
    use prost::Message as _;

    #[test]
    fn percentiles_are_those_of_real_requests() {
        let mut latencies: Vec<u32> = (1..=1_000).collect();
        assert_eq!(per_mille(&latencies, 500), 500);
        assert_eq!(per_mille(&latencies, 990), 990);
        assert_eq!(per_mille(&latencies, 999), 999);
        latencies = vec![7];
        assert_eq!((per_mille(&latencies, 500), per_mille(&latencies, 999)), (7, 7));
        assert_eq!(per_mille(&[], 500), 0);
    }

    #[test]
    fn an_answer_that_was_not_expected_ends_the_load() {
        let mut tally = Tally::default();
        let new = |position| Outcome::Recorded { position, duplicate: false };
        let again = Outcome::Recorded { position: 3, duplicate: true };
        assert_eq!(tally.count(Expected::New, new(3), None).unwrap(), Some(3));
        assert_eq!(tally.count(Expected::New, new(4), Some(3)).unwrap(), Some(4));
        assert_eq!(tally.count(Expected::Duplicate, again, Some(4)).unwrap(), Some(4));
        assert!(tally.count(Expected::Refused, Outcome::Refused(TOO_MUCH), None).is_ok());
        for (expected, got, after) in [
            (Expected::New, again, None),
            (Expected::New, new(4), Some(4)),
            (Expected::New, Outcome::Refused(TOO_MUCH), None),
            (Expected::Duplicate, new(5), None),
            (Expected::Refused, Outcome::Refused(b"OTHER"), None),
            (Expected::Refused, new(5), None),
        ] {
            assert!(tally.count(expected, got, after).is_err(), "{expected:?} {got:?}");
        }
        assert_eq!((tally.events, tally.duplicates, tally.refused), (2, 1, 1));
    }

    #[test]
    fn every_command_of_a_batch_is_answered_in_its_place() {
        let receipt = |position, duplicate| pb::BatchItemResult {
            outcome: Some(Full::Receipt(pb::BatchReceipt {
                position,
                duplicate,
                ..pb::BatchReceipt::default()
            })),
        };
        let answer = |results: &[pb::BatchItemResult]| {
            let results = results.to_vec();
            pb::SubmitBatchResponse { results, log_size: 9 }.encode_to_vec()
        };
        let sent = Sent { commands: 3, others: vec![(1, Expected::Duplicate)] };
        let (one, two, three) = (receipt(7, false), receipt(2, true), receipt(8, false));
        let mut tally = Tally::default();
        let right = answer(&[one.clone(), two.clone(), three.clone()]);
        tally.batch(&right, &sent).unwrap();
        assert_eq!((tally.events, tally.duplicates), (2, 1));
        for wrong in [
            answer(&[one.clone(), two.clone()]),
            answer(&[two.clone(), one.clone(), three.clone()]),
            answer(&[three, two, one]),
            right[..right.len() - 3].to_vec(),
            Vec::new(),
        ] {
            assert!(tally.batch(&wrong, &sent).is_err(), "{wrong:?}");
        }
    }
}
