//! An endless mix of payments, for a share of the accounts of one ledger. Everything is made from
//! numbers, so that it costs little and a run can be had again.

use bergulir_domain::money::MAX_AMOUNT_MINOR;
use uuid::Uuid;

use super::plan::{LARGEST_TRANCHE_MINOR, SMALLEST_TRANCHE_MINOR, Size, VALUE_DAYS};

/// Of a thousand commands so many are sent twice, and so many break a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) retries: u64,
    pub(crate) refusals: u64,
}

/// One command of the mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Payment {
    /// A UUID as text.
    pub(crate) request_id: [u8; 36],
    pub(crate) account: usize,
    pub(crate) moves: Move,
    /// The bank reference: which mix, and its how manieth command.
    pub(crate) mix: u64,
    pub(crate) made: u64,
    /// Year, month and day.
    pub(crate) value_date: (u16, u8, u8),
}

/// What a payment moves, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Disburse { amount: u64 },
    Repay { principal: u64, interest: u64 },
}

/// What a command of the mix must lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A new record.
    New,
    /// The receipt that was given before.
    Duplicate,
    /// A refusal.
    Refused,
}

/// What was moved in all, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Money {
    pub(crate) disbursed: u64,
    pub(crate) principal: u64,
    pub(crate) interest: u64,
}

impl Money {
    fn moved(&mut self, moves: Move) {
        match moves {
            Move::Disburse { amount } => self.disbursed += amount,
            Move::Repay { principal, interest } => {
                self.principal += principal;
                self.interest += interest;
            }
        }
    }

    pub(crate) fn add(&mut self, other: Money) {
        self.disbursed += other.disbursed;
        self.principal += other.principal;
        self.interest += other.interest;
    }
}

/// An endless mix for every `step`th account from `first` on.
#[derive(Debug, Clone)]
pub(crate) struct Mix {
    size: Size,
    shares: Shares,
    first: usize,
    step: usize,
    account: usize,
    round: u64,
    made: u64,
    ids: RequestIds,
    value_date: (u16, u8, u8),
    last: Option<Payment>,
    /// What all its new records move.
    pub(crate) money: Money,
}

impl Mix {
    pub(crate) fn new(size: Size, shares: Shares, first: usize, step: usize) -> Mix {
        Mix {
            size,
            shares,
            first,
            step,
            account: first,
            round: 0,
            // Staggered, so that a short load of many workers has its share of both too.
            made: (first * 1_000 / step.max(1)) as u64,
            ids: RequestIds::new(first as u64),
            value_date: size.day(0),
            last: None,
            money: Money::default(),
        }
    }

    /// The next command, and what it must lead to.
    pub(crate) fn next(&mut self) -> (Payment, Expected) {
        self.made += 1;
        let turn = self.made % 1_000;
        if turn < self.shares.retries
            && let Some(last) = self.last
        {
            return (last, Expected::Duplicate);
        }
        if turn >= 1_000 - self.shares.refusals {
            // More than the whole loan.
            let amount = (self.size.principal + 1).min(MAX_AMOUNT_MINOR.unsigned_abs());
            return (self.payment(Move::Disburse { amount }), Expected::Refused);
        }
        let moves = if self.round.is_multiple_of(2) { self.disburse() } else { self.repay() };
        let payment = self.payment(moves);
        self.money.moved(moves);
        self.account += self.step;
        if self.account >= self.size.accounts {
            self.account = self.first;
            self.round += 1;
            // The first tranche is the earliest.
            self.value_date = self.size.day(self.round / 2 % VALUE_DAYS);
        }
        if self.shares.retries > 0 && turn + self.shares.refusals + 1 == 1_000 {
            self.last = Some(payment);
        }
        (payment, Expected::New)
    }

    fn payment(&mut self, moves: Move) -> Payment {
        Payment {
            request_id: self.ids.next(),
            account: self.account,
            moves,
            mix: self.first as u64,
            made: self.made,
            value_date: self.value_date,
        }
    }

