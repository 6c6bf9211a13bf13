//! The record: one accepted command as bytes that are stored and hashed verbatim.
//!
//! The layout is fixed and versioned; `docs/format.md` gives it byte by byte. Integers are
//! little-endian. The record's hash is the link of the chain and, because it is taken over
//! `0x00 ‖ record bytes`, also the leaf hash of RFC 6962.

use alloc::vec::Vec;
use core::str;

use thiserror::Error;

use crate::bytes::{take, take_i64, take_u8, take_u16, take_u32, take_u64};
use crate::{Hash, Position, Timestamp};

/// The longest record in bytes: what an entry bundle of C2SP `tlog-tiles` can carry.
pub const MAX_RECORD_BYTES: usize = 65_535;

/// The longest principal in bytes.
pub const MAX_PRINCIPAL_BYTES: usize = 255;

/// Bytes of a record before its principal.
pub const FIXED_BYTES: usize = 76;

/// Where in a record its authentication is.
const AUTHENTICATION_AT: usize = 1;

/// Where in a record the length of its principal is.
const PRINCIPAL_LENGTH_AT: usize = 2;

/// Where in a record it says how many of its batch follow.
const FOLLOWING_AT: usize = 4;

/// Where in a record its position is.
const POSITION_AT: usize = 8;

/// Where in a record the hash of the one before it is.
const PREVIOUS_AT: usize = 16;

/// As many bytes of a record as say which one is before it.
pub const LINK_BYTES: usize = PREVIOUS_AT + 32;

/// Where in a record its request id is.
const REQUEST_ID_AT: usize = 56;

/// Where in a record the length of its event is.
const EVENT_LENGTH_AT: usize = 72;

/// The length of the shortest record: the fixed part, a principal and an event of one byte each.
pub const MIN_RECORD_BYTES: usize = FIXED_BYTES + 2;

/// The only format version there is so far.
const VERSION: u8 = 1;

/// Domain separation of RFC 6962: a leaf hash starts with this byte, a node hash with 0x01.
const LEAF_PREFIX: u8 = 0x00;

/// One accepted command: who, when, under which request id, and the event that it became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The place in the ledger's log.
    pub position: Position,
    /// The hash of the record before this one; [`Hash::ZERO`] at position 0.
    pub previous: Hash,
    /// When the writer took the command; never before the record before it.
    pub recorded_at: Timestamp,
    /// Who gave the command: 1 to [`MAX_PRINCIPAL_BYTES`] bytes.
    pub principal: &'a str,
    /// How the server knew the principal.
    pub authentication: Authentication,
    /// The caller's request id: the 16 bytes of a UUID in network order.
    pub request_id: [u8; 16],
    /// How many records of the same atomic batch still come.
    pub following: u32,
    /// The event, opaque here: at least one byte.
    pub event: &'a [u8],
    /// The principal's own signature. Reserved: always absent in format version 1.
    pub signature: Option<&'a [u8]>,
}

/// How the server knew the principal of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Authentication {
    /// Stated by the caller on plain loopback, and not authenticated.
    Stated = 0,
    /// The server itself made the record.
    System = 1,
    /// A client certificate under mutual TLS.
    MutualTls = 2,
    /// A signed JSON Web Token.
    Jwt = 3,
}

impl Authentication {
    /// The meaning of the byte in a record, or `None` if it has none.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Stated),
            1 => Some(Self::System),
            2 => Some(Self::MutualTls),
            3 => Some(Self::Jwt),
            _ => None,
        }
    }
}

