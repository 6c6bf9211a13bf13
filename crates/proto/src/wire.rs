//! Requests as they arrive, checked field by field, and commands as a client sends them.
//!
//! A request is refused with every field that is wrong, not with the first one only.

mod balances;
mod batch;
mod batch_bytes;
mod fields;
mod framed;
mod frequent;
mod read;
mod receipt;
mod request;
mod terms;
mod trail;
mod write;

#[cfg(test)]
mod batch_tests;
#[cfg(test)]
mod tests;

use bergulir_domain::money::Currency;
use bergulir_domain::{Command, LedgerId};
use thiserror::Error;

use crate::name::NameError;
use crate::pb;
use fields::Fields;

pub use balances::{account_balances, fund_balances, loan_balances};
pub use batch::{Batch, BatchError, BatchMode, MAX_BATCH_ITEMS, Request, RequestId};
pub use batch_bytes::{BatchAnswer, BatchBytes, BatchParts, Encoded, PaymentAnswer};
pub use framed::{Framed, HEAD_BYTES};
pub use receipt::{BatchReceipt, Results, payment};
pub use request::{CommandRequest, Envelope, Reply, RequestParts, Resource, ResourceKind, send};
pub use trail::{TrailBalance, TrailLine, TrailPage};
pub use write::{loan_terms_to_wire, terms_to_wire};

/// Every field of a request that is wrong: `INVALID_ARGUMENT`, reason `INVALID_FIELD`.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{}", summary(.0))]
pub struct InvalidFields(pub Vec<pb::FieldViolation>);

fn summary(violations: &[pb::FieldViolation]) -> String {
    match violations {
        [] => "the request has a field that is wrong".to_owned(),
        [one] => format!("{} {}", one.field, one.description),
        [first, rest @ ..] => {
            format!("{} {} (and {} more)", first.field, first.description, rest.len())
        }
    }
}

impl InvalidFields {
    /// One wrong field.
    pub fn one(field: impl Into<String>, description: &(impl ToString + ?Sized)) -> InvalidFields {
        let description = description.to_string();
        InvalidFields(vec![pb::FieldViolation { field: field.into(), description }])
    }

    /// A wrong resource name in that field.
    pub fn name(field: &str, error: &NameError) -> InvalidFields {
        InvalidFields::one(field, error)
    }
}

/// Checks a command. `ledger` is the one that the request names; `currency` is that ledger's.
///
/// # Errors
/// With every field that is wrong; paths begin at the command's own field, such as
/// `disburse.amount.nanos`.
pub fn command_from_wire(
    ledger: LedgerId,
    currency: Currency,
    command: pb::Command,
) -> Result<Command, InvalidFields> {
    let mut fields = Fields::new(currency);
    let command = read::command(&mut fields, ledger, command.kind);
    fields.finish(command)
}

/// A command as a client sends it; `None` for a seal, which nobody may send.
pub fn command_to_wire(command: &Command) -> Option<pb::Command> {
    write::kind(command).map(|kind| pb::Command { kind: Some(kind) })
}
