//! The part of the shell's language that can be judged: plain commands joined by `&&`, `||`, `;` and `|`.        (pure)
//!
//! Everything that the shell would turn into something else, or into another command, makes the whole script unreadable: expansions
//! (inside double quotes too), redirections, subshells, background jobs, comments, braces, tildes and line breaks. The only
//! exception are `*` and `?` in arguments, which can name files but not programs.
//!
//! A script that was read is written again from its words, each of them quoted, so that nothing depends on the shell reading it
//! the same way.

/// A script that cannot be read, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) &'static str);

/// A word, as the shell would hand it to a program.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Word {
    /// Its text.
    pub(crate) text: String,
    /// How a shell is made to read exactly this.
    pub(crate) quoted: String,
    /// Whether the shell puts file names in its place.
    pub(crate) is_glob: bool,
    /// Whether a single quote is open at the end of `quoted`.
    is_open: bool,
}

impl Word {
    /// A word that means itself.
    pub(crate) fn literal(text: &str) -> Self {
        let mut word = Self::default();
        for character in text.chars() {
            word.push(character);
        }
        word.ended()
    }

    fn push(&mut self, character: char) {
        self.text.push(character);
        // Single quotes keep everything but themselves; those stand escaped between two quoted parts.
        match character {
            '\'' => {
                self.close();
                self.quoted.push_str("\\'");
            }
            other => {
                if !self.is_open {
                    self.quoted.push('\'');
                    self.is_open = true;
                }
                self.quoted.push(other);
            }
        }
    }

    fn push_glob(&mut self, character: char) {
        self.close();
        self.text.push(character);
        self.quoted.push(character);
        self.is_glob = true;
    }

    fn close(&mut self) {
        if self.is_open {
            self.quoted.push('\'');
            self.is_open = false;
        }
    }

    /// The word as it is when nothing follows.
    fn ended(mut self) -> Self {
        self.close();
        if self.quoted.is_empty() {
            self.quoted.push_str("''");
        }
        self
    }
}

/// What stands between two commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joint {
    /// `&&`
    And,
    /// `||`
    Or,
    /// `;`
    Then,
    /// `|`
    Pipe,
}

impl Joint {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::And => "&&",
            Self::Or => "||",
            Self::Then => ";",
            Self::Pipe => "|",
        }
    }
}

/// A script as plain commands: the first, and each further one with what joins it to the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) commands: Vec<Vec<Word>>,
    pub(crate) joints: Vec<Joint>,
}

/// Reads a script.
///
/// # Errors
/// When it is more than plain commands.
pub(crate) fn read(text: &str) -> Result<Script, Unreadable> {
    let mut reader = Reader::default();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' => reader.end_word(),
            '&' if characters.next_if_eq(&'&').is_some() => reader.join(Joint::And)?,
            '&' => return Err(Unreadable("a background job")),
            '|' if characters.next_if_eq(&'|').is_some() => reader.join(Joint::Or)?,
            '|' => reader.join(Joint::Pipe)?,
            ';' => reader.join(Joint::Then)?,
            '\'' => {
                let word = reader.word();
                loop {
                    match characters.next() {
                        None => return Err(Unreadable("an open quote")),
                        Some('\'') => break,
                        Some(inner) => word.push(visible(inner)?),
                    }
                }
            }
            '"' => {
                let word = reader.word();
                loop {
                    match characters.next() {
                        None => return Err(Unreadable("an open quote")),
                        Some('"') => break,
                        Some('$' | '`') => return Err(Unreadable("an expansion")),
                        Some('\\') => match characters.next() {
                            Some(escaped @ ('$' | '`' | '"' | '\\')) => word.push(escaped),
                            Some(other) => {
                                word.push('\\');
                                word.push(visible(other)?);
                            }
                            None => return Err(Unreadable("an open quote")),
                        },
                        Some(inner) => word.push(visible(inner)?),
                    }
                }
            }
            '\\' => match characters.next() {
                Some(escaped) => reader.word().push(visible(escaped)?),
                None => return Err(Unreadable("a backslash at the end")),
            },
            '*' | '?' => {
                if reader.is_program() {
                    return Err(Unreadable("a pattern in place of a program"));
                }
                reader.word().push_glob(character);
            }
            plain if plain.is_alphanumeric() || "_-./,:=+@%^".contains(plain) => {
                reader.word().push(plain);
            }
            '$' | '`' => return Err(Unreadable("an expansion")),
            '<' | '>' => return Err(Unreadable("a redirection")),
            '(' | ')' => return Err(Unreadable("a subshell")),
            other => {
                visible(other)?;
                return Err(Unreadable("a character with a meaning to the shell"));
            }
        }
    }
    reader.finish()
}

/// Line breaks and other invisible characters are never part of what is judged: they hide a command from whoever reads it.
fn visible(character: char) -> Result<char, Unreadable> {
    match character {
        '\t' => Ok(character),
        '\n' | '\r' => Err(Unreadable("a line break")),
        other if other.is_control() => Err(Unreadable("an invisible character")),
        other => Ok(other),
    }
}

