//! Cooperatives: one per village, two officers who are two people, and what makes them ready.

use crate::command::{AppointOfficer, ConfirmReadiness, RegisterCooperative};
use crate::cooperative::{Office, ReadinessItem};
use crate::event::Event;
use crate::rejection::{Rejection, Resource};
use crate::state::State;
use alloc::sync::Arc;

pub(super) fn register(state: &State, command: &RegisterCooperative) -> Result<Event, Rejection> {
    let (cooperative, village) = (command.cooperative, command.village);
    if state.cooperatives.find(&cooperative).is_some() {
        return Err(Rejection::AlreadyExists(Resource::Cooperative(cooperative)));
    }
    if let Some(opened) = state.opened()
        && !opened.region.contains(village)
    {
        return Err(Rejection::VillageOutsideRegion { village, region: opened.region });
    }
    let expected = village.cooperative_kind();
    if command.kind != expected {
        return Err(Rejection::VillageKindMismatch { village, expected });
    }
    if let Some(taken) = state.cooperatives.find_first(&village) {
        let cooperative = state.cooperatives.get(taken).id();
        return Err(Rejection::VillageTaken { village, cooperative });
    }
    Ok(Event::CooperativeRegistered(Arc::new(command.clone())))
}

pub(super) fn appoint(state: &State, command: &AppointOfficer) -> Result<Event, Rejection> {
    let (_, cooperative) = state.find_cooperative(command.cooperative)?;
    let other = match command.office {
        Office::Chair => Office::Treasurer,
        Office::Treasurer => Office::Chair,
    };
    if cooperative.officer(other) == Some(command.officer) {
        return Err(Rejection::SameOfficer { officer: command.officer });
    }
    Ok(Event::OfficerAppointed(command.clone()))
}

pub(super) fn confirm_readiness(
    state: &State,
    command: &ConfirmReadiness,
) -> Result<Event, Rejection> {
    let (_, cooperative) = state.find_cooperative(command.cooperative)?;
    let item = command.item;
    match &command.number {
        None if item.has_number() => return Err(Rejection::InvalidNumber { item }),
        Some(_) if !item.has_number() => return Err(Rejection::UnexpectedNumber { item }),
        Some(number) if !item.accepts_number(number.as_str()) => {
            return Err(Rejection::InvalidNumber { item });
        }
        Some(number) if item == ReadinessItem::CooperativeNumber => {
            let registered = &cooperative.registered.cooperative_number;
            if registered.as_ref().is_some_and(|registered| registered != number) {
                return Err(Rejection::CooperativeNumberMismatch);
            }
        }
        Some(_) | None => {}
    }
    Ok(Event::ReadinessConfirmed(command.clone()))
}
