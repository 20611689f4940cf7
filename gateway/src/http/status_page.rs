//! `/`: one page that says who answers here. It holds no secret and no path, because anybody on this machine may read it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, header};
use openclaw_shared::clock::Moment;
use openclaw_shared::control::ChildState;
use sha2::{Digest as _, Sha256};
use warp::reply::Response as Reply;

use crate::context::Context;
use crate::phase::Phase;

const STYLE: &str = include_str!("status_page.css");

/// Only our own style applies; there is no script at all.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    );
    HeaderValue::from_str(&policy).expect("base64 is a valid header text")
});

pub(super) fn page(context: &Context) -> Reply {
    let mut reply = Reply::new(html(context).into());
    let headers = reply.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    reply
}

fn html(context: &Context) -> String {
    let (mark, state) = match context.phases.get() {
        Phase::Active => ("good", "Running"),
        Phase::Standby => ("wait", "Standing by"),
        Phase::Draining => ("wait", "Being replaced"),
    };
    let (clients, _) = context.hub.counts();
    let uptime = uptime(Moment::now().since(context.started).as_secs());
    let mut children = String::new();
    for child in &context.health(|health| health.fleet().clone()).children {
        let mark = match child.state {
            ChildState::Active => "good",
            ChildState::Starting | ChildState::Standby | ChildState::Draining => "wait",
            ChildState::Backoff | ChildState::Failed => "bad",
            ChildState::Disabled | ChildState::Stopped => "off",
        };
        let _ = write!(
            children,
            r#"<tr><th scope="row">{}</th><td><span class="dot {mark}"></span>{}</td><td>{}</td></tr>"#,
            child.name, child.state, child.restarts
        );
    }
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>OpenClaw gateway</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>OpenClaw gateway</h1>
<p class="state"><span class="dot {mark}"></span>{state}</p>
<dl>
<div><dt>Version</dt><dd>{version}</dd></div>
<div><dt>Up for</dt><dd>{uptime}</dd></div>
<div><dt>Clients</dt><dd>{clients}</dd></div>
</dl>
<table>
<thead><tr><th scope="col">Process</th><th scope="col">State</th><th scope="col">Restarts</th></tr></thead>
<tbody>{children}</tbody>
</table>
<p class="hint">Talk to it from a terminal: <code>openclaw status</code>, <code>openclaw health</code>, <code>openclaw logs --follow</code>.</p>
</main>
</body>
</html>
"#,
        version = escape(&context.instance.version),
    )
}

fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::{escape, uptime};

    #[test]
    fn uptime_reads_like_a_sentence() {
        let seen = [5, 65, 3_700, 90_061].map(uptime);
        assert_eq!(seen, ["5 s", "1 min", "1 h 1 min", "1 d 1 h"]);
    }

    #[test]
    fn markup_is_text() {
        assert_eq!(escape("<b a=\"&\">"), "&lt;b a=&quot;&amp;&quot;&gt;");
    }
}