    fn disburse(&self) -> Move {
        let span = LARGEST_TRANCHE_MINOR - SMALLEST_TRANCHE_MINOR + 1;
        Move::Disburse { amount: SMALLEST_TRANCHE_MINOR + self.made % span }
    }

    /// Half of the smallest tranche at the most, so that it is owed whichever tranche came before.
    fn repay(&self) -> Move {
        let varied = self.made % 1_000;
        Move::Repay { principal: SMALLEST_TRANCHE_MINOR / 2 - varied, interest: 100 + varied }
    }
}

/// Request ids in the form of UUID version 7: the time of the start, and 74 bits from a seed.
#[derive(Debug, Clone)]
struct RequestIds {
    /// Time and version.
    begin: u64,
    state: u64,
}

impl RequestIds {
    fn new(seed: u64) -> RequestIds {
        let began = Uuid::now_v7().as_u128() >> 64;
        let begin = u64::try_from(began).unwrap_or(0) & !0xfff;
        RequestIds { begin, state: seed.wrapping_mul(0xd134_2543_de82_ef95) }
    }

    /// `SplitMix64`: no two of one seed are the same before 2^64 of them.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn next(&mut self) -> [u8; 36] {
        let (high, low) = (self.random(), self.random());
        let high = self.begin | (high & 0xfff);
        let low = (low >> 2) | (1 << 63);
        let id = Uuid::from_u64_pair(high, low);
        let mut text = [0; 36];
        id.hyphenated().encode_lower(&mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;

    fn size(accounts: usize) -> Size {
        Size::for_events(10_000, accounts, OffsetDateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_mix_stays_on_its_own_accounts_and_within_every_loan() {
        let size = size(7);
        let mut mix = Mix::new(size, Shares { retries: 0, refusals: 0 }, 1, 3);
        let mut owed = [0; 7];
        let mut paid_out = [0; 7];
        let mut interest_paid = 0;
        for _ in 0..10_000 {
            let (payment, expected) = mix.next();
            assert_eq!(expected, Expected::New);
            assert!([1, 4].contains(&payment.account));
            match payment.moves {
                Move::Disburse { amount } => {
                    owed[payment.account] += amount;
                    paid_out[payment.account] += amount;
                }
                Move::Repay { principal, interest } => {
                    owed[payment.account] -= principal;
                    interest_paid += interest;
                }
            }
        }
        assert!(paid_out.iter().all(|paid| *paid <= size.principal * 4));
        assert_eq!(mix.money.disbursed - mix.money.principal, owed.iter().sum::<u64>());
        assert_eq!(mix.money.interest, interest_paid);
    }

    #[test]
    fn a_share_of_the_mix_is_sent_twice_or_refused() {
        let shares = Shares { retries: 5, refusals: 7 };
        let mut mix = Mix::new(size(3), shares, 0, 1);
        let mut ids = std::collections::BTreeSet::new();
        let (mut new, mut duplicates, mut refused) = (0, 0, 0);
        for _ in 0..10_000 {
            let (payment, expected) = mix.next();
            let fresh = ids.insert(payment.request_id);
            assert_eq!(fresh, expected != Expected::Duplicate);
            match expected {
                Expected::New => new += 1,
                Expected::Duplicate => duplicates += 1,
                Expected::Refused => refused += 1,
            }
        }
        assert_eq!(refused, 70);
        assert!((40..=50).contains(&duplicates), "{duplicates}");
        assert_eq!(new + duplicates + refused, 10_000);
    }

    #[test]
    fn request_ids_are_uuids_of_their_own() {
        let (mut one, mut other) = (RequestIds::new(0), RequestIds::new(1));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..1_000 {
            for text in [one.next(), other.next()] {
                let id: Uuid = std::str::from_utf8(&text).unwrap().parse().unwrap();
                assert_eq!(id.get_version_num(), 7);
                assert!(seen.insert(id));
            }
        }
    }
}
