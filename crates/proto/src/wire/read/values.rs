//! What several commands hold.

use bergulir_domain::command as c;

use crate::pb;
use crate::wire::fields::{Fields, Read};

pub(super) fn bank_reference(
    f: &mut Fields,
    m: Option<&pb::BankReference>,
) -> Read<c::BankReference> {
    let m = f.present("bank_reference", m)?;
    f.within("bank_reference", |f| {
        let bank = f.parse("bank", &m.bank);
        let reference = f.parse("reference", &m.reference);
        Ok(c::BankReference { bank: bank?, reference: reference?, line: m.line })
    })
}

pub(super) fn evidence(f: &mut Fields, m: &pb::Evidence) -> Read<c::Evidence> {
    let reference = f.parse("reference", &m.reference);
    let salted_digest = f.digest("salted_digest", &m.salted_digest);
    Ok(c::Evidence { reference: reference?, salted_digest: salted_digest? })
}

pub(super) fn bank_account(f: &mut Fields, m: Option<&pb::BankAccount>) -> Read<c::BankAccount> {
    let m = f.present("bank_account", m)?;
    f.within("bank_account", |f| {
        let (bank, number) = (f.parse("bank", &m.bank), f.parse("number", &m.number));
        Ok(c::BankAccount { bank: bank?, number: number? })
    })
}

pub(super) fn required_evidence(f: &mut Fields, m: Option<&pb::Evidence>) -> Read<c::Evidence> {
    let m = f.present("evidence", m)?;
    f.within("evidence", |f| evidence(f, m))
}

pub(super) fn optional_evidence(
    f: &mut Fields,
    m: Option<&pb::Evidence>,
) -> Read<Option<c::Evidence>> {
    match m {
        None => Ok(None),
        Some(m) => f.within("evidence", |f| evidence(f, m)).map(Some),
    }
}
