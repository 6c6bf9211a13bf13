//! The lines of a script, such as `@checker ApproveLoan 1`: a word, and numbers that choose.
//!
//! A number that is not there is 0, which chooses what fits: the newest loan that is waiting, a checker who
//! is not its maker, an amount that is there. So a script outlives changes of what makes calls of it, and a
//! short one can be written by hand.

/// From this number on something odd is chosen.
pub(super) const ODD: usize = 240;

/// One line.
#[derive(Debug, Clone, Default)]
pub(super) struct Line<'t> {
    /// `@name`: who calls, instead of who should.
    pub(super) who: Option<&'t str>,
    /// `!7`: the message is changed as this number says.
    pub(super) changed: Option<u64>,
    /// `?`: `validate_only`.
    pub(super) validates: bool,
    /// `=`: the size of the log is stated; `=3`: so much more than it is.
    pub(super) expects: Option<u64>,
    pub(super) word: &'t str,
    numbers: Vec<usize>,
    next: usize,
}

impl<'t> Line<'t> {
    /// `None` if there is no word.
    pub(super) fn read(text: &'t str) -> Option<Line<'t>> {
        let mut line = Line::default();
        for part in text.split_ascii_whitespace().take(12) {
            if let Some(who) = part.strip_prefix('@') {
                line.who = Some(who);
            } else if let Some(seed) = part.strip_prefix('!') {
                line.changed = Some(seed.parse().unwrap_or(1));
            } else if let Some(more) = part.strip_prefix('=') {
                line.expects = Some(more.parse().unwrap_or(0));
            } else if part == "?" {
                line.validates = true;
            } else if line.word.is_empty() {
                line.word = part;
            } else {
                line.numbers.push(part.parse().unwrap_or(usize::from(part.as_bytes()[0])));
            }
        }
        (!line.word.is_empty()).then_some(line)
    }

    /// The next number.
    pub(super) fn number(&mut self) -> usize {
        self.next += 1;
        self.numbers.get(self.next - 1).copied().unwrap_or_default()
    }
}

/// Numbers that follow from one: Knuth's MMIX, good enough to choose.
pub(super) fn throws(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |end| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % end.max(1)
    }
}
