//! When a command text and an argument vector are the same thing.                         (pure)
//!
//! Clients that know only the text show it to people, and the vector is what runs. The text counts only where a shell and the
//! vector agree on its meaning, so that nobody approves one thing and gets another. The gateway and the nodes read it here, so that
//! what one takes the other does not refuse.

/// Whether the text names exactly this vector, however it is read.
#[must_use]
pub fn is_exactly(text: &str, argv: &[String]) -> bool {
    script_of(argv, &["sh"]).is_some_and(|script| script == text)
        || plain(argv).is_some_and(|plain| plain == text)
}

/// Whether the text is a fair rendering of the vector: what a client sends beside it as `rawCommand`. It decides nothing; a text
/// that shows something else is refused.
#[must_use]
pub fn describes(text: &str, argv: &[String]) -> bool {
    let text = text.trim();
    script_of(argv, &["sh", "bash", "dash"]).is_some_and(|script| script.trim() == text)
        || quoted(argv) == text
        || in_single_quotes(argv) == text
        || argv.join(" ").trim() == text
}

/// The script that one of these shells is given, when the vector is just that. A shell of another folder is another program.
fn script_of<'a>(argv: &'a [String], shells: &[&str]) -> Option<&'a str> {
    match argv {
        [shell, flag, script] if matches!(flag.as_str(), "-lc" | "-c") => {
            let name = ["/bin/", "/usr/bin/"]
                .iter()
                .find_map(|folder| shell.strip_prefix(folder))
                .unwrap_or(shell);
            shells.contains(&name).then_some(script)
        }
        [shell, d, s, c, script]
            if shell.eq_ignore_ascii_case("cmd.exe")
                && [d.as_str(), s.as_str(), c.as_str()] == ["/d", "/s", "/c"] =>
        {
            Some(script)
        }
        _ => None,
    }
}

/// The vector as a text, when none of its words means anything to a shell.
fn plain(argv: &[String]) -> Option<String> {
    let is_plain = |word: &String| {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+:,./- =".contains(&byte);
        word.trim() == word && word.bytes().all(harmless)
    };
    // A shell takes a first word with `=` for a variable.
    let names_program = argv
        .first()
        .is_some_and(|name| !name.is_empty() && !name.contains('='));
    (names_program && argv.iter().all(is_plain)).then(|| quoted(argv))
}

/// The vector as clients of the protocol write it: words with blanks in double quotes.
fn quoted(argv: &[String]) -> String {
    let words: Vec<String> = argv
        .iter()
        .map(|word| {
            let word = word.trim();
            if word.is_empty()
                || word.contains(|character: char| character.is_whitespace() || character == '"')
            {
                format!("\"{}\"", word.replace('"', "\\\""))
            } else {
                word.to_owned()
            }
        })
        .collect();
    words.join(" ")
}

/// The vector as a shell reads it back word for word.
fn in_single_quotes(argv: &[String]) -> String {
    let words: Vec<String> = argv
        .iter()
        .map(|word| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
            if !word.is_empty() && word.bytes().all(is_plain) {
                word.clone()
            } else {
                format!("'{}'", word.replace('\'', "'\\''"))
            }
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{describes, is_exactly};

    #[test]
    fn rule_49_a_text_stands_for_a_vector_only_when_it_can_mean_nothing_else() {
        for (text, argv, exactly, fairly) in [
            ("ls -l", &["ls", "-l"][..], true, true),
            ("ls -l", &["/bin/sh", "-lc", "ls -l"], true, true),
            ("echo \"a b\"", &["echo", "a b"], true, true),
            ("echo \"\" x", &["echo", "", "x"], true, true),
            ("echo a b", &["echo", "a b"], false, true),
            ("echo a b", &["echo", "a", "b"], true, true),
            ("echo $HOME", &["echo", "$HOME"], false, true),
            ("echo $HOME", &["/bin/sh", "-lc", "echo $HOME"], true, true),
            ("echo \"$(id) x\"", &["echo", "$(id) x"], false, true),
            ("A=1 ls", &["A=1", "ls"], false, true),
            ("dd if=a", &["dd", "if=a"], true, true),
            ("echo 'a $b'", &["echo", "a $b"], false, true),
            ("ls; id", &["ls;", "id"], false, true),
            ("ls *", &["ls", "*"], false, true),
            ("ls  -l", &["ls", "-l"], false, false),
            (" ls", &["/bin/sh", "-c", "ls"], false, true),
            ("head -1", &["/bin/sh", "-c", "id"], false, false),
            ("ls", &["/tmp/sh", "-c", "ls"], false, false),
            ("ls", &["/usr/bin/sh", "-c", "ls"], true, true),
            ("ls", &["bash", "-lc", "ls"], false, true),
            ("ls", &["bash", "-x", "ls"], false, false),
            ("echo 'a b'", &["echo", "a b"], false, true),
            ("head -1", &["/bin/sh", "-c", "head -1; id"], false, false),
            ("echo $HOME", &["echo", "/root"], false, false),
            ("ls", &["/bin/sh", "-c", "ls", "x"], false, false),
            ("dir", &["cmd.exe", "/d", "/s", "/c", "dir"], true, true),
            ("", &[], false, true),
        ] {
            let words: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(is_exactly(text, &words), exactly, "{text:?} {argv:?}");
            assert_eq!(describes(text, &words), fairly, "{text:?} {argv:?}");
        }
    }
}
