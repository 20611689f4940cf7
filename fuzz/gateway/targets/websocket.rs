//! The bytes of a WebSocket, before and after the client is known.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| openclaw_gateway::fuzzing::websocket(bytes));
