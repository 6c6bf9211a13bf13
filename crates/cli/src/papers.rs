//! What several commands ask for: a bank's booking, a bank account, a tranche, a proposal, a document, an
//! amount.

use bergulir_domain::money::Money;
use bergulir_domain::text::{BankCode, Name, Number, Reference};
use bergulir_domain::{AccountId, Amount, Date, FundId, LoanId, Timestamp};
use bergulir_proto::{date_to_wire, money_to_wire, pb, timestamp_to_wire};
use clap::Args;

use crate::client::WriteArgs;
use crate::parse::{self, CURRENCY};

/// A movement on the fund's bank account, as the bank booked it.
#[derive(Debug, Clone, Args)]
pub(crate) struct BookingArgs {
    /// The bank's code or short name
    #[arg(long, value_parser = parse::checked::<BankCode>)]
    bank: String,
    /// The bank's reference of the transfer
    #[arg(long, value_name = "REFERENCE", value_parser = parse::checked::<Reference>)]
    bank_reference: String,
    /// Which part of a bulk transfer
    #[arg(long, value_name = "N")]
    bank_line: Option<u32>,
    /// The day on which the bank booked it
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse::date)]
    value_date: Date,
}

impl BookingArgs {
    /// The bank's reference as it is sent.
    pub(crate) fn reference(&self) -> pb::BankReference {
        pb::BankReference {
            bank: self.bank.clone(),
            reference: self.bank_reference.clone(),
            line: self.bank_line,
        }
    }

    /// The value date as it is sent.
    pub(crate) fn value_date(&self) -> pb::Date {
        date_to_wire(self.value_date)
    }
}

/// An account at a bank.
#[derive(Debug, Clone, Args)]
pub(crate) struct BankAccountArgs {
    /// The bank's code or short name
    #[arg(long, value_parser = parse::checked::<BankCode>)]
    bank: String,
    /// The number of the bank account; leading zeros count
    #[arg(long, value_name = "NUMBER", value_parser = parse::checked::<Number>)]
    bank_account: String,
    /// The holder's name at the bank: exactly the registered name
    #[arg(long, value_parser = parse::checked::<Name>)]
    pub(crate) holder: String,
}

impl BankAccountArgs {
    /// The account as it is sent.
    pub(crate) fn account(&self) -> pb::BankAccount {
        pb::BankAccount { bank: self.bank.clone(), number: self.bank_account.clone() }
    }
}

/// A part of a loan that is to be paid out.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrancheArgs {
    /// The loan
    #[arg(value_parser = parse::checked::<LoanId>)]
    pub(crate) loan: String,
    /// How much of it
    #[arg(long, value_parser = parse::amount)]
    pub(crate) amount: Amount,
}

/// A grant that is to be paid out.
#[derive(Debug, Clone, Args)]
pub(crate) struct GiftArgs {
    /// The account that receives
    #[arg(value_parser = parse::checked::<AccountId>)]
    pub(crate) account: String,
    /// The fund that gives
    #[arg(long, value_parser = parse::checked::<FundId>)]
    pub(crate) fund: String,
    /// How much
    #[arg(long, value_parser = parse::amount)]
    pub(crate) amount: Amount,
    /// The decree or agreement
    #[arg(long, value_parser = parse::checked::<Reference>)]
    pub(crate) reference: String,
}

/// What somebody else proposed.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProposedArgs {
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    /// The position of the record of the proposal
    #[arg(value_parser = parse::whole)]
    pub(crate) proposal: u64,
}

/// A document.
#[derive(Debug, Clone, Args)]
pub(crate) struct EvidenceArgs {
    /// Where the document lies; no personal data: records cannot be erased
    #[arg(
        long = "evidence",
        value_name = "REFERENCE",
        requires = "evidence_digest",
        value_parser = parse::checked::<Reference>
    )]
    evidence: Option<String>,
    /// SHA-256 over a salt of at least 16 random bytes, then the document: 64 hexadecimal digits
    #[arg(long, value_name = "HEX", requires = "evidence", value_parser = parse::digest)]
    evidence_digest: Option<[u8; 32]>,
}

impl EvidenceArgs {
    /// The evidence as it is sent, if it was given.
    pub(crate) fn evidence(&self) -> Option<pb::Evidence> {
        Some(pb::Evidence {
            reference: self.evidence.clone()?,
            salted_digest: self.evidence_digest?.to_vec(),
        })
    }
}

/// When a proposal lapses.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExpiryArgs {
    /// When the proposal lapses, such as 2026-03-16T17:00:00+07:00 [default: as the terms say]
    #[arg(long, value_name = "INSTANT", value_parser = parse::instant)]
    expires_at: Option<Timestamp>,
}

impl ExpiryArgs {
    /// The instant as it is sent, if it was given.
    pub(crate) fn instant(&self) -> Option<pb::Timestamp> {
        self.expires_at.map(timestamp_to_wire)
    }
}

/// An amount as it is sent.
pub(crate) fn amount(amount: Amount) -> pb::Money {
    money_to_wire(amount.minor(), CURRENCY)
}

/// A part of a payment as it is sent.
pub(crate) fn part(part: Money) -> pb::Money {
    money_to_wire(part.minor(), CURRENCY)
}
