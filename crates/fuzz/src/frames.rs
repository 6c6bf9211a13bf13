//! Files of a log whose sums are right, whatever else is not: so that a fault behind them is reached.

/// Where the frames of a segment begin, behind its header (docs/format.md).
const HEADER_BYTES: usize = 64;
/// The header of a frame, and with it the byte that ends one.
const FRAME_HEADER_BYTES: usize = 32;
const FRAME_BYTES: usize = FRAME_HEADER_BYTES + 1;

/// Makes the sums of all frames of a segment right again, as far as their lengths lead: whoever writes a
/// file anew can.
pub fn repair_frames(segment: &mut [u8]) {
    let mut at = HEADER_BYTES;
    while let Some(frame) =
        segment.get_mut(at..).filter(|rest| rest.starts_with(b"BGFR") && rest.len() > FRAME_BYTES)
    {
        let length = u32::from_le_bytes([frame[20], frame[21], frame[22], frame[23]]) as usize;
        let Some(body) = frame.get(FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + length) else { return };
        let sum = crc32fast::hash(body).to_le_bytes();
        frame[24..28].copy_from_slice(&sum);
        let sum = crc32fast::hash(&frame[..28]).to_le_bytes();
        frame[28..FRAME_HEADER_BYTES].copy_from_slice(&sum);
        at += FRAME_BYTES + length;
    }
}