#[derive(Default)]
struct Reader {
    commands: Vec<Vec<Word>>,
    joints: Vec<Joint>,
    command: Vec<Word>,
    word: Option<Word>,
}

impl Reader {
    fn word(&mut self) -> &mut Word {
        self.word.get_or_insert_default()
    }

    /// Whether the word being read is in the place of a program.
    fn is_program(&self) -> bool {
        self.command.is_empty()
    }

    fn end_word(&mut self) {
        if let Some(word) = self.word.take() {
            self.command.push(word.ended());
        }
    }

    fn join(&mut self, joint: Joint) -> Result<(), Unreadable> {
        self.end_word();
        if self.command.is_empty() {
            return Err(Unreadable("an operator without a command"));
        }
        self.commands.push(std::mem::take(&mut self.command));
        self.joints.push(joint);
        Ok(())
    }

    fn finish(mut self) -> Result<Script, Unreadable> {
        self.end_word();
        if self.command.is_empty() {
            // `a;` is `a`; any other operator waits for more.
            match self.joints.pop() {
                Some(Joint::Then) => {}
                Some(Joint::And | Joint::Or | Joint::Pipe) | None => {
                    return Err(Unreadable("an operator without a command"));
                }
            }
        } else {
            self.commands.push(self.command);
        }
        Ok(Script {
            commands: self.commands,
            joints: self.joints,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Unreadable, Word, read};

    #[track_caller]
    fn check(text: &str, commands: &[&[&str]]) {
        let script = read(text).unwrap_or_else(|why| panic!("{text}: {why:?}"));
        let found: Vec<Vec<&str>> = script
            .commands
            .iter()
            .map(|command| command.iter().map(|word| &*word.text).collect())
            .collect();
        assert_eq!(found, commands, "{text}");
    }

    #[test]
    fn plain_commands_are_split_as_the_shell_splits_them() {
        check("ls -l", &[&["ls", "-l"]]);
        check("  ls\t-l  ", &[&["ls", "-l"]]);
        check("a && b||c ; d|e", &[&["a"], &["b"], &["c"], &["d"], &["e"]]);
        check("a;", &[&["a"]]);
        check("echo 'a && b' \"c | d\"", &[&["echo", "a && b", "c | d"]]);
        check("echo a'b'\"c\"d", &[&["echo", "abcd"]]);
        check("echo '' \"\"", &[&["echo", "", ""]]);
        check(r#"echo "a\"b\\c\$d\`e\f""#, &[&["echo", "a\"b\\c$d`e\\f"]]);
        check(r"echo a\ b \$HOME \;", &[&["echo", "a b", "$HOME", ";"]]);
        check(
            "echo '$(id)' '`id`' '${x}'",
            &[&["echo", "$(id)", "`id`", "${x}"]],
        );
        check("ls *.rs a?c", &[&["ls", "*.rs", "a?c"]]);
        check("echo größe", &[&["echo", "größe"]]);
    }

    #[test]
    fn whatever_the_shell_would_turn_into_something_else_is_unreadable() {
        for text in [
            "echo $(id)",
            "echo \"$(id)\"",
            "echo `id`",
            "echo \"`id`\"",
            "echo ${x}",
            "echo \"${x}\"",
            "echo $x",
            "echo \"$x\"",
            "echo $",
            "echo $'a'",
            "echo $\"a\"",
            "echo \"\\\\$(id)\"",
            "a > b",
            "a >> b",
            "a < b",
            "a 2>&1",
            "a <<< b",
            "a <(b)",
            "(a)",
            "a ; (b)",
            "a &",
            "a & b",
            "a |& b",
            "{ a; }",
            "a {b,c}",
            "a ~/b",
            "a\nb",
            "a\\\nb",
            "'a\nb'",
            "\"a\nb\"",
            "a\rb",
            "a\0b",
            "a\x1bb",
            "a # b",
            "! a",
            "a [b]",
            "*/ls",
            "/bin/l?",
            "a ;; b",
            "&& a",
            "a &&",
            "a ||",
            "a |",
            "| a",
            "",
            "  ",
            ";",
            "'a",
            "\"a",
            "a\\",
            "echo \"a\\",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(read("a > b"), Err(Unreadable("a redirection")));
    }

    #[test]
    fn words_are_written_so_that_a_shell_reads_the_same() {
        for (text, quoted) in [
            ("a", "'a'"),
            ("", "''"),
            ("it's", "'it'\\''s'"),
            ("''", "\\'\\'"),
            ("$(id)", "'$(id)'"),
            ("a\\", "'a\\'"),
            ("a\\'b", "'a\\'\\''b'"),
        ] {
            assert_eq!(Word::literal(text).quoted, quoted, "{text}");
        }
        let script = read("ls 'a b'*.rs").unwrap();
        assert_eq!(script.commands[0][1].quoted, "'a b'*'.rs'");
    }
}
