//! The property list of a launchd agent, written and read.                                                        (pure)
//!
//! - `RunAtLoad`, `KeepAlive`: it comes back however it ended. launchd knows no exit code after which it should not; a start that is
//!   refused is tried again every `ThrottleInterval` seconds and says so in its error log, as the runbook wants.
//! - `ExitTimeOut`: a stop lets the gateway finish what it has accepted; launchd's own patience ends after 20 seconds.
//! - `StandardOutPath`, `StandardErrorPath`: launchd keeps no log of what is printed.

use std::io;

use plist::{Dictionary, Value};

use crate::service::definition::Definition;

/// The property list.
///
/// # Errors
/// When it cannot be written as XML.
pub(crate) fn plist(definition: &Definition) -> Result<String, plist::Error> {
    let text = |text: &str| Value::String(text.to_owned());
    let path = |path: &std::path::Path| Value::String(path.to_string_lossy().into_owned());
    let mut keys = Dictionary::new();
    let mut set = |name: &str, value: Value| keys.insert(name.to_owned(), value);
    set("Label", text(&definition.names.label));
    set("Comment", text(&definition.description));
    set("RunAtLoad", Value::Boolean(true));
    set("KeepAlive", Value::Boolean(true));
    set("ThrottleInterval", Value::Integer(10.into()));
    set("ExitTimeOut", Value::Integer(60.into()));
    let program = std::iter::once(path(&definition.program));
    let arguments = definition.arguments.iter().map(|argument| text(argument));
    set(
        "ProgramArguments",
        Value::Array(program.chain(arguments).collect()),
    );
    set("WorkingDirectory", path(&definition.home));
    set(
        "StandardOutPath",
        path(&definition.logs.join("gateway.log")),
    );
    set(
        "StandardErrorPath",
        path(&definition.logs.join("gateway.err.log")),
    );
    let mut environment: Dictionary = definition
        .environment
        .iter()
        .map(|(name, value)| match name.as_str() {
            "PATH" => (name.clone(), text(&with_homebrew(value))),
            _ => (name.clone(), text(value)),
        })
        .collect();
    environment.insert(
        "OPENCLAW_LAUNCHD_LABEL".to_owned(),
        text(&definition.names.label),
    );
    set("EnvironmentVariables", Value::Dictionary(environment));
    let mut written = Vec::new();
    Value::Dictionary(keys).to_writer_xml(&mut written)?;
    written.push(b'\n');
    Ok(String::from_utf8_lossy(&written).into_owned())
}

/// The search path of a Mac: most of what tools are is installed there.
fn with_homebrew(path: &str) -> String {
    path.replacen("/usr/local/bin", "/opt/homebrew/bin:/usr/local/bin", 1)
}

/// What an agent starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) working_dir: Option<String>,
}

impl Start {
    /// Reads the text of a property list; one that is none says nothing.
    pub(crate) fn of(text: &str) -> Self {
        let Ok(Value::Dictionary(keys)) = Value::from_reader_xml(io::Cursor::new(text)) else {
            return Self::default();
        };
        let string = |value: &Value| value.as_string().map(str::to_owned);
        let command = keys.get("ProgramArguments").and_then(Value::as_array);
        let environment = keys
            .get("EnvironmentVariables")
            .and_then(Value::as_dictionary);
        Self {
            command: command.into_iter().flatten().filter_map(string).collect(),
            environment: environment
                .into_iter()
                .flatten()
                .filter_map(|(name, value)| Some((name.clone(), string(value)?)))
                .collect(),
            working_dir: keys.get("WorkingDirectory").and_then(string),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::definition::tests::definition;

    #[test]
    fn every_character_that_xml_knows_comes_back_as_it_was() {
        let mut definition = definition("rescue", "/Users/a & <b> \"c\" 'd'", &[]);
        definition.program = "/Applications/Open Claw.app/x&y".into();
        let text = plist(&definition).unwrap();
        let start = Start::of(&text);
        assert_eq!(
            start.command,
            ["/Applications/Open Claw.app/x&y", "gateway", "run"]
        );
        assert_eq!(
            start.working_dir.as_deref(),
            Some("/Users/a & <b> \"c\" 'd'")
        );
        let mut expected = definition.environment.clone();
        for (_, value) in expected.iter_mut().filter(|(name, _)| name == "PATH") {
            *value = with_homebrew(value);
        }
        expected.push((
            "OPENCLAW_LAUNCHD_LABEL".to_owned(),
            "bot.molt.rescue".to_owned(),
        ));
        assert_eq!(start.environment, expected);
    }

    #[test]
    fn the_keys_are_the_ones_that_launchd_reads() {
        let text = plist(&definition("", "/Users/me", &[])).unwrap();
        let value = Value::from_reader_xml(io::Cursor::new(&text)).unwrap();
        let keys = value.as_dictionary().unwrap();
        let names: Vec<&str> = keys.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "Label",
                "Comment",
                "RunAtLoad",
                "KeepAlive",
                "ThrottleInterval",
                "ExitTimeOut",
                "ProgramArguments",
                "WorkingDirectory",
                "StandardOutPath",
                "StandardErrorPath",
                "EnvironmentVariables",
            ]
        );
        assert_eq!(keys["Label"].as_string(), Some("bot.molt.gateway"));
        assert_eq!(keys["KeepAlive"].as_boolean(), Some(true));
        assert_eq!(
            keys["StandardErrorPath"].as_string(),
            Some("/Users/me/.openclaw/logs/gateway.err.log")
        );
        assert!(!text.contains("TOKEN"), "{text}");
    }

    #[test]
    fn what_is_no_property_list_says_nothing() {
        assert_eq!(Start::of("<plist>"), Start::default());
    }
}
