//! The command line of Bergulir.
