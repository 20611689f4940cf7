//! What the tests of this crate start: a keeper, or with `mcp` a server of a few tools, written by hand so that a mistake of the
//! client's crate is not made twice.

use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;

use serde_json::{Value, json};

fn main() -> ExitCode {
    if let Some(code) = openclaw_exec::keeper::live_if_meant() {
        return code;
    }
    if std::env::args().nth(1).as_deref() != Some("mcp") {
        return ExitCode::FAILURE;
    }
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    let mut errors = io::stderr();
    errors.write_all(b"the server has begun\n")?;
    let mut has_grown = false;
    for line in io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let Some(id) = request.get("id") else {
            continue;
        };
        let result = match request["method"].as_str().unwrap_or_default() {
            "initialize" => json!({
                "protocolVersion": request["params"]["protocolVersion"],
                "capabilities": { "tools": { "listChanged": true } },
                "serverInfo": { "name": "test", "version": "1" },
            }),
            "tools/list" => {
                let tool = |name: &str| json!({"name": name, "description": name, "inputSchema": {"type": "object"}});
                let mut tools = ["echo", "end", "hang", "env", "grow"].map(tool).to_vec();
                tools.extend(has_grown.then(|| tool("grown")));
                json!({ "tools": tools })
            }
            "tools/call" => match request["params"]["name"].as_str() {
                Some("echo") => {
                    let secret = std::env::vars().find(|(name, _)| name == "SECRET");
                    let secret = secret.map(|(_, value)| value).unwrap_or_default();
                    let said = format!("{} {secret}", request["params"]["arguments"]);
                    json!({ "content": [{ "type": "text", "text": said }] })
                }
                Some("env") => {
                    let all = std::env::vars().map(|(name, value)| format!("{name}={value}"));
                    let said = all.collect::<Vec<_>>().join(" ");
                    json!({ "content": [{ "type": "text", "text": said }] })
                }
                Some("grow") => {
                    has_grown = true;
                    let told =
                        json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
                    let mut out = io::stdout().lock();
                    out.write_all(format!("{told}\n").as_bytes())?;
                    json!({ "content": [] })
                }
                Some("hang") => continue,
                Some(_) | None => return Ok(()),
            },
            _ => json!({}),
        };
        let mut out = io::stdout().lock();
        let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
        out.write_all(format!("{answer}\n").as_bytes())?;
        out.flush()?;
    }
    Ok(())
}
