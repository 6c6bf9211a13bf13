//! The moment that a read is about: now, or as of a position or an instant in the past.

use crate::refusal;
use bergulir_chain::Position;
use bergulir_engine::{Ledger, ReadRefusal};
use bergulir_proto::wire::InvalidFields;
use bergulir_proto::{Described, pb, timestamp_from_wire};
use tonic::{Code, Status};

/// The moment that a read is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Moment {
    Now,
    Position(u64),
    Recorded(pb::Timestamp),
}

macro_rules! moments {
    ($($request:ident),+) => {
        $(
            impl From<Option<pb::$request::AsOf>> for Moment {
                fn from(as_of: Option<pb::$request::AsOf>) -> Moment {
                    match as_of {
                        None => Moment::Now,
                        Some(pb::$request::AsOf::AsOfPosition(position)) => {
                            Moment::Position(position)
                        }
                        Some(pb::$request::AsOf::AsOfRecorded(instant)) => {
                            Moment::Recorded(instant)
                        }
                    }
                }
            }
        )+
    };
}

moments!(
    get_balance_request,
    batch_get_balances_request,
    list_trail_request,
    get_trial_balance_request
);

impl Moment {
    /// The last position at that moment, which ends its batch; `None` for now.
    pub(super) async fn position(
        self,
        ledger: &Ledger,
        min_position: Option<u64>,
    ) -> Result<Option<Position>, Status> {
        let refused = |refused: ReadRefusal| refusal::read_status(&refused);
        let position = match self {
            Moment::Now => return Ok(None),
            Moment::Position(position) => {
                let position = Position::new(position);
                ledger.check_as_of(position).map_err(refused)?;
                position
            }
            Moment::Recorded(instant) => {
                let instant = timestamp_from_wire(&instant)
                    .map_err(|error| InvalidFields::one("as_of_recorded", &error).status())?;
                let found = ledger.position_at(instant).await.map_err(refused)?;
                found.ok_or_else(before_the_ledger)?
            }
        };
        match min_position {
            Some(min) if min > position.get() => {
                let wrong = format!("must not lie after {position}, the moment asked for");
                Err(InvalidFields::one("min_position", &wrong).status())
            }
            Some(_) | None => Ok(Some(position)),
        }
    }
}

fn before_the_ledger() -> Status {
    let message = "the instant lies before the ledger was opened: ask for a later one";
    Described::new(Code::InvalidArgument, "BEFORE_THE_LEDGER", message).status()
}
