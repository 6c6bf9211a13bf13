//! The offline verifier: re-executes every decision from the bytes of a log
