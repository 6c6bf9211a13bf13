//! The generated messages, clients and servers. Each is documented in its `.proto` file.

/// `package bergulir.v1`.
#[allow(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    unreachable_pub,
    rustdoc::all,
    reason = "generated code"
)]
pub(crate) mod bergulir {
    pub(crate) mod v1 {
        include!(concat!(env!("OUT_DIR"), "/bergulir.v1.rs"));
        include!(concat!(env!("OUT_DIR"), "/servers/bergulir.v1.rs"));
    }
}

/// `package google.type`: money and dates.
#[allow(clippy::all, clippy::pedantic, missing_docs, rustdoc::all, reason = "generated code")]
pub mod google {
    /// `package google.type`.
    pub mod r#type {
        include!(concat!(env!("OUT_DIR"), "/google.r#type.rs"));
    }
}

pub use bergulir::v1::*;
pub use google::r#type::{Date, Money};
pub use prost_types::Timestamp;

/// The descriptors of every file, encoded, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
