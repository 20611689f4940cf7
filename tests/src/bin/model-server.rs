//! The stand-in for a provider of models as a program, for measurements and for other clients.
//!
//! Prints its port on a line of its own, and serves until it is ended.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use openclaw_tests::model_server::{ModelServer, Script};

#[derive(Debug, Parser)]
struct Flags {
    /// Listen on this port of the loopback address; a free one when absent
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Say so many words to whoever asks for a model that is not named after a script
    #[arg(long, default_value_t = 200)]
    tokens: usize,
    /// Let so many milliseconds pass from one word to the next
    #[arg(long, default_value_t = 0)]
    interval_ms: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let script = Script::tokens(flags.tokens, Duration::from_millis(flags.interval_ms));
    let server = ModelServer::listen(flags.port, script, false)
        .await
        .with_context(|| format!("cannot listen on port {}", flags.port))?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", server.port())?;
    out.flush()?;
    std::future::pending().await
}
