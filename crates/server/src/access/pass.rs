//! What one call may do. The services get at a ledger only with a pass, and so cannot forget to ask.

use super::gate::Connection;
use super::methods::{self, Of, Place, Rule};
use super::roles::{Granted, Roles};
use super::{Denials, Reason, denied};
use crate::identity;
use crate::limits::STILL_HOLDS_EVERY;
use crate::resources::View;
use bergulir_domain::{Command, FundId, LedgerId};
use bergulir_engine::Caller;
use bergulir_proto::Described;
use bergulir_proto::name::LoanName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Instant, SystemTime};
use tokio::time::MissedTickBehavior;
use tonic::codegen::http::HeaderMap;
use tonic::{Code, Status};

/// What one call may do. Empty where everybody may do everything.
#[derive(Clone)]
pub(crate) struct Pass(Option<Arc<Admitted>>);

/// A call that was let in.
pub(super) struct Admitted {
    pub(super) caller: Caller,
    pub(super) rule: &'static Rule,
    pub(super) granted: Arc<Granted>,
    /// From when on its caller is not known any more.
    pub(super) until: Option<SystemTime>,
    pub(super) peer: SocketAddr,
    pub(super) denials: Arc<Denials>,
    /// Set for a call that lasts.
    pub(super) again: Option<Again>,
}

/// What it takes to find out again whether a call may go on.
pub(super) struct Again {
    pub(super) connection: Arc<Connection>,
    /// Those that say who calls.
    pub(super) headers: HeaderMap,
    /// With which changes of keys and grants that was found out last.
    pub(super) seen: AtomicU64,
}

impl Admitted {
    /// Counts and tells that the caller may not do this, and says so.
    pub(super) fn deny(&self, rule: Option<&Rule>, ledger: Option<LedgerId>) -> Described {
        let rule = rule.unwrap_or(self.rule);
        let who = self.caller.principal;
        let what = rule.method.rsplit('/').next().unwrap_or_default();
        let place = match (ledger, rule.of) {
            (Some(ledger), Of::Ledger) => format!(" in the whole ledger {ledger}"),
            (Some(ledger), Of::Fund) => format!(" in the fund concerned, of ledger {ledger}"),
            (Some(ledger), _) => format!(" in ledger {ledger}"),
            (None, _) => String::new(),
        };
        let message = format!(
            "{who} may not {what}: that takes the role {}{place}. Roles are granted in the server's \
             configuration",
            rule.roles.to_string().replace(", ", " or ")
        );
        let peer = Some(self.peer);
        self.denials.tell(rule.method, Reason::RoleMissing, Some(who.as_str()), peer, &message);
        let described = denied(Reason::RoleMissing, message).with("principal", who);
        let described = described.with("roles", rule.roles);
        match ledger {
            Some(ledger) => described.with("ledger", ledger),
            None => described,
        }
    }
}

impl Pass {
    /// For everything.
    pub(crate) const OPEN: Pass = Pass(None);

    pub(super) fn new(admitted: Admitted) -> Pass {
        Pass(Some(Arc::new(admitted)))
    }

    /// Who calls: the one that was authenticated, or else the one that the headers state.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Status> {
        match &self.0 {
            Some(admitted) => Ok(admitted.caller),
            None => identity::caller(headers),
        }
    }

    /// Whether a call that lasts may go on; cheap as long as neither keys nor grants changed.
    ///
    /// # Errors
    /// If not, or if it may do something else by now: then another call can.
    pub(crate) fn still_holds(&self) -> Result<(), Status> {
        let Some(admitted) = &self.0 else { return Ok(()) };
        let Some(again) = &admitted.again else { return Ok(()) };
        if admitted.until.is_some_and(|until| until <= SystemTime::now()) {
            return Err(ran_out());
        }
        again.connection.still_admits(admitted, again)
    }

    /// Whether a call may last, and so is asked again whether it may go on.
    pub(crate) fn lasts(&self) -> bool {
        self.0.as_ref().is_some_and(|admitted| admitted.again.is_some())
    }

    /// Waits until a call may not go on, and says why.
    pub(crate) async fn lost(self) -> Status {
        let mut looks = tokio::time::interval(STILL_HOLDS_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if let Err(status) = self.still_holds() {
                return status;
            }
        }
    }

    /// The name of who calls, if that is known.
    pub(crate) fn principal(&self) -> Option<&str> {
        self.0.as_ref().map(|admitted| admitted.caller.principal.as_str())
    }

    /// The earlier of a deadline and the end of what the caller proved.
    pub(crate) fn deadline(&self, deadline: Option<Instant>) -> Option<Instant> {
        let until = self.0.as_ref().and_then(|admitted| admitted.until);
        let left = until.map(|until| until.duration_since(SystemTime::now()).unwrap_or_default());
        let until = left.and_then(|left| Instant::now().checked_add(left));
        match (deadline, until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Whether the caller sees that a ledger is there.
    pub(crate) fn sees(&self, ledger: LedgerId) -> bool {
        self.0.as_ref().is_none_or(|a| a.granted.within(ledger).meet(a.rule.roles))
    }

    /// What the call may do in a ledger, whether that is there or not.
    ///
    /// # Errors
    /// If nothing.
    pub(crate) fn enter(&self, ledger: LedgerId) -> Result<Scope, Status> {
        let scope = Scope { pass: self.clone(), ledger };
        let Some(admitted) = &self.0 else { return Ok(scope) };
        let held = match admitted.rule.of {
            Of::Ledger => admitted.granted.whole(ledger),
            Of::Anyone | Of::SomeLedger | Of::SomeFund | Of::Fund => {
                admitted.granted.within(ledger)
            }
        };
        if held.meet(admitted.rule.roles) {
            return Ok(scope);
        }
        Err(admitted.deny(None, Some(ledger)).status())
    }
}

/// The certificate or token with which a call began does not count any more.
fn ran_out() -> Status {
    let message = "the time of the certificate or token that began the call is over: go on with a new \
                   call and a new one";
    Described::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message).status()
}

