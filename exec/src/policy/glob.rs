//! Patterns of absolute paths: `*` and `?` stay within a folder, `**` does not. Case counts.          (pure)

/// Whether the whole path fits the pattern.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pieces(pattern);
    let path: Vec<char> = path.chars().collect();
    // reachable[n]: the pieces so far can use up the first n characters. A table instead of recursion, because a pattern with
    // many stars would otherwise take exponential time.
    let mut reachable = vec![false; path.len() + 1];
    reachable[0] = true;
    for piece in pattern {
        let mut next = vec![false; path.len() + 1];
        for at in 0..=path.len() {
            let from_here = reachable[at];
            let stays = at > 0 && next[at - 1];
            next[at] = match piece {
                Piece::One(wanted) => at > 0 && reachable[at - 1] && path[at - 1] == wanted,
                Piece::AnyOne => at > 0 && reachable[at - 1] && path[at - 1] != '/',
                Piece::Within => from_here || (stays && path[at - 1] != '/'),
                Piece::Across => from_here || stays,
            };
        }
        reachable = next;
    }
    reachable[path.len()]
}

/// Whether the text is a pattern, and not the path of one file.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

#[derive(Clone, Copy)]
enum Piece {
    One(char),
    AnyOne,
    Within,
    Across,
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        pieces.push(match character {
            '*' if characters.next_if_eq(&'*').is_some() => {
                while characters.next_if_eq(&'*').is_some() {}
                Piece::Across
            }
            '*' => Piece::Within,
            '?' => Piece::AnyOne,
            other => Piece::One(other),
        });
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stay_within_a_folder_unless_doubled() {
        for (pattern, path, fits) in [
            ("/bin/echo", "/bin/echo", true),
            ("/bin/echo", "/bin/Echo", false),
            ("/bin/echo", "/bin/echo2", false),
            ("/bin/*", "/bin/ls", true),
            ("/bin/*", "/bin/x/ls", false),
            ("/opt/**", "/opt/a/b/c", true),
            ("/opt/**/run", "/opt/a/b/run", true),
            ("/opt/**/run", "/opt/run", false),
            ("/bin/?s", "/bin/ls", true),
            ("/bin?ls", "/bin/ls", false),
            ("**", "/anything/at/all", true),
            ("", "/bin/ls", false),
        ] {
            assert_eq!(matches(pattern, path), fits, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let pattern = "*a".repeat(100);
        assert!(!matches(&pattern, &"a".repeat(2_000).replace("aa", "ab")));
    }
}
