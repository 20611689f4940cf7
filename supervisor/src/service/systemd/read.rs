//! What a unit file says, ours or another's. Nothing here fails: a file that makes no sense says nothing.          (pure)

use super::quote;

/// What a unit starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) working_dir: Option<String>,
}

impl Start {
    /// Reads the text of a unit.
    pub(crate) fn of(text: &str) -> Self {
        let mut start = Self::default();
        let mut section = "";
        // A backslash at the end joins two lines.
        let joined = text.replace("\\\n", " ");
        for line in joined.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                continue;
            };
            match (section, name.trim()) {
                ("[Service]", "ExecStart") => {
                    let value = value.trim().trim_start_matches(['@', '-', ':', '+', '!']);
                    start.command = quote::words(value);
                }
                ("[Service]", "Environment") => {
                    let pairs = quote::words(value);
                    let pairs = pairs.iter().filter_map(|pair| pair.split_once('='));
                    start
                        .environment
                        .extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
                }
                ("[Service]", "WorkingDirectory") => {
                    let value = value.trim().trim_start_matches('-').replace("%%", "%");
                    start.working_dir = Some(value).filter(|value| !value.is_empty());
                }
                (_, _) => {}
            }
        }
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::definition::tests::definition;
    use crate::service::systemd::unit;

    #[test]
    fn what_we_write_is_read_back() {
        let mut definition = definition("rescue", "/home/50% \"me\" $HOME", &[]);
        definition.program = "/opt/a b/$x%/open\\claw".into();
        let start = Start::of(&unit::service(&definition));
        assert_eq!(start.command, ["/opt/a b/$x%/open\\claw", "gateway", "run"]);
        assert_eq!(start.environment, definition.environment);
        assert_eq!(start.working_dir.as_deref(), Some("/home/50% \"me\" $HOME"));
    }

    #[test]
    fn a_unit_of_the_node_implementation_is_read_too() {
        let text = "[Unit]\nDescription=x\n[Service]\nExecStart=\"/usr/bin/node\" \"/lib/dist/index.js\" gateway --port 20011\n\
                    Environment=\"HOME=/home/me\"\nEnvironment=OPENCLAW_GATEWAY_PORT=20011\n";
        let start = Start::of(text);
        assert_eq!(start.command[0], "/usr/bin/node");
        assert!(
            start
                .environment
                .contains(&("OPENCLAW_GATEWAY_PORT".to_owned(), "20011".to_owned()))
        );
    }
}
