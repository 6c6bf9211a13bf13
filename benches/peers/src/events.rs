//! The events that all peers are given: 150 bytes each, with a unique id.

use std::time::{SystemTime, UNIX_EPOCH};

/// How many accounts there are, as many as `bergulir bench` has.
pub const ACCOUNTS: u32 = 1_000;
/// What each account has before the load, so that no payment takes it below zero.
pub const OPENING: i64 = 1_000_000;
const REFERENCE: usize = 20;
const NOTE: [u8; 102] = *b"repayment of the revolving fund, third tranche, village enterprise, paid in at the counter of the bank";
/// What one event takes as bytes.
pub const BYTES: usize = 16 + REFERENCE + 4 + 8 + NOTE.len();

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub id: [u8; 16],
    reference: [u8; REFERENCE],
    pub account: u32,
    pub amount: i64,
    pub note: [u8; NOTE.len()],
}

impl Event {
    /// The bank's reference, unique too.
    pub fn reference(&self) -> &str {
        str::from_utf8(&self.reference).expect("it was made of digits")
    }

    pub fn note(&self) -> &str {
        str::from_utf8(&self.note).expect("it was made of a text")
    }

    /// All of it as bytes, for those that take an event as it comes.
    pub fn bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let account = self.account.to_be_bytes();
        let amount = self.amount.to_be_bytes();
        let parts: [&[u8]; 5] = [&self.id, &self.reference, &account, &amount, &self.note];
        let mut rest = &mut bytes[..];
        for part in parts {
            let (place, after) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = after;
        }
        bytes
    }
}

/// An endless row of events for one of so many clients, which has accounts of its own.
#[derive(Debug)]
pub struct Source {
    client: u32,
    clients: u32,
    account: u32,
    made: u64,
    random: u64,
    is_repaid: bool,
}

impl Source {
    pub fn new(client: u32, clients: u32) -> Source {
        let random = u64::from(client).wrapping_mul(0xd134_2543_de82_ef95);
        Source { client, clients, account: client, made: 0, random, is_repaid: false }
    }

    /// Puts the next ones in place of what is there.
    pub fn fill(&mut self, events: &mut Vec<Event>, count: usize) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        events.clear();
        events.extend((0..count).map(|_| self.next(millis)));
    }

    fn next(&mut self, millis: u64) -> Event {
        self.made += 1;
        let amount = 1_000 + i64::from(self.account);
        let event = Event {
            id: self.id(millis),
            reference: self.reference(),
            account: self.account,
            amount: if self.is_repaid { amount } else { -amount },
            note: NOTE,
        };
        self.account += self.clients;
        if self.account >= ACCOUNTS {
            self.account = self.client;
            self.is_repaid = !self.is_repaid;
        }
        event
    }

    /// A UUID of version 7: those of one moment lie together, which trees like. What follows the
    /// time is the client and the count, so that no two are the same, and something random.
    fn id(&mut self, millis: u64) -> [u8; 16] {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let high = millis << 16 | 7 << 12 | (self.made >> 10 & 0xfff);
        let low = 2 << 62
            | (self.made & 0x3ff) << 52
            | u64::from(self.client & 0xfff) << 40
            | mixed >> 24;
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }

    fn reference(&self) -> [u8; REFERENCE] {
        let mut text = *b"BR0000-0000000000000";
        write_digits(&mut text[2..6], u64::from(self.client));
        write_digits(&mut text[7..], self.made);
        text
    }
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789"[usize::try_from(number % 10).unwrap_or(0)];
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_and_references_are_unique_and_accounts_stay_above_zero() {
        let (mut ids, mut references) = (BTreeSet::new(), BTreeSet::new());
        let mut balances = vec![OPENING; ACCOUNTS as usize];
        let mut events = Vec::new();
        for client in 0..3 {
            let mut source = Source::new(client, 3);
            for _ in 0..5 {
                source.fill(&mut events, 1_000);
                for event in &events {
                    assert!(ids.insert(event.id));
                    assert!(references.insert(event.reference().to_owned()));
                    assert_eq!(event.account % 3, client);
                    assert_eq!((event.id[6] >> 4, event.id[8] >> 6), (7, 2));
                    let balance = &mut balances[event.account as usize];
                    *balance += event.amount;
                    assert!(*balance >= 0);
                }
            }
        }
        assert_eq!(ids.len(), 15_000);
    }

    #[test]
    fn an_event_is_of_the_size_that_is_compared() {
        let mut events = Vec::new();
        Source::new(0, 1).fill(&mut events, 1);
        assert_eq!(events[0].bytes().len(), 150);
        assert_eq!(&events[0].bytes()[..16], &events[0].id);
        assert_eq!(&events[0].bytes()[16..36], events[0].reference().as_bytes());
    }
}
