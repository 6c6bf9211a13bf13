//! What goes over the wire and into a record, and its translation to and from the domain.
//!
//! The outer crates speak [`pb`]; the domain knows none of it.

pub mod pb;
