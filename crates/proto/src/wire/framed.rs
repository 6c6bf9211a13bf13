//! Messages as gRPC sends them, one behind the other.

use bytes::Bytes;
use prost::Message;

/// What stands before a message: that it is not compressed, and its length.
pub const HEAD_BYTES: usize = 5;

/// Messages side by side, each behind its head: so they can be sent together and at once.
#[derive(Debug, Default)]
pub struct Framed {
    bytes: Vec<u8>,
    /// Where the newest message begins.
    start: usize,
}

impl Framed {
    /// With room for so many bytes.
    #[must_use]
    pub fn with_room(bytes: usize) -> Framed {
        Framed { bytes: Vec::with_capacity(bytes), start: 0 }
    }

    /// One message.
    pub fn one(message: &impl Message) -> Bytes {
        let mut framed = Framed::with_room(HEAD_BYTES + message.encoded_len());
        framed.begin();
        message.encode(framed.out()).expect("a Vec has room");
        framed.end();
        framed.finish()
    }

    /// Begins a message.
    pub fn begin(&mut self) {
        self.bytes.extend_from_slice(&[0; HEAD_BYTES]);
        self.start = self.bytes.len();
    }

    /// Where the message goes.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the message.
    pub fn end(&mut self) {
        // An answer is bounded by what is asked, far below 4 GiB.
        let [.., a, b, c, d] = (self.bytes.len() - self.start).to_be_bytes();
        self.bytes[self.start - size_of::<u32>()..self.start].copy_from_slice(&[a, b, c, d]);
    }

    /// The messages that have ended.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.bytes.into()
    }
}
