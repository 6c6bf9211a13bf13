//! Keys of a large run, each shortened to a value, and the values packed by Elias and Fano's code, a
//! cache line at a time: to be asked about, a key is looked for in one line.
//!
//! A key's line is its place among all keys, by its highest bits; what is left of it says where in
//! the line it is. That is scaled to a number below `buckets << low_bits`, which
//! are chosen so that the line is full, whatever its number of values. The line's bits, from the lowest of the first
//! word on:
//!
//! | bits | what |
//! |---|---|
//! | values + buckets | for each bucket in turn a one for each of its values, and a zero |
//! | values × low bits | the lowest bits of each value, in their order |
//! | the last 8 | the number of values; [`FULL`] if they have no room: then any key may be there |

use super::super::hasher::KEY_BITS;
use super::{Line, empty_lines};

/// Lines for 1,024 keys: 11.5 bits a key, one absent key in 420 gets through. Request ids and bank
/// references together stay under 3 bytes a record.
const LINES: u64 = 23;

const WORD: usize = u64::BITS as usize;

/// The bits of a line that say how many values it has.
const COUNT_BITS: usize = 8;

/// The bits of a line for its values.
const BITS: usize = 8 * WORD - COUNT_BITS;

/// The count of a line that has more values than it has room for.
const FULL: usize = (1 << COUNT_BITS) - 1;

/// With more the product of a place and the number of values would not fit 64 bits.
const MOST_LOW_BITS: u8 = 14;

/// How a line with some number of values is divided.
#[derive(Clone, Copy, Debug)]
struct Layout {
    buckets: u16,
    low_bits: u8,
}

/// For each number of values the layout that tells most values apart.
#[expect(clippy::cast_possible_truncation, reason = "a line has fewer buckets than bits")]
const LAYOUTS: [Layout; FULL] = {
    let mut layouts = [Layout { buckets: 1, low_bits: 0 }; FULL];
    let mut count = 1;
    while count < FULL {
        let mut low_bits = 0;
        while count * (1 + low_bits as usize) < BITS && low_bits <= MOST_LOW_BITS {
            let buckets = (BITS - count * (1 + low_bits as usize)) as u16;
            let layout = Layout { buckets, low_bits };
            if layout.values() > layouts[count].values() {
                layouts[count] = layout;
            }
            low_bits += 1;
        }
        count += 1;
    }
    layouts
};

#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct EliasFano {
    lines: Vec<Line>,
}

impl EliasFano {
    pub(super) const fn of(lines: Vec<Line>) -> Self {
        Self { lines }
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    #[inline]
    pub(super) fn may_hold(&self, key: u64) -> bool {
        let (line, place) = self.find(key);
        holds(&self.lines[line], place)
    }

    #[inline]
    pub(super) fn first_word(&self, key: u64) -> u64 {
        self.lines[self.find(key).0].0[0]
    }

    /// The line of a key, and where in it the key is, in as many bits as a key has.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "each part has fewer bits")]
    fn find(&self, key: u64) -> (usize, u64) {
        let product = u128::from(key) * self.lines.len() as u128;
        ((product >> KEY_BITS) as usize, product as u64 & ((1 << KEY_BITS) - 1))
    }
}

/// A filter that is being made, line by line.
#[derive(Debug)]
pub(in super::super) struct Builder {
    filter: EliasFano,
    /// The line that is being filled, and where in it its keys are.
    line: usize,
    places: Vec<u64>,
}

impl Builder {
    pub(super) fn for_keys(keys: u64) -> Self {
        Self { filter: EliasFano::of(empty_lines(keys, LINES)), line: 0, places: Vec::new() }
    }

    /// Takes the next key; they ascend.
    #[inline]
    pub(super) fn push(&mut self, key: u64) {
        let (line, place) = self.filter.find(key);
        if line != self.line {
            self.fill();
            self.line = line;
        }
        self.places.push(place);
    }

    pub(super) fn finish(mut self) -> EliasFano {
        self.fill();
        self.filter
    }

    fn fill(&mut self) {
        self.filter.lines[self.line] = packed(&mut self.places);
        self.places.clear();
    }
}

impl Layout {
    /// How many values it tells apart.
    const fn values(self) -> u64 {
        (self.buckets as u64) << self.low_bits
    }

    /// Where the lowest bits of so many values begin.
    const fn lows_at(self, count: usize) -> usize {
        count + self.buckets as usize
    }

