//! The bytes of an HTTP connection, in any cut, to the framing that finds ambiguous lengths.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| openclaw_shared::serve::fuzz_framing(bytes));
