//! The command as one text, which callers may send beside the argument vector.                         (pure)
//!
//! It is what people are shown, so it must say what runs. It is never judged and never executed.

use super::script;

/// Whether the argument vector follows from the text: a shell is given it, or it has the same words.
pub(crate) fn describes(raw: &str, argv: &[String]) -> bool {
    let in_shell = match argv {
        [shell, flag, text] => {
            let shell = shell.rsplit('/').next().unwrap_or(shell);
            ["sh", "bash", "dash"].contains(&shell)
                && ["-c", "-lc"].contains(&flag.as_str())
                && text.trim() == raw.trim()
        }
        _ => false,
    };
    in_shell || script::words(raw).is_some_and(|words| words == argv)
}

#[cfg(test)]
mod tests {
    use super::describes;

    #[test]
    fn a_text_describes_what_runs_or_is_refused() {
        for (raw, argv, fits) in [
            ("ls -l", &["/bin/sh", "-lc", "ls -l"][..], true),
            ("echo $HOME | cat", &["sh", "-c", "echo $HOME | cat"], true),
            ("echo 'a b'", &["echo", "a b"], true),
            // The policy judged the first and the second ran.
            ("head -1", &["/bin/sh", "-c", "id"], false),
            ("head -1", &["/bin/sh", "-c", "head -1; id"], false),
            ("head -1", &["/bin/sh", "-c", "head -1", "id"], false),
            ("head -1", &["/bin/sh", "-ec", "head -1"], false),
            ("head -1", &["/tmp/x", "-c", "head -1"], false),
            ("echo a b", &["echo", "a b"], false),
            ("echo $HOME", &["echo", "/root"], false),
            ("", &["ls"], false),
        ] {
            let words: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(describes(raw, &words), fits, "{raw:?} {argv:?}");
        }
    }
}
