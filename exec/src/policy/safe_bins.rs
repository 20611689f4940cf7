//! Programs that need no entry in the allow-list as long as they only work on their standard input.          (pure)
//!
//! Each has a list of the options that keep it so. An option that is not listed may read a file, write one or run a program, and an
//! argument more than listed would be taken for the name of a file.

/// The options of one program.
struct Habits {
    name: &'static str,
    /// One-letter options without a value.
    flags: &'static str,
    /// One-letter options with a value, glued to it or before it.
    valued: &'static str,
    /// Long options without a value.
    long: &'static [&'static str],
    /// How many arguments are no options.
    operands: usize,
}

const HABITS: [Habits; 9] = [
    Habits {
        name: "cut",
        flags: "szn",
        valued: "bcdf",
        long: &["--complement", "--only-delimited"],
        operands: 0,
    },
    Habits {
        name: "grep",
        flags: "EFGPHbchilnoqsvwxyz",
        valued: "ABCem",
        long: &[
            "--count",
            "--ignore-case",
            "--invert-match",
            "--line-number",
            "--only-matching",
            "--quiet",
        ],
        operands: 1,
    },
    Habits {
        name: "head",
        flags: "qvz",
        valued: "cn",
        long: &["--quiet", "--verbose"],
        operands: 0,
    },
    Habits {
        name: "jq",
        flags: "CMSacejnrs",
        valued: "",
        long: &[
            "--compact-output",
            "--null-input",
            "--raw-output",
            "--slurp",
            "--sort-keys",
        ],
        operands: 1,
    },
    Habits {
        name: "sort",
        flags: "MRVbdfghinrsuz",
        valued: "kt",
        long: &["--reverse", "--numeric-sort", "--unique", "--ignore-case"],
        operands: 0,
    },
    Habits {
        name: "tail",
        flags: "qvz",
        valued: "cn",
        long: &["--quiet", "--verbose"],
        operands: 0,
    },
    Habits {
        name: "tr",
        flags: "Ccdst",
        valued: "",
        long: &["--delete", "--squeeze-repeats", "--complement"],
        operands: 2,
    },
    Habits {
        name: "uniq",
        flags: "Dcdiuz",
        valued: "fsw",
        long: &["--count", "--repeated", "--unique", "--ignore-case"],
        operands: 0,
    },
    Habits {
        name: "wc",
        flags: "Lclmw",
        valued: "",
        long: &["--bytes", "--chars", "--lines", "--words"],
        operands: 0,
    },
];

/// What a filter of jq must not name: the environment, other files, and modules.
const JQ_REACHES: [&str; 6] = [
    "env",
    "ENV",
    "input_filename",
    "import",
    "include",
    "modulemeta",
];

/// Whether the program works on nothing but its standard input. `is_file` says whether an argument names something that is there.
pub(crate) fn is_safe(name: &str, args: &[String], is_file: impl Fn(&str) -> bool) -> bool {
    let Some(habits) = HABITS.iter().find(|habits| habits.name == name) else {
        return false;
    };
    if args.iter().any(|arg| looks_like_path(arg) || is_file(arg)) {
        return false;
    }
    let mut operands = Vec::new();
    let mut pattern_given = false;
    let mut rest = args.iter().map(String::as_str);
    while let Some(arg) = rest.next() {
        if arg == "--" {
            operands.extend(rest.by_ref());
        } else if arg == "-" || !arg.starts_with('-') {
            operands.push(arg);
        } else if arg.starts_with("--") {
            if !habits.long.contains(&arg) {
                return false;
            }
        } else if !is_count(habits, arg) {
            match letters(habits, &arg[1..]) {
                Letters::Known => {}
                Letters::Valued(option) => {
                    if rest.next().is_none() {
                        return false;
                    }
                    pattern_given |= option == 'e';
                }
                Letters::Glued(option) => pattern_given |= option == 'e',
                Letters::Unknown => return false,
            }
        }
    }
    let pattern_given = pattern_given && name == "grep";
    let allowed = habits.operands - usize::from(pattern_given);
    let reaches = name == "jq"
        && operands
            .iter()
            .any(|filter| JQ_REACHES.iter().any(|word| filter.contains(word)));
    operands.len() <= allowed && !reaches
}

/// `-5`, which `head` and `tail` still take.
fn is_count(habits: &Habits, arg: &str) -> bool {
    ["head", "tail", "grep"].contains(&habits.name)
        && arg[1..].bytes().all(|byte| byte.is_ascii_digit())
}

enum Letters {
    Known,
    /// The last one takes the next argument.
    Valued(char),
    /// One has its value behind it.
    Glued(char),
    Unknown,
}

fn letters(habits: &Habits, cluster: &str) -> Letters {
    for (at, letter) in cluster.char_indices() {
        if habits.flags.contains(letter) {
            continue;
        }
        if !habits.valued.contains(letter) {
            return Letters::Unknown;
        }
        return if at + letter.len_utf8() == cluster.len() {
            Letters::Valued(letter)
        } else {
            Letters::Glued(letter)
        };
    }
    Letters::Known
}

fn looks_like_path(arg: &str) -> bool {
    arg.contains('/') || arg.starts_with('~') || arg == ".."
}

#[cfg(test)]
mod tests {
    use super::is_safe;

    #[test]
    fn only_what_works_on_standard_input_is_safe() {
        for (line, safe) in [
            ("head", true),
            ("head -1", true),
            ("head -n 5", true),
            ("head -n5 -q", true),
            ("head notes", false),
            ("head /etc/passwd", false),
            ("head -n 5 new", false),
            ("grep root", true),
            ("grep -in -A 3 root", true),
            ("grep -e a -e b", true),
            ("grep -e a b", false),
            ("grep -ea b c", false),
            ("grep root notes", false),
            ("grep root new", false),
            ("grep -r root", false),
            ("grep -fnotes", false),
            ("grep -f x", false),
            ("grep --file=x root", false),
            ("grep a/b", false),
            ("sort -rn -k 2", true),
            ("sort -o out", false),
            ("sort -oout", false),
            ("sort --output=out", false),
            ("sort --compress-program=id", false),
            ("uniq -c", true),
            ("uniq - out", false),
            ("tail -f", false),
            ("tail -5", true),
            ("tr a-z A-Z", true),
            ("tr a b c", false),
            ("wc -l", true),
            ("wc --files0-from=x", false),
            ("cut -d: -f 1", true),
            ("jq .", true),
            ("jq -r .a.b", true),
            ("jq -n env", false),
            ("jq -n $ENV.HOME", false),
            ("jq -f prog", false),
            ("jq --slurpfile a notes .", false),
            ("jq . notes", false),
            ("cat", false),
            ("ls", false),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let args: Vec<String> = words[1..].iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(
                is_safe(words[0], &args, |name| name == "notes"),
                safe,
                "{line}"
            );
        }
    }
}
