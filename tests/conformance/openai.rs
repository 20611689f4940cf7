//! The official `openai` packages for Python and for Node, unchanged, against `/v1`, with the offline model.
//!
//! Both come from their registries into a folder that goes afterwards. What they send is kept, and sent again by the ordinary tests.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use openclaw_tests::home::{Home, TOKEN};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::report::{Outcome, progress};

const PYTHON: &str = include_str!("openai/client.py");
const NODE: &str = include_str!("openai/client.mjs");

pub(crate) async fn run(record: Option<&Path>) -> Result<Vec<Outcome>> {
    let home = Home::new();
    let on = json!({ "enabled": true });
    home.configure(&json!({
        "gateway": { "http": { "endpoints": { "chatCompletions": on, "responses": on } } },
    }));
    let instance = home.launch().ready().await;
    let base = format!("http://127.0.0.1:{}/v1", instance.home().port());
    let folder = TempDir::with_prefix("openclaw-openai-").context("a folder for the packages")?;
    let mut outcomes = Vec::new();
    for (client, name) in [("openai for Python", "python"), ("openai for Node", "node")] {
        let kept = folder.path().join(format!("{name}.jsonl"));
        let mut program = match name {
            "python" => python(folder.path()).await?,
            _ => node(folder.path()).await?,
        };
        program
            .env("OPENCLAW_BASE", &base)
            .env("OPENCLAW_TOKEN", TOKEN)
            .env("OPENCLAW_RECORD", &kept);
        outcomes.extend(checks(client, program).await?);
        if let Some(record) = record {
            let to = record.join("openai").join(format!("{name}.jsonl"));
            std::fs::create_dir_all(record.join("openai"))?;
            std::fs::copy(&kept, &to).with_context(|| format!("cannot write {}", to.display()))?;
        }
    }
    Ok(outcomes)
}

async fn python(folder: &Path) -> Result<Command> {
    progress("installing openai for Python");
    let home = folder.join("python");
    installed(Command::new("python3").args(["-m", "venv"]).arg(&home)).await?;
    let pip = home.join("bin/pip");
    installed(Command::new(pip).args(["install", "--quiet", "openai"])).await?;
    let script = folder.join("client.py");
    std::fs::write(&script, PYTHON)?;
    let mut program = Command::new(home.join("bin/python"));
    program.arg(script);
    Ok(program)
}

async fn node(folder: &Path) -> Result<Command> {
    progress("installing openai for Node");
    let home = folder.join("node");
    std::fs::create_dir_all(&home)?;
    std::fs::write(home.join("package.json"), "{}")?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "openai"])
        .current_dir(&home);
    installed(&mut npm).await?;
    let script = folder.join("client.mjs");
    std::fs::write(&script, NODE)?;
    let mut program = Command::new("node");
    program.arg(script).current_dir(home);
    Ok(program)
}

async fn installed(command: &mut Command) -> Result<()> {
    let said = command.stdin(Stdio::null()).output().await?;
    if !said.status.success() {
        bail!("{}", String::from_utf8_lossy(&said.stderr));
    }
    Ok(())
}

/// What the program has tried: one line of JSON each.
async fn checks(client: &'static str, mut program: Command) -> Result<Vec<Outcome>> {
    let said = program.stdin(Stdio::null()).output().await?;
    let out = String::from_utf8_lossy(&said.stdout);
    let lines: Vec<Value> = out
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    if lines.is_empty() {
        bail!(
            "{client} said nothing: {}",
            String::from_utf8_lossy(&said.stderr)
        );
    }
    let outcomes = lines.iter().map(|line| {
        let text = |key: &str| line[key].as_str().unwrap_or_default();
        let what = format!("{} ({})", text("check").replace('_', " "), text("version"));
        let result = match line["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(()),
        };
        Outcome::new(client, what, result)
    });
    Ok(outcomes.collect())
}