/// Why bytes are not a record, or a record cannot become bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The bytes end inside the record.
    #[error("the record needs {needed} bytes, there are {actual}")]
    Short {
        /// Bytes that the record needs at least.
        needed: usize,
        /// Bytes that there are.
        actual: usize,
    },
    /// Bytes are left over after the record.
    #[error("the record is {expected} bytes long, there are {actual}")]
    Trailing {
        /// The length that the record states.
        expected: usize,
        /// Bytes that there are.
        actual: usize,
    },
    /// A version that this software does not know.
    #[error("record format version {0} is not known here: read it with newer software")]
    UnknownVersion(u8),
    /// An authentication byte without a meaning.
    #[error("authentication {0} has no meaning in format version 1")]
    UnknownAuthentication(u8),
    /// The reserved byte is not zero.
    #[error("the reserved byte is {0:#04x}, not zero")]
    Reserved(u8),
    /// The principal is empty or longer than [`MAX_PRINCIPAL_BYTES`].
    #[error("a principal has 1 to {MAX_PRINCIPAL_BYTES} bytes, not {0}")]
    PrincipalLength(usize),
    /// The principal is not UTF-8.
    #[error("the principal is not UTF-8")]
    PrincipalNotUtf8,
    /// There is no event.
    #[error("the record has no event")]
    EventMissing,
    /// A signature is present, which format version 1 only reserves.
    #[error("format version 1 has no signatures")]
    SignatureReserved,
    /// The record would be longer than [`MAX_RECORD_BYTES`].
    #[error("a record has at most {MAX_RECORD_BYTES} bytes, this one would have {0}")]
    TooLong(usize),
}

/// The hash of a record's bytes: SHA-256 of `0x00 ‖ bytes`.
pub fn hash(bytes: &[u8]) -> Hash {
    Hash::prefixed(LEAF_PREFIX, bytes)
}

/// The request id of a record that is whole, without a look at anything else of it.
pub fn request_id(record: &[u8]) -> Option<[u8; 16]> {
    record.get(REQUEST_ID_AT..)?.first_chunk().copied()
}

/// The hash of the record before this one, of whose bytes the first [`LINK_BYTES`] are enough.
pub fn link(record: &[u8]) -> Option<Hash> {
    record.get(PREVIOUS_AT..)?.first_chunk().copied().map(Hash::from_bytes)
}

/// The authentication of a record that is whole, without a look at anything else of it.
pub fn authentication(record: &[u8]) -> Option<Authentication> {
    Authentication::from_byte(*record.get(AUTHENTICATION_AT)?)
}

/// The event of a record that is whole, without a look at anything else of it.
pub fn event(record: &[u8]) -> Option<&[u8]> {
    let principal = usize::from(*record.get(PRINCIPAL_LENGTH_AT)?);
    record.get(FIXED_BYTES + principal..)
}

