//! How those who wait for a group are told. A thread that wakes tasks one by one, from outside of
//! their runtime, takes some microseconds for each, and the runtime's threads go to sleep between
//! them; so a group's answers are handed over together, and given from inside.

use crate::submission::{Answer, Refusal};
use crate::writer::Waiter;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Tells those who wait.
#[derive(Debug)]
pub(crate) struct Answers(Option<UnboundedSender<Vec<Waiter>>>);

impl Answers {
    /// With a runtime, groups are told by a task of it; it ends when this is dropped.
    pub(crate) fn new(runtime: Option<&Handle>) -> Answers {
        Answers(runtime.map(|runtime| {
            let (sender, groups) = unbounded_channel();
            runtime.spawn(tell_groups(groups));
            sender
        }))
    }

    /// Tells all of a group, which is durable.
    pub(crate) fn tell(&self, waiters: &mut Vec<Waiter>) {
        // One alone is woken directly.
        if let (Some(sender), count @ 2..) = (&self.0, waiters.len()) {
            // The next group has as many, or about so.
            match sender.send(std::mem::replace(waiters, Vec::with_capacity(count))) {
                Ok(()) => return,
                // The runtime is gone, and takes nothing more.
                Err(back) => *waiters = back.0,
            }
        }
        waiters.drain(..).for_each(tell);
    }
}

async fn tell_groups(mut groups: UnboundedReceiver<Vec<Waiter>>) {
    while let Some(waiters) = groups.recv().await {
        waiters.into_iter().for_each(tell);
    }
}

// A caller that went away needs no answer: that is what the ignored results below mean.

fn tell(waiter: Waiter) {
    match waiter {
        Waiter::Answer(reply, answer, room) => {
            // First: who has an answer finds room for the next.
            drop(room);
            let _ = reply.send(answer);
        }
        Waiter::Fence(reply) => {
            let _ = reply.send(());
        }
    }
}

/// Tells one of a group that is not durable.
pub(crate) fn tell_lost(waiter: Waiter, why: &str) {
    if let Waiter::Answer(reply, answer, room) = waiter {
        drop(room);
        let why = why.to_owned();
        let refusal = match answer {
            // Decided on a state that is not durable: neither yes nor no can be said.
            Answer::Items(_) => Refusal::OutcomeUnknown { why },
            Answer::Refused { .. } => Refusal::ReadOnly { why },
        };
        let _ = reply.send(Answer::Refused { item: None, refusal });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Builder;
    use tokio::sync::oneshot;

    fn waiting(count: usize) -> (Vec<Waiter>, Vec<oneshot::Receiver<()>>) {
        let (replies, answers): (Vec<_>, Vec<_>) = (0..count).map(|_| oneshot::channel()).unzip();
        (replies.into_iter().map(Waiter::Fence).collect(), answers)
    }

    fn told(answers: &mut [oneshot::Receiver<()>]) -> usize {
        answers.iter_mut().map(|answer| usize::from(answer.try_recv().is_ok())).sum()
    }

    #[test]
    fn a_group_is_told_from_inside_of_the_runtime_and_one_alone_at_once() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let told_by = Answers::new(Some(runtime.handle()));
        let (mut group, mut answers) = waiting(3);
        told_by.tell(&mut group);
        assert!(group.is_empty());
        assert_eq!(told(&mut answers), 0);
        runtime.block_on(tokio::task::yield_now());
        assert_eq!(told(&mut answers), 3);

        let (mut alone, mut answers) = waiting(1);
        told_by.tell(&mut alone);
        assert_eq!(told(&mut answers), 1);
    }

    #[test]
    fn a_group_is_told_without_a_runtime_too() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let left = Answers::new(Some(runtime.handle()));
        drop(runtime);
        for told_by in [left, Answers::new(None)] {
            let (mut group, mut answers) = waiting(3);
            told_by.tell(&mut group);
            assert_eq!(told(&mut answers), 3);
        }
    }
}
