//! Progress of long work, on the standard error, and only if that is a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that is done sooner shows no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar that appears when the work takes long.
#[derive(Debug)]
pub(crate) struct Bar {
    drawn: ProgressBar,
    began: Instant,
    shown: bool,
}

impl Bar {
    /// A bar that waits.
    pub(crate) fn patient() -> Bar {
        Bar { drawn: ProgressBar::hidden(), began: Instant::now(), shown: false }
    }

    /// So much of so much is done.
    pub(crate) fn tell(&mut self, what: &str, done: u64, total: u64) {
        if !self.shown {
            if self.began.elapsed() < PATIENCE {
                return;
            }
            self.shown = true;
            self.drawn = bar(total);
        }
        self.drawn.set_length(total);
        self.drawn.set_position(done);
        self.drawn.set_message(what.to_owned());
    }

    /// Takes the bar away.
    pub(crate) fn done(&self) {
        self.drawn.finish_and_clear();
    }
}

/// A bar over so many steps. It draws nothing unless the standard error is a terminal.
pub(crate) fn bar(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{msg:<44} {bar:28} {human_pos:>11}/{human_len} {per_sec:>14} {eta:>4}",
    )
    .expect("the template is a constant, and a test reads it");
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    bar.set_style(style);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_work_shows_no_bar() {
        let mut waiting = Bar::patient();
        waiting.tell("reading", 1, 2);
        assert!(!waiting.shown);
        bar(3).inc(1);
    }
}
