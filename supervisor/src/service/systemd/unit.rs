//! The units that we write. Each line that is a decision has its reason above it, for whoever reads the file.        (pure)

use openclaw_shared::exit::Exit;

use super::quote;
use crate::service::definition::Definition;

/// What systemd refuses in the path of a program, however it is written.
const UNSAFE: [char; 3] = ['"', '\'', '\\'];

/// Whether systemd would start the program at all.
///
/// # Errors
/// With a sentence.
pub(crate) fn check(definition: &Definition) -> Result<(), String> {
    match definition.program.to_string_lossy().contains(UNSAFE) {
        true => Err(format!(
            "systemd starts no program whose path has quotes or backslashes: {}",
            definition.program.display()
        )),
        false => Ok(()),
    }
}

/// The service.
pub(crate) fn service(definition: &Definition) -> String {
    let user = definition.user.as_deref();
    let systemctl = if user.is_some() {
        "sudo systemctl"
    } else {
        "systemctl --user"
    };
    let unit = &definition.names.unit;
    let mut out = Lines::default();
    out.comment(&[
        "Written by \"openclaw gateway install\". What you want otherwise belongs into a drop-in, which is kept:",
        &format!("{systemctl} edit {unit}"),
        "Port, token and settings are read from the configuration at each start; none of them is in here.",
    ]);
    out.section("Unit");
    out.set("Description", &quote::path(&definition.description));
    out.comment(&["Addresses of the network can be listened on only when they are there."]);
    out.set("After", "network-online.target");
    out.set("Wants", "network-online.target");
    if !definition.sockets.is_empty() {
        out.comment(&["The service manager holds the ports, so that connections wait even while the service is stopped."]);
        out.set("Requires", &definition.names.socket);
        out.set("After", &definition.names.socket);
    }
    out.comment(&[
        "A service that ends again and again is given up and called failed, so that somebody notices.",
        &format!("After the cause is mended: {systemctl} reset-failed {unit}"),
    ]);
    out.set("StartLimitIntervalSec", "300");
    out.set("StartLimitBurst", "20");

    out.section("Service");
    out.comment(&["Started means that every process of the gateway serves, not that one exists."]);
    out.set("Type", "notify");
    out.comment(&["Only the supervisor speaks for the service; nothing that a tool starts can."]);
    out.set("NotifyAccess", "main");
    if let Some(user) = user {
        out.comment(&["Everything runs with the rights of this user, agents' tools included."]);
        out.set("User", &quote::path(user));
    }
    out.set("ExecStart", &command(definition));
    out.comment(&["Reads the configuration again. Edits are noticed without it."]);
    out.set("ExecReload", "/bin/kill -HUP $MAINPID");
    out.comment(&["Agents' tools begin in the home of the user, not in the root folder."]);
    out.set(
        "WorkingDirectory",
        &quote::path(&definition.home.to_string_lossy()),
    );
    out.comment(&["Which instance this is, and where tools are looked for. The last three tell what has written this file."]);
    for (name, value) in &definition.environment {
        out.set("Environment", &quote::word(&format!("{name}={value}")));
    }
    out.comment(&["It comes back however it ended, but for \"stop\"."]);
    out.set("Restart", "always");
    out.set("RestartSec", "5");
    out.comment(&[
        "Trying again does not mend these: a profile that is none, another instance in the same folders, a configuration",
        "that cannot be used, a start that would be unsafe.",
    ]);
    out.set("RestartPreventExitStatus", &needs_operator());
    out.comment(&["Each process has 30 seconds to get ready, and the configuration before this one gets its turn too."]);
    out.set("TimeoutStartSec", "120");
    out.comment(&["A stop lets the gateway finish what it has accepted. When supervisor.drainTimeoutMs asks for more, the supervisor says so."]);
    out.set("TimeoutStopSec", "60");
    out.comment(&["The supervisor says twice in this time that it lives. One that does not is ended at once, and started again."]);
    out.set("WatchdogSec", "60");
    out.set("WatchdogSignal", "SIGKILL");
    out.comment(&[
        "A stop is said to the supervisor alone, which ends its processes in order; what is left after that is killed, tools",
        "in the background included.",
    ]);
    out.set("KillMode", "mixed");
    out.comment(&["A tool that takes all the memory is killed for it; the service goes on."]);
    out.set("OOMPolicy", "continue");
    out.comment(&[
        "The memory of these processes holds secrets, and none of it is written to disk when one of them dies. A tool that wants",
        "core files can ask for them.",
    ]);
    out.set("LimitCORE", "0:infinity");
    out.comment(&[
        "There is no NoNewPrivileges, ProtectHome, PrivateTmp or filter of system calls in here: it would hold for every tool of an",
        "agent as well (sudo, containers, browsers with sandboxes of their own). What agents may execute is theirs to be told:",
        "openclaw approvals.",
    ]);

    out.section("Install");
    out.set(
        "WantedBy",
        if user.is_some() {
            "multi-user.target"
        } else {
            "default.target"
        },
    );
    out.text
}

/// The sockets, when the service manager is to hold them.
pub(crate) fn socket(definition: &Definition) -> String {
    let mut out = Lines::default();
    out.comment(&[
        "Written by \"openclaw gateway install --socket\". The addresses are those of the configuration at that time; after a change",
        "of gateway.port or gateway.bind install again with --force.",
    ]);
    out.section("Unit");
    out.set(
        "Description",
        &quote::path(&format!("Ports of {}", definition.description)),
    );
    out.section("Socket");
    for address in &definition.sockets {
        out.set("ListenStream", &address.to_string());
    }
    out.comment(&["One address, one socket: the IPv6 ones take no IPv4 connections."]);
    out.set("BindIPv6Only", "ipv6-only");
    out.comment(&["Deep enough for every client to come back at once."]);
    out.set("Backlog", "1024");
    out.comment(&["Handed down as they are; the supervisor accepts nothing itself."]);
    out.set("Accept", "no");
    out.section("Install");
    out.set("WantedBy", "sockets.target");
    out.text
}

/// The command line, for systemd's reader.
fn command(definition: &Definition) -> String {
    let program = definition.program.to_string_lossy();
    let all =
        std::iter::once(program.as_ref()).chain(definition.arguments.iter().map(String::as_str));
    let words: Vec<String> = all
        .enumerate()
        .map(|(index, text)| {
            // A plain argument is easier to read without quotes.
            let plain = index > 0
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if plain {
                text.to_owned()
            } else {
                quote::word(text)
            }
        })
        .collect();
    // The prefix switches variables off; doubling the sign would be wrong in the path of the program.
    let prefix = if words.iter().any(|word| word.contains('$')) {
        ":"
    } else {
        ""
    };
    format!("{prefix}{}", words.join(" "))
}

/// The exit codes after which only a person can help.
fn needs_operator() -> String {
    let codes: Vec<String> = Exit::ALL
        .into_iter()
        .filter(|exit| exit.needs_operator())
        .map(|exit| exit.code().to_string())
        .collect();
    codes.join(" ")
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn section(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&format!("[{name}]\n"));
    }

    fn set(&mut self, name: &str, value: &str) {
        self.text.push_str(&format!("{name}={value}\n"));
    }

    fn comment(&mut self, lines: &[&str]) {
        for line in lines {
            self.text.push_str(&format!("# {line}\n"));
        }
    }
}
