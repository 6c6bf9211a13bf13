//! A split-block Bloom filter: one cache line a key, one bit in each of its eight words. Its bits
//! are part of the stored format, so they come from code that no dependency can change under us.

use super::super::hasher::KEY_BITS;
use super::{Line, Probe, empty_lines, spread};

/// Lines for 1,024 keys: 20 bits a key, one absent key in 4,000 gets through.
const LINES: u64 = 40;

#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Bloom {
    lines: Vec<Line>,
}

impl Bloom {
    pub(super) fn for_keys(keys: u64) -> Self {
        Self::of(empty_lines(keys, LINES))
    }

    pub(super) const fn of(lines: Vec<Line>) -> Self {
        Self { lines }
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    #[inline]
    pub(super) fn insert(&mut self, key: u64) {
        let at = self.line(key);
        let spread = spread(key);
        for (number, word) in self.lines[at].0.iter_mut().enumerate() {
            *word |= 1 << bit(spread, number);
        }
    }

    #[inline]
    pub(super) fn may_hold(&self, probe: &Probe) -> bool {
        let line = &self.lines[self.line(probe.key)].0;
        let has = |word: usize| line[word] >> bit(probe.spread, word) & 1 == 1;
        // Two words rule out most that are not there.
        (has(0) & has(1)) && (2..line.len()).all(has)
    }

    #[inline]
    pub(super) fn first_word(&self, key: u64) -> u64 {
        self.lines[self.line(key)].0[0]
    }

    /// By the highest bits of the key, so that keys in their order fill one line after another.
    #[inline]
    fn line(&self, key: u64) -> usize {
        (((key >> (KEY_BITS - 32)) * self.lines.len() as u64) >> 32) as usize
    }
}

/// The bit of a word.
#[inline]
const fn bit(spread: u64, word: usize) -> u64 {
    spread >> (6 * word) & 63
}
