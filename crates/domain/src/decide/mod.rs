//! The decision: may this command happen now? One function for the writer, for a retry and for an
//! auditor who decides it again from the bytes.

mod account;
mod bank_account;
mod cooperative;
mod correction;
mod disbursement;
mod fund;
mod key;
mod loan;
mod payment;
mod period;
mod restructuring;
mod room;
mod write_off;

pub(crate) use correction::reversal_reserves;
pub(crate) use disbursement::disbursement_reserves;
pub(crate) use fund::withdrawal_reserves;
pub(crate) use loan::loan_reserves;

use crate::command::{BankReference, Command, OpenLedger, Seal};
use crate::event::Event;
use crate::id::PrincipalId;
use crate::ledger::RULES_VERSIONS;
use crate::moment::{Date, Position, Timestamp};
use crate::rejection::Rejection;
use crate::state::{FundIndex, LoanIndex, State, Undone};
use crate::terms::{MAX_PROPOSAL_VALIDITY_DAYS, Terms};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What a decision rests on besides the state.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The instant that the record will carry.
    pub time: Timestamp,
    /// Who asks.
    pub principal: PrincipalId,
    /// What the state does not keep.
    pub lookups: &'a dyn Lookups,
    /// Where the loan that the command pays most likely is, if somebody
    /// [guessed](State::guess_loan). No decision depends on it.
    pub near: Option<LoanIndex>,
}

/// A look-up could not be answered; the command is neither accepted nor refused by a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a look-up could not be answered")]
pub struct LookupFailed;

impl From<LookupFailed> for Rejection {
    fn from(_: LookupFailed) -> Rejection {
        Rejection::LookupFailed
    }
}

/// Facts about the records so far that grow with their number and so are not in the state.
pub trait Lookups {
    /// Every record that used a bank reference (an absent line is line 0), in any order.
    fn bank_reference(&self, reference: &BankReference) -> Result<Vec<Position>, LookupFailed>;
    /// The event of a record; `None` at or past the head.
    fn record(&self, position: Position) -> Result<Option<Event>, LookupFailed>;
}

/// Decides a command. The state must have been [advanced](crate::state::advance) to the context's
/// time. Accepting it changes nothing: [`evolve`](crate::evolve::evolve) does.
pub fn decide(state: &State, command: &Command, context: &Context) -> Result<Event, Rejection> {
    match (command, context.principal.is_system()) {
        (Command::Seal(_), false) => return Err(Rejection::SystemOnly),
        (Command::Seal(_), true) | (_, false) => {}
        (_, true) => return Err(Rejection::ReservedPrincipal),
    }
    match (state.rules_version(), command) {
        (0, Command::OpenLedger(command)) => open_ledger(command),
        (0, _) => Err(Rejection::LedgerNotOpen),
        // Each version knows more commands or terms than the one before. What that knows it decides
        // as that does, except where something stands in the state that only the newer version can
        // have put there. So one function decides under all.
        (in_force, _) if command.rules_needed() > in_force => {
            Err(Rejection::RulesTooOld { needed: command.rules_needed(), in_force })
        }
        _ => decide_open(state, command, context),
    }
}

fn decide_open(state: &State, command: &Command, context: &Context) -> Result<Event, Rejection> {
    let now = Now { date: state.today(context.time)?, context };
    match command {
        Command::OpenLedger(_) => Err(Rejection::LedgerAlreadyOpen),
        Command::AdoptRules(command) => {
            known_rules(command.version)?;
            let in_force = state.rules_version();
            if command.version <= in_force {
                return Err(Rejection::RulesNotNewer { version: command.version, in_force });
            }
            Ok(Event::RulesAdopted(command.clone()))
        }
        Command::RotateKey(command) => key::rotate(state, command),
        Command::ContinueLedger(command) => key::continue_as(state, command),
        Command::OpenFund(command) => fund::open(state, command, &now),
        Command::ChangeTerms(command) => fund::change_terms(state, command, &now),
        Command::AllocateFund(command) => fund::allocate(state, command, &now),
        Command::ProposeAllocationWithdrawal(command) => {
            fund::propose_withdrawal(state, command, &now)
        }
        Command::ApproveAllocationWithdrawal(command) => {
            fund::approve_withdrawal(state, command, &now)
        }
        Command::ProposePeriodClose(command) => period::propose(state, command, &now),
        Command::ApprovePeriodClose(command) => period::approve(state, command, &now),
        Command::RegisterCooperative(command) => cooperative::register(state, command),
        Command::AppointOfficer(command) => cooperative::appoint(state, command),
        Command::ConfirmReadiness(command) => cooperative::confirm_readiness(state, command),
        Command::OpenAccount(command) => account::open(state, command, &now),
        Command::SuspendAccount(command) => account::suspend(state, command),
        Command::ResumeAccount(command) => account::resume(state, command),
        Command::CloseAccount(command) => account::close(state, command),
        Command::ProposeBankAccountChange(command) => bank_account::propose(state, command, &now),
        Command::ApproveBankAccountChange(command) => bank_account::approve(state, command, &now),
        Command::ProposeLoan(command) => loan::propose(state, command, &now),
        Command::ApproveLoan(command) => loan::approve(state, command, &now),
        Command::RefuseLoan(command) => loan::refuse(state, command, &now),
        Command::WithdrawLoan(command) => loan::withdraw(state, command, &now),
        Command::Disburse(command) => payment::disburse(state, command, &now),
        Command::DisburseGrant(command) => payment::disburse_grant(state, command, &now),
        Command::ProposeDisbursement(command) => disbursement::propose(state, command, &now),
        Command::ApproveDisbursement(command) => disbursement::approve(state, command, &now),
        Command::ReturnDisbursement(command) => payment::return_disbursement(state, command, &now),
        Command::Repay(command) => payment::repay(state, command, &now),
        Command::ProposeWriteOff(command) => write_off::propose(state, command, &now),
        Command::ApproveWriteOff(command) => write_off::approve(state, command, &now),
        Command::RecordRecovery(command) => write_off::recover(state, command, &now),
        Command::ProposeRestructuring(command) => restructuring::propose(state, command, &now),
        Command::ApproveRestructuring(command) => restructuring::approve(state, command, &now),
        Command::ProposeReversal(command) => correction::propose(state, command, &now),
        Command::ApproveReversal(command) => correction::approve(state, command, &now),
        Command::RefuseProposal(command) => correction::refuse(state, command, &now),
        Command::WithdrawProposal(command) => correction::withdraw(state, command, &now),
        Command::Seal(command) => seal(state, command),
    }
}

