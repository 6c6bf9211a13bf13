//! Reading the texts of C2SP line by line.

use alloc::vec::Vec;

use crate::{Hash, base64};

/// Takes a line off the front, without its newline; `None` if none ends there or it is not UTF-8.
pub(crate) fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let (line, after) = rest.split_at(end);
    *rest = &after[1..];
    core::str::from_utf8(line).ok()
}

/// Takes hashes in Base64 off the front, one a line, and the empty line behind them; `None` if
/// there are more than `most`, or something else.
pub(crate) fn hashes(rest: &mut &[u8], most: usize) -> Option<Vec<Hash>> {
    let mut hashes = Vec::new();
    loop {
        let next = line(rest)?;
        if next.is_empty() {
            return Some(hashes);
        }
        if hashes.len() == most {
            return None;
        }
        hashes.push(base64::decode_hash(next)?);
    }
}
