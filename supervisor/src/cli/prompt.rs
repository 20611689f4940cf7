//! Questions to a person at a terminal, one line each.
//!
//! Questions go to standard error, because standard output is for answers. Nothing that is secret is shown while it is typed, and
//! whatever ends or interrupts the question gives the terminal back as it was.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use openclaw_shared::secret::Secret;
use tokio::sync::oneshot;

use super::failure::{Failure, Kind};
use super::interrupt::interrupted;

mod dark;

use self::dark::Dark;

/// Something that can be chosen: what is typed for it, and what it means.
pub(crate) type Choice<'a> = (&'a str, &'a str);

/// Whether there is a person to ask.
pub(crate) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Says something to the person.
pub(crate) fn say(text: &str) {
    // Nobody is left to be told when standard error is gone; the next question finds out.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Asks for a line. Enter alone is none.
///
/// # Errors
/// When the person has left, or the command is to end.
pub(crate) async fn line(question: &str, default: &str) -> Result<Option<String>, Failure> {
    let asked = match default {
        "" => format!("{question}: "),
        default => format!("{question} [{default}]: "),
    };
    let line = read(&asked, false).await?;
    let line = line.trim();
    Ok((!line.is_empty()).then(|| line.to_owned()))
}

/// Asks for something that nobody should see. Enter alone is none.
///
/// # Errors
/// As [`line`].
pub(crate) async fn secret(question: &str) -> Result<Option<Secret<String>>, Failure> {
    let line = read(&format!("{question} (it is not shown): "), true).await?;
    let line = line.trim();
    Ok((!line.is_empty()).then(|| Secret::new(line.to_owned())))
}

/// Asks for a yes or a no until it is one. Enter alone is the default.
///
/// # Errors
/// As [`line`].
pub(crate) async fn yes(question: &str, default: bool) -> Result<bool, Failure> {
    let hint = if default { "[Y/n]" } else { "[y/N]" };
    loop {
        let line = read(&format!("{question} {hint} "), false).await?;
        if let Some(said) = yes_or_no(&line, default) {
            return Ok(said);
        }
        say("Please answer y or n.");
    }
}

/// Shows what can be chosen, and asks for one of it by its word or its number. Enter alone is the default.
///
/// # Errors
/// As [`line`].
pub(crate) async fn choose(
    question: &str,
    choices: &[Choice<'_>],
    default: usize,
) -> Result<usize, Failure> {
    let width = choices.iter().map(|(word, _)| word.chars().count()).max();
    let width = width.unwrap_or_default();
    for (index, (word, meaning)) in choices.iter().enumerate() {
        let row = format!("  {:>2}  {word:width$}  {meaning}", index + 1);
        say(row.trim_end());
    }
    let shown = choices.get(default).map_or("", |(word, _)| word);
    loop {
        let Some(said) = line(question, shown).await? else {
            return Ok(default);
        };
        if let Some(index) = chosen(&said, choices) {
            return Ok(index);
        }
        say("Please answer with one of the words or numbers above.");
    }
}

fn yes_or_no(line: &str, default: bool) -> Option<bool> {
    match line.trim().to_lowercase().as_str() {
        "" => Some(default),
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

fn chosen(said: &str, choices: &[Choice<'_>]) -> Option<usize> {
    let by_word = choices
        .iter()
        .position(|(word, _)| word.eq_ignore_ascii_case(said));
    let by_number = || {
        let number: usize = said.parse().ok()?;
        (1..=choices.len()).contains(&number).then(|| number - 1)
    };
    by_word.or_else(by_number)
}

/// Reads a line. A thread waits for it, so that a signal is heard meanwhile; the command ends with it then.
async fn read(question: &str, hidden: bool) -> Result<String, Failure> {
    // Both before the question: whoever sees it may answer at once, or leave.
    let interrupted = interrupted();
    let _dark = match hidden {
        true => Some(Dark::fall(question).map_err(|error| {
            Failure::new(
                Kind::Failed,
                format!("The terminal shows what is typed, and cannot be told not to: {error}."),
            )
        })?),
        false => None,
    };
    ask(question).map_err(|_| left())?;
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line).map(|_| line);
        // Whoever asked may have been interrupted.
        let _ = sender.send(read);
    });
    let said = tokio::select! {
        said = receiver => said,
        _ = interrupted => return Err(Failure::new(
            Kind::Failed,
            "\nInterrupted. What was done before stays, and the command can be run again.",
        )),
    };
    match said {
        Ok(Ok(line)) if line.ends_with('\n') => Ok(line),
        Ok(Ok(_) | Err(_)) | Err(_) => Err(left()),
    }
}

fn ask(question: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question}").and_then(|()| stderr.flush())
}

fn left() -> Failure {
    Failure::new(
        Kind::Failed,
        "\nNobody answers. What was done before stays, and the command can be run again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_words_numbers_or_nothing() {
        let choices = [("keep", ""), ("new", ""), ("7", "")];
        assert_eq!(chosen("KEEP", &choices), Some(0));
        assert_eq!(chosen("2", &choices), Some(1));
        assert_eq!(chosen("7", &choices), Some(2), "a word before a number");
        for wrong in ["0", "4", "x", "-1"] {
            assert_eq!(chosen(wrong, &choices), None, "{wrong}");
        }
        assert_eq!(yes_or_no("\n", true), Some(true));
        assert_eq!(yes_or_no(" No \n", true), Some(false));
        assert_eq!(yes_or_no("maybe", true), None);
    }
}
