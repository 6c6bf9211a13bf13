//! The command line of Bergulir.

fn main() {}
