//! The state of whoever decides, which keeps no more than that takes.

use crate::command::Command;
use crate::decide::{Context, Lookups, decide};
use crate::event::{Event, Header, Paid, Undoes};
use crate::evolve::{Beside, evolve_with};
use crate::moment::{Date, Position, Timestamp};
use crate::rejection::{Rejection, Resource};
use crate::state::{State, Subject, advance};
use crate::touched::Touched;
use core::ops::Deref;

/// A state on which commands are decided, and which goes on by what was decided on it.
///
/// It says all that a [`State`] says, but of the payments to a loan that stand it keeps
/// [their days alone](crate::state::Standing): decisions ask for no more, and the whole of them is most
/// of what a state takes. So it cannot be encoded, and no replica is made of it. A record that takes a
/// payment back names the payment and no day: that is looked up when the record is decided.
#[derive(Debug, Clone)]
pub struct Decider(State);

/// A command that was accepted: its event, and what a [`Decider`] has to know beside that to apply it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What happened.
    pub event: Event,
    beside: Beside,
}

impl Decider {
    /// Decides as that state does.
    pub fn new(state: &State) -> Decider {
        Decider(state.keeping_days())
    }

    /// As [`advance`].
    pub fn advance(&mut self, now: Timestamp) {
        advance(&mut self.0, now);
    }

    /// As [`decide`]. Looks up the payment that is taken back, if one is.
    ///
    /// # Errors
    /// As [`decide`]: also if that payment cannot be looked up.
    pub fn decide(&self, command: &Command, context: &Context) -> Result<Decision, Rejection> {
        let event = decide(self, command, context)?;
        let taken_back = self.takes_back(&event);
        let paid_on = taken_back.map(|payment| paid_on(payment, context.lookups)).transpose()?;
        Ok(Decision { event, beside: Beside { near: context.near, paid_on } })
    }

    /// Applies what was decided on this very state, and says whom it concerned.
    ///
    /// # Panics
    /// As [`evolve`](crate::evolve()).
    pub fn evolve(&mut self, header: &Header, decision: &Decision) -> Touched {
        evolve_with(&mut self.0, header, &decision.event, decision.beside)
    }

    /// As [`State::mark`].
    pub fn mark(&mut self) {
        self.0.mark();
    }

    /// As [`State::keep`].
    pub fn keep(&mut self) {
        self.0.keep();
    }

    /// As [`State::roll_back`].
    pub fn roll_back(&mut self) {
        self.0.roll_back();
    }

    /// The payment to a loan that stands no more after this event.
    fn takes_back(&self, event: &Event) -> Option<Position> {
        match event {
            Event::DisbursementReturned(e) => {
                matches!(e.paid, Paid::Loan(_)).then_some(e.command.disbursement)
            }
            Event::Reversed(e) => match self.proposals.get(&e.proposal)?.subject {
                Subject::Reversal {
                    reverses,
                    undoes: Undoes::Disbursement { paid: Paid::Loan(_), .. },
                } => Some(reverses),
                _ => None,
            },
            _ => None,
        }
    }
}

/// For reading; nothing changes it but what was decided on it.
impl Deref for Decider {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

fn paid_on(payment: Position, lookups: &dyn Lookups) -> Result<Date, Rejection> {
    let not_found = Rejection::NotFound(Resource::Record(payment));
    let event = lookups.record(payment)?.ok_or(not_found)?;
    let paid = event.paid_out().ok_or(Rejection::NotADisbursement { position: payment })?;
    Ok(paid.value_date)
}