/// What one call may do in one ledger.
#[derive(Clone)]
pub(crate) struct Scope {
    pass: Pass,
    ledger: LedgerId,
}

/// What is to be found out about a command before it is known whether its caller may ask for it.
pub(crate) enum Open {
    /// Nothing.
    Decided(Result<(), Described>),
    /// The fund that this concerns.
    Fund(Place),
}

impl Scope {
    /// Whether everybody may do everything.
    pub(crate) fn is_open(&self) -> bool {
        self.pass.0.is_none()
    }

    /// Whether the call may see all of the ledger.
    pub(crate) fn is_whole(&self) -> bool {
        self.holds(None, None)
    }

    /// Whether it may see what is of a fund.
    pub(crate) fn sees(&self, fund: FundId) -> bool {
        self.holds(None, Some(fund))
    }

    /// # Errors
    /// If the call may not concern that fund, whether it is there or not.
    pub(crate) fn fund(&self, fund: FundId) -> Result<(), Status> {
        if self.sees(fund) { Ok(()) } else { Err(self.deny(None).status()) }
    }

    /// # Errors
    /// If the call may not concern the whole ledger.
    pub(crate) fn whole(&self) -> Result<(), Status> {
        if self.is_whole() { Ok(()) } else { Err(self.deny(None).status()) }
    }

    /// # Errors
    /// If the call may not concern that loan, whether it is there or not.
    pub(crate) fn loan(&self, view: &View<'_>, name: &LoanName) -> Result<(), Status> {
        if self.is_whole() {
            return Ok(());
        }
        let fund = match name.account {
            Some((fund, _)) => Some(fund),
            None => view.state.loans().find(&name.loan).map(|loan| view.fund_of_loan(loan)),
        };
        match fund {
            Some(fund) if self.sees(fund) => Ok(()),
            Some(_) | None => Err(self.deny(None).status()),
        }
    }

    /// # Errors
    /// If the caller may not do something else than it called, on its way.
    pub(crate) fn also(&self, rule: &'static Rule) -> Result<(), Status> {
        if self.holds(Some(rule), None) { Ok(()) } else { Err(self.deny(Some(rule)).status()) }
    }

    /// Whether the caller may ask for such a command whatever it concerns.
    pub(crate) fn may_anywhere(&self, command: &Command) -> bool {
        self.is_open() || self.holds(Some(methods::of_command(command).0), None)
    }

    /// Whether the caller may ask for a command, by the rule that the command has by itself.
    pub(crate) fn command(&self, command: &Command) -> Open {
        if self.may_anywhere(command) {
            return Open::Decided(Ok(()));
        }
        let (rule, place) = methods::of_command(command);
        match place {
            Place::Ledger => Open::Decided(Err(self.deny(Some(rule)))),
            Place::Fund(fund) => Open::Decided(self.decided(command, Some(fund))),
            place @ (Place::Loan(_) | Place::Record(_)) => Open::Fund(place),
        }
    }

    /// The same, when it is known which fund the command concerns; `None`: none that is known.
    pub(crate) fn decided(&self, command: &Command, fund: Option<FundId>) -> Result<(), Described> {
        let (rule, _) = methods::of_command(command);
        match fund {
            Some(fund) if self.holds(Some(rule), Some(fund)) => Ok(()),
            Some(_) | None => Err(self.deny(Some(rule))),
        }
    }

    fn holds(&self, rule: Option<&Rule>, fund: Option<FundId>) -> bool {
        let Some(admitted) = &self.pass.0 else { return true };
        let held: Roles = match fund {
            Some(fund) => admitted.granted.fund(self.ledger, fund),
            None => admitted.granted.whole(self.ledger),
        };
        held.meet(rule.unwrap_or(admitted.rule).roles)
    }

    fn deny(&self, rule: Option<&Rule>) -> Described {
        match &self.pass.0 {
            Some(admitted) => admitted.deny(rule, Some(self.ledger)),
            // Nobody is denied anything without a pass.
            None => denied(Reason::RoleMissing, "this may not be called"),
        }
    }
}
