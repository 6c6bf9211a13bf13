//! Messages that commands and events share, from the domain.

use bergulir_domain::command::{BankAccount, BankReference, Evidence};

use crate::pb;

pub(crate) fn bank_reference(reference: &BankReference) -> pb::BankReference {
    pb::BankReference {
        bank: reference.bank.to_string(),
        reference: reference.reference.to_string(),
        line: reference.line,
    }
}

/// A bank account as the wire has it.
pub fn bank_account(account: &BankAccount) -> pb::BankAccount {
    pb::BankAccount { bank: account.bank.to_string(), number: account.number.to_string() }
}

pub(crate) fn evidence(evidence: &Evidence) -> pb::Evidence {
    pb::Evidence {
        reference: evidence.reference.to_string(),
        salted_digest: evidence.salted_digest.to_vec(),
    }
}