fn open_ledger(command: &OpenLedger) -> Result<Event, Rejection> {
    known_rules(command.rules_version)?;
    if let Some(key) = &command.verifier_key {
        key::is_named(key, &command.origin)?;
    }
    Ok(Event::LedgerOpened(Box::new(command.clone())))
}

fn known_rules(version: u32) -> Result<(), Rejection> {
    if RULES_VERSIONS.contains(&version) {
        Ok(())
    } else {
        Err(Rejection::UnknownRulesVersion { version })
    }
}

fn seal(state: &State, command: &Seal) -> Result<Event, Rejection> {
    let through = command.through;
    let after_last = state.sealed_through().is_none_or(|last| last < through);
    if after_last && through.get() < state.size() {
        Ok(Event::Sealed(command.clone()))
    } else {
        Err(Rejection::SealOutOfOrder { through })
    }
}

/// The context of a decision, and its date in the ledger.
struct Now<'a> {
    date: Date,
    context: &'a Context<'a>,
}

impl Now<'_> {
    /// A posting of a fund may carry that value date. Rule 24: never one in a closed period.
    fn value_date(
        &self,
        state: &State,
        fund: FundIndex,
        value_date: Date,
        earliest: Date,
    ) -> Result<(), Rejection> {
        if !(earliest..=self.date).contains(&value_date) {
            let latest = self.date;
            return Err(Rejection::ValueDateOutOfRange { value_date, earliest, latest });
        }
        match state.closed_through(fund) {
            Some(through) if value_date <= through => {
                let fund = state.funds.get(fund).id;
                Err(Rejection::PeriodClosed { fund, through, value_date })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Rule 15: a bank reference is used by at most one live posting; a reversal frees it, a
    /// return by the bank does not.
    fn bank_reference_is_free(
        &self,
        state: &State,
        reference: &BankReference,
    ) -> Result<(), Rejection> {
        let used = self.context.lookups.bank_reference(reference)?;
        let live = |p: &Position| !matches!(state.undone(*p), Some(Undone::Reversed(_)));
        match used.into_iter().find(live) {
            Some(by) => Err(Rejection::BankReferenceUsed { by }),
            None => Ok(()),
        }
    }

    fn expiry(&self, asked: Option<Timestamp>, terms: &Terms) -> Result<Timestamp, Rejection> {
        let now = self.context.time;
        match asked {
            Some(expires_at) => {
                // Nobody may hold a fund's money or a ceiling for ever by proposing.
                let latest = now.plus_days(MAX_PROPOSAL_VALIDITY_DAYS);
                if expires_at > now && expires_at <= latest {
                    Ok(expires_at)
                } else {
                    Err(Rejection::ExpiryOutOfRange { expires_at, now, latest })
                }
            }
            None => Ok(now.plus_days(terms.proposal_validity())),
        }
    }

    /// Two people: whoever decides on a proposal did not make it.
    fn is_another_than(&self, maker: PrincipalId) -> Result<(), Rejection> {
        if self.context.principal == maker {
            Err(Rejection::SamePerson { principal: maker })
        } else {
            Ok(())
        }
    }

    fn is_the_maker(&self, maker: PrincipalId) -> Result<(), Rejection> {
        if self.context.principal == maker { Ok(()) } else { Err(Rejection::NotMaker { maker }) }
    }
}
