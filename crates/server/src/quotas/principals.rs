//! What each principal has under way, for as many of them as are kept apart.

use super::exceeded::Whose;
use super::rate::Rate;
use crate::limits::{Limits, MAX_PRINCIPALS, Most, PRINCIPALS_SWEPT_EVERY};
use bergulir_domain::PrincipalId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What one principal has under way, or those together who said no name.
#[derive(Debug)]
pub(crate) struct Account {
    /// `None`: of those who have none of their own.
    principal: Option<PrincipalId>,
    pub(super) rate: Rate,
    pub(super) calls: UnderWay,
    pub(super) streams: UnderWay,
}

/// How many are under way, and may be; 0: any number.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    pub(super) now: AtomicUsize,
    pub(super) most: AtomicUsize,
}

impl Account {
    fn new(principal: Option<PrincipalId>, limits: &Limits, now: Instant) -> Account {
        let account = Account {
            principal,
            rate: Rate::new(0, None, now),
            calls: UnderWay::default(),
            streams: UnderWay::default(),
        };
        account.set(limits);
        account
    }

    /// Puts other limits in force.
    fn set(&self, limits: &Limits) {
        let Most { rate, burst, calls, streams } = limits.of(self.principal.as_ref());
        self.rate.set(rate, burst);
        self.calls.most.store(calls, Ordering::Relaxed);
        self.streams.most.store(streams, Ordering::Relaxed);
    }

    pub(super) fn whose(&self) -> Whose {
        self.principal.map_or(Whose::Nobody, Whose::One)
    }

    /// The name of the principal; empty if it is nobody's.
    pub(crate) fn name(&self) -> &str {
        self.principal.as_ref().map_or("", PrincipalId::as_str)
    }
}

/// The accounts of all. Who has nothing under way, no connection that remembers it and a full bucket is
/// forgotten when room is needed; it would begin anew with the same.
#[derive(Debug)]
pub(super) struct Principals {
    most: usize,
    table: Mutex<Table>,
    /// Of those who said no name, and of those for whom there was no room.
    nobody: Arc<Account>,
}

#[derive(Debug)]
struct Table {
    /// What accounts begin with.
    limits: Limits,
    accounts: HashMap<PrincipalId, Arc<Account>>,
    swept: Option<Instant>,
}

impl Principals {
    pub(super) fn new(limits: &Limits, now: Instant) -> Principals {
        let nobody = Arc::new(Account::new(None, limits, now));
        let table = Table { limits: limits.clone(), accounts: HashMap::new(), swept: None };
        Principals { most: MAX_PRINCIPALS, table: Mutex::new(table), nobody }
    }

    pub(super) fn nobody(&self) -> Arc<Account> {
        Arc::clone(&self.nobody)
    }

    /// Puts other limits in force, for those too who have something under way.
    pub(super) fn set(&self, limits: &Limits) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        for account in table.accounts.values().chain([&self.nobody]) {
            account.set(limits);
        }
        table.limits = limits.clone();
    }

    pub(super) fn of(&self, principal: PrincipalId, now: Instant) -> Arc<Account> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = table.accounts.get(&principal) {
            return Arc::clone(account);
        }
        if table.accounts.len() >= self.most {
            table.sweep(now);
        }
        if table.accounts.len() >= self.most {
            return self.nobody();
        }
        let account = Arc::new(Account::new(Some(principal), &table.limits, now));
        table.accounts.insert(principal, Arc::clone(&account));
        account
    }
}

impl Table {
    fn sweep(&mut self, now: Instant) {
        let since = self.swept.map(|swept| now.saturating_duration_since(swept));
        if since.is_some_and(|since| since < PRINCIPALS_SWEPT_EVERY) {
            return;
        }
        self.swept = Some(now);
        // What is under way holds its account, and nobody gets at one but through the table.
        self.accounts.retain(|_, account| {
            let rests = account.rate.is_full(now);
            Arc::strong_count(account) > 1 || !rests
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn principals(most: usize) -> (Principals, Instant) {
        let limits =
            Limits { principal_rate: Some(1), principal_burst: Some(2), ..Limits::default() };
        let now = Instant::now();
        (Principals { most, ..Principals::new(&limits, now) }, now)
    }

    fn named(n: usize) -> PrincipalId {
        PrincipalId::new(&format!("officer-{n}")).unwrap()
    }

    #[test]
    fn each_principal_has_its_own() {
        let (all, now) = principals(10);
        let one = all.of(named(1), now);
        assert!(Arc::ptr_eq(&one, &all.of(named(1), now)));
        assert!(!Arc::ptr_eq(&one, &all.of(named(2), now)));
        assert_eq!((one.name(), all.nobody().name()), ("officer-1", ""));
    }

    #[test]
    fn made_up_names_take_no_room_without_end_and_push_out_nobody_who_is_there() {
        let (all, now) = principals(10);
        let held = all.of(named(0), now);
        let spent = all.of(named(1), now);
        assert!(spent.rate.take(2, now).is_ok());
        drop(spent);
        for n in 2..1_000 {
            all.of(named(n), now);
        }
        assert!(all.table.lock().unwrap().accounts.len() <= 10);
        assert!(Arc::ptr_eq(&held, &all.of(named(0), now)));
        let spent = all.of(named(1), now);
        assert!(spent.rate.take(1, now).is_err());
        drop(spent);
        // Those who come last share one, until there is room again.
        let kept: Vec<_> = (2_000..2_020).map(|n| all.of(named(n), now)).collect();
        assert!(kept.iter().any(|account| Arc::ptr_eq(account, &all.nobody)));
        drop(kept);
        let later = now + Duration::from_secs(60);
        assert_eq!(all.of(named(3_000), later).name(), "officer-3000");
    }
}
