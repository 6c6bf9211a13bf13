//! The body of a frame: records, each behind its length.

use alloc::vec::Vec;

use crate::Hash;
use crate::record::{Record, RecordError};

/// Bytes of the length before each record.
pub const LENGTH_BYTES: usize = 2;

/// Encodes a record onto the end of a body and returns its hash.
///
/// # Errors
/// If the record cannot be encoded; the body is unchanged then.
pub fn push_record(body: &mut Vec<u8>, record: &Record<'_>) -> Result<Hash, RecordError> {
    push_record_with(body, record, |body| body.extend_from_slice(record.event))
}

/// As [`push_record`], with the event that `put_event` appends: see [`Record::encode_with`].
///
/// # Errors
/// As [`push_record`].
pub fn push_record_with(
    body: &mut Vec<u8>,
    record: &Record<'_>,
    put_event: impl FnOnce(&mut Vec<u8>),
) -> Result<Hash, RecordError> {
    let start = body.len();
    body.extend_from_slice(&[0; LENGTH_BYTES]);
    let hash = match record.encode_with(body, put_event) {
        Ok(hash) => hash,
        Err(error) => {
            body.truncate(start);
            return Err(error);
        }
    };
    let length = u16::try_from(body.len() - start - LENGTH_BYTES)
        .expect("an encoded record has at most MAX_RECORD_BYTES");
    body[start..start + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(hash)
}

/// Appends a record that is encoded already.
///
/// # Panics
/// If it is longer than [`MAX_RECORD_BYTES`](crate::MAX_RECORD_BYTES), as no encoded record is.
pub fn push_encoded(body: &mut Vec<u8>, record: &[u8]) {
    let length = u16::try_from(record.len())
        .expect("the caller passes an encoded record, at most MAX_RECORD_BYTES long");
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(record);
}

/// True if the body is exactly this many records.
pub(crate) fn is_well_formed(body: &[u8], records: u32) -> bool {
    let mut slices = RecordSlices::new(body);
    let counted = slices.by_ref().count();
    counted == records as usize && slices.body.is_empty()
}

/// The records of a body, in order.
///
/// The length before each is big-endian, as in the entry bundles of C2SP `tlog-tiles`: a run of a
/// body is a run of a bundle.
#[derive(Clone, Debug)]
pub struct RecordSlices<'a> {
    body: &'a [u8],
}

impl<'a> RecordSlices<'a> {
    /// The records of a body. Ends early where the body is cut inside a record.
    pub fn new(body: &'a [u8]) -> Self {
        Self { body }
    }
}

impl<'a> Iterator for RecordSlices<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.body.split_first_chunk::<LENGTH_BYTES>()?;
        let (record, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.body = rest;
        Some(record)
    }
}