    /// The value for a place in the line: its bucket, and its lowest bits.
    #[inline]
    fn value(self, place: u64) -> (usize, u64) {
        let value = (place * self.values()) >> KEY_BITS;
        let bucket = value >> self.low_bits;
        (usize::try_from(bucket).unwrap_or(BITS), value & ((1 << self.low_bits) - 1))
    }
}

/// The line with these places, which ascend.
fn packed(places: &mut Vec<u64>) -> Line {
    let mut line = Line::default();
    places.dedup();
    let count = places.len().min(FULL);
    line.0[7] = (count as u64) << (WORD - COUNT_BITS);
    let Some(layout) = LAYOUTS.get(count) else { return line };
    let mut low_at = layout.lows_at(count);
    for (rank, place) in places.iter().enumerate() {
        let (bucket, low) = layout.value(*place);
        put(&mut line, bucket + rank, 1);
        put(&mut line, low_at, low);
        low_at += usize::from(layout.low_bits);
    }
    line
}

/// False if the line was packed without this place.
#[inline]
fn holds(line: &Line, place: u64) -> bool {
    let count = usize::from(line.0[7].to_be_bytes()[0]);
    let Some(layout) = LAYOUTS.get(count) else { return true };
    let (bucket, low) = layout.value(place);
    let lows_at = layout.lows_at(count);
    let mut at = after_zeros(line, bucket);
    while at < lows_at && get(line, at, 1) == 1 {
        let low_at = lows_at + (at - bucket) * usize::from(layout.low_bits);
        match get(line, low_at, layout.low_bits) {
            other if other < low => at += 1,
            other => return other == low,
        }
    }
    false
}

/// The first bit after so many zeros; the length of a line, if it has fewer.
#[inline]
fn after_zeros(line: &Line, zeros: usize) -> usize {
    const LOWEST: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHEST: u64 = LOWEST << 7;
    let mut left = zeros as u64;
    if left == 0 {
        return 0;
    }
    for (number, word) in line.0.iter().enumerate() {
        // In each byte how many zeros there are up to its end.
        let sums = ones_by_byte(!word).wrapping_mul(LOWEST);
        let here = sums >> (WORD - 8);
        if left <= here {
            let enough = ((sums | HIGHEST) - left * LOWEST) & HIGHEST;
            let start = enough.trailing_zeros() & !7;
            let before = (sums << 8) >> start & 0xff;
            let mut rest = !word >> start;
            for _ in before + 1..left {
                rest &= rest - 1;
            }
            return number * WORD + (start + rest.trailing_zeros()) as usize + 1;
        }
        left -= here;
    }
    8 * WORD
}

/// In each byte how many ones it has.
#[inline]
const fn ones_by_byte(word: u64) -> u64 {
    let pairs = word - (word >> 1 & 0x5555_5555_5555_5555);
    let fours = (pairs & 0x3333_3333_3333_3333) + (pairs >> 2 & 0x3333_3333_3333_3333);
    (fours + (fours >> 4)) & 0x0f0f_0f0f_0f0f_0f0f
}

/// So many bits, from that one on; zeros past the end.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "all but the lowest bits are masked")]
fn get(line: &Line, at: usize, bits: u8) -> u64 {
    let word = |number: usize| u128::from(line.0.get(number).copied().unwrap_or_default());
    let pair = word(at / WORD) | word(at / WORD + 1) << WORD;
    (pair >> (at % WORD)) as u64 & ((1 << bits) - 1)
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves are what is wanted")]
fn put(line: &mut Line, at: usize, bits: u64) {
    let shifted = u128::from(bits) << (at % WORD);
    let [low, high] = [shifted, shifted >> WORD].map(|half| half as u64);
    line.0[at / WORD] |= low;
    if high != 0 {
        line.0[at / WORD + 1] |= high;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line_of(places: &[u64]) -> Line {
        packed(&mut places.to_vec())
    }

    fn places(count: impl Into<proptest::sample::SizeRange>) -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::btree_set(0..1_u64 << KEY_BITS, count)
            .prop_map(|places| places.into_iter().collect())
    }

    #[test]
    fn each_layout_fills_a_line_and_its_values_fit_their_numbers() {
        for (count, layout) in LAYOUTS.iter().enumerate().skip(1) {
            let bits = count * (1 + usize::from(layout.low_bits)) + usize::from(layout.buckets);
            assert!(bits <= BITS, "{count} values take {bits} bits");
            assert!(layout.values() <= 1 << (u64::BITS - KEY_BITS));
            let (bucket, _) = layout.value((1 << KEY_BITS) - 1);
            assert!(bucket < usize::from(layout.buckets));
        }
    }

    proptest! {
        /// Whatever the keys: a line holds each of its own, also if they lie close together.
        #[test]
        fn a_line_holds_its_places(places in places(0..300), shift in 0_u32..40) {
            let places: Vec<u64> = places.iter().map(|place| place >> shift).collect();
            let line = line_of(&places);
            for place in &places {
                prop_assert!(holds(&line, *place));
            }
        }

        /// Of what else is asked about no more gets through than values are the same.
        #[test]
        fn a_line_holds_little_else(own in places(30..60), others in places(1..50)) {
            let line = line_of(&own);
            let layout = LAYOUTS[own.len()];
            let values: Vec<_> = own.iter().map(|place| layout.value(*place)).collect();
            for other in others {
                prop_assert_eq!(holds(&line, other), values.contains(&layout.value(other)));
            }
        }

        #[test]
        fn zeros_are_counted(words: [u64; 8], zeros in 0_usize..600) {
            let line = Line(words);
            let mut left = zeros;
            let expected = (0..8 * WORD).find(|at| {
                let is_it = left == 0;
                left = left.saturating_sub(usize::from(get(&line, *at, 1) == 0));
                is_it
            });
            prop_assert_eq!(after_zeros(&line, zeros), expected.unwrap_or(8 * WORD));
        }

        /// A line from a damaged disk may say anything.
        #[test]
        fn any_line_can_be_asked(words: [u64; 8], place in 0..1_u64 << KEY_BITS) {
            let _ = holds(&Line(words), place);
        }
    }

    #[test]
    fn a_line_with_too_many_keys_may_hold_any_and_one_without_none() {
        let many: Vec<u64> = (0..FULL as u64).collect();
        assert!(holds(&line_of(&many), 1 << 39));
        assert!(!holds(&line_of(&many[1..]), 1 << 39));
        assert!(!holds(&line_of(&[]), 0));
    }

    #[test]
    fn a_key_that_comes_often_takes_the_room_of_one() {
        assert_eq!(line_of(&[7; 1_000]), line_of(&[7]));
    }
}