impl<'a> Record<'a> {
    /// Appends the record's bytes to `out` and returns their hash.
    ///
    /// # Errors
    /// If a field is outside its limits; `out` is unchanged then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<Hash, RecordError> {
        self.encode_with(out, |out| out.extend_from_slice(self.event))
    }

    /// As [`encode`](Self::encode), with the event that `put_event` appends instead of the record's
    /// own: so that its bytes are written once, in their place.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_with(
        &self,
        out: &mut Vec<u8>,
        put_event: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Hash, RecordError> {
        let principal_length = match u8::try_from(self.principal.len()) {
            Ok(length) if length > 0 => length,
            _ => return Err(RecordError::PrincipalLength(self.principal.len())),
        };
        if self.signature.is_some() {
            return Err(RecordError::SignatureReserved);
        }
        // What is not set is zero: the reserved byte, the length of the signature, and that of the
        // event until it is known.
        let mut fixed = [0; FIXED_BYTES];
        fixed[0] = VERSION;
        fixed[AUTHENTICATION_AT] = self.authentication as u8;
        fixed[PRINCIPAL_LENGTH_AT] = principal_length;
        fixed[FOLLOWING_AT..POSITION_AT].copy_from_slice(&self.following.to_le_bytes());
        fixed[POSITION_AT..PREVIOUS_AT].copy_from_slice(&self.position.get().to_le_bytes());
        fixed[PREVIOUS_AT..LINK_BYTES].copy_from_slice(self.previous.as_bytes());
        fixed[LINK_BYTES..REQUEST_ID_AT]
            .copy_from_slice(&self.recorded_at.as_micros().to_le_bytes());
        fixed[REQUEST_ID_AT..EVENT_LENGTH_AT].copy_from_slice(&self.request_id);
        let start = out.len();
        out.extend_from_slice(&fixed);
        out.extend_from_slice(self.principal.as_bytes());
        let before = out.len();
        put_event(out);
        let (event, length) = (out.len() - before, out.len() - start);
        let event_length = match u16::try_from(event) {
            Ok(event_length) if event > 0 && length <= MAX_RECORD_BYTES => event_length,
            _ => {
                out.truncate(start);
                let missing = event == 0;
                return Err(if missing {
                    RecordError::EventMissing
                } else {
                    RecordError::TooLong(length)
                });
            }
        };
        let record = &mut out[start..];
        record[EVENT_LENGTH_AT..EVENT_LENGTH_AT + 2].copy_from_slice(&event_length.to_le_bytes());
        Ok(hash(record))
    }

    /// Reads a record from exactly its bytes.
    ///
    /// Strict: for every record there is one byte string, and `parse` takes no other. So what
    /// parses encodes to the same bytes again.
    ///
    /// # Errors
    /// If the bytes are anything but one whole record of format version 1.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        // The version decides about everything after it, so it is looked at first.
        match bytes.first() {
            None => {
                return Err(RecordError::Short { needed: MIN_RECORD_BYTES, actual: 0 });
            }
            Some(&VERSION) => {}
            Some(&version) => return Err(RecordError::UnknownVersion(version)),
        }
        let fixed = parse_fixed(bytes)
            .ok_or(RecordError::Short { needed: MIN_RECORD_BYTES, actual: bytes.len() })?;
        if fixed.reserved != 0 {
            return Err(RecordError::Reserved(fixed.reserved));
        }
        let authentication = Authentication::from_byte(fixed.authentication)
            .ok_or(RecordError::UnknownAuthentication(fixed.authentication))?;
        if fixed.principal_length == 0 {
            return Err(RecordError::PrincipalLength(0));
        }
        if fixed.event_length == 0 {
            return Err(RecordError::EventMissing);
        }
        if fixed.signature_length != 0 {
            return Err(RecordError::SignatureReserved);
        }
        let needed =
            FIXED_BYTES + usize::from(fixed.principal_length) + usize::from(fixed.event_length);
        if needed > MAX_RECORD_BYTES {
            return Err(RecordError::TooLong(needed));
        }
        if bytes.len() > needed {
            return Err(RecordError::Trailing { expected: needed, actual: bytes.len() });
        }
        let (principal, event) = bytes
            .get(FIXED_BYTES..needed)
            .and_then(|variable| variable.split_at_checked(usize::from(fixed.principal_length)))
            .ok_or(RecordError::Short { needed, actual: bytes.len() })?;
        Ok(Self {
            position: Position::new(fixed.position),
            previous: Hash::from_bytes(fixed.previous),
            recorded_at: Timestamp::from_micros(fixed.recorded_at),
            principal: str::from_utf8(principal).map_err(|_| RecordError::PrincipalNotUtf8)?,
            authentication,
            request_id: fixed.request_id,
            following: fixed.following,
            event,
            signature: None,
        })
    }
}

/// The first [`FIXED_BYTES`] of a record, field by field in their order.
struct Fixed {
    authentication: u8,
    principal_length: u8,
    reserved: u8,
    following: u32,
    position: u64,
    previous: [u8; 32],
    recorded_at: i64,
    request_id: [u8; 16],
    event_length: u16,
    signature_length: u16,
}

fn parse_fixed(bytes: &[u8]) -> Option<Fixed> {
    // Cut to a length that the compiler knows, so that it is checked once.
    let bytes = &mut bytes.first_chunk::<FIXED_BYTES>()?.as_slice();
    let _version = take_u8(bytes)?;
    Some(Fixed {
        authentication: take_u8(bytes)?,
        principal_length: take_u8(bytes)?,
        reserved: take_u8(bytes)?,
        following: take_u32(bytes)?,
        position: take_u64(bytes)?,
        previous: take(bytes)?,
        recorded_at: take_i64(bytes)?,
        request_id: take(bytes)?,
        event_length: take_u16(bytes)?,
        signature_length: take_u16(bytes)?,
    })
}
