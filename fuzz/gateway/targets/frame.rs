//! A text message of an admitted client, and the parameters of whatever method it names.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| openclaw_gateway::fuzzing::frame(text));
