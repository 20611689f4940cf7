//! The folder of an agent: what its files tell it, and the first files of a new one. Blocks as long as the file system does.
//!
//! Only regular files that lie in the folder itself are read: a link is refused, wherever it leads. Nothing that exists is written to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

mod starters;

use starters::STARTERS;

/// How many characters of a file an agent is told when the configuration does not say.
pub const DEFAULT_LONGEST: usize = 20_000;
/// The largest file that is read, in bytes.
const LARGEST_FILE: u64 = 2 * 1024 * 1024;

/// Who is going to read the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The agent in its main session, alone with its person.
    Main,
    /// The agent in any other session, where its memory of the person is left out.
    Elsewhere,
    /// An agent that another one has started: it gets the rules and the tools, and nobody's character.
    Subagent,
}

/// A file of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceFile {
    /// Its name.
    pub name: &'static str,
    /// What is in it.
    pub content: Content,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text.
    Text {
        /// As much of it as an agent is told.
        text: String,
        /// How many characters there are.
        raw_chars: usize,
    },
    /// There is no such file.
    Missing,
    /// It is not read, and why.
    Refused(&'static str),
}

/// What a file is for.
struct Known {
    name: &'static str,
    /// Whether its absence is worth a word.
    is_expected: bool,
    readers: &'static [Reader],
}

const EVERYBODY: &[Reader] = &[Reader::Main, Reader::Elsewhere, Reader::Subagent];
const THE_AGENT: &[Reader] = &[Reader::Main, Reader::Elsewhere];

/// In the order in which they are told.
const KNOWN: [Known; 8] = [
    Known::new("AGENTS.md", true, EVERYBODY),
    Known::new("SOUL.md", true, THE_AGENT),
    Known::new("TOOLS.md", true, EVERYBODY),
    Known::new("IDENTITY.md", true, THE_AGENT),
    Known::new("USER.md", true, THE_AGENT),
    Known::new("HEARTBEAT.md", true, THE_AGENT),
    Known::new("BOOTSTRAP.md", false, THE_AGENT),
    Known::new("MEMORY.md", false, &[Reader::Main]),
];

impl Known {
    const fn new(name: &'static str, is_expected: bool, readers: &'static [Reader]) -> Self {
        Self {
            name,
            is_expected,
            readers,
        }
    }
}

/// Reads what an agent is told, each file cut to so many characters.
#[must_use]
pub fn read(folder: &Path, reader: Reader, longest: usize) -> Vec<WorkspaceFile> {
    KNOWN
        .iter()
        .filter(|known| known.readers.contains(&reader))
        .map(|known| (known, read_file(&folder.join(known.name), longest)))
        .filter(|(known, content)| known.is_expected || *content != Content::Missing)
        .map(|(known, content)| WorkspaceFile {
            name: known.name,
            content,
        })
        .collect()
}

/// Makes the folder if it is not there, and gives it its first files if it has none of them. A file that somebody has taken away
/// stays away.
///
/// # Errors
/// When the folder or a file cannot be made.
pub fn prepare(folder: &Path, with_files: bool) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let has_any = KNOWN
        .iter()
        .any(|known| fs::symlink_metadata(folder.join(known.name)).is_ok());
    if !with_files || has_any {
        return Ok(());
    }
    for (name, text) in STARTERS {
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(folder.join(name));
        match made {
            Ok(mut file) => file.write_all(text.as_bytes())?,
            // Somebody else was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read_file(path: &Path, longest: usize) -> Content {
    // Non-blocking, for it may be a FIFO.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Content::Missing,
        Err(error) if error.raw_os_error() == Some(Errno::ELOOP as i32) => {
            return Content::Refused("it is a link");
        }
        Err(_) => return Content::Refused("it cannot be read"),
    };
    match bytes_of(file) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim();
            Content::Text {
                raw_chars: text.chars().count(),
                text: cut(text, longest),
            }
        }
        Err(why) => Content::Refused(why),
    }
}

fn bytes_of(file: File) -> Result<Vec<u8>, &'static str> {
    let is_file = file.metadata().is_ok_and(|state| state.is_file());
    if !is_file {
        return Err("it is no regular file");
    }
    let mut bytes = Vec::new();
    // One more than allowed tells a file that is too large from one that just fits.
    file.take(LARGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| "it cannot be read")?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err("it is larger than 2 MiB");
    }
    Ok(bytes)
}

/// The beginning and the end, when a text is too long, with a line between them that says so. The beginning gets three quarters.
fn cut(text: &str, longest: usize) -> String {
    let length = text.chars().count();
    if length <= longest {
        return text.to_owned();
    }
    let head = longest - longest / 4;
    let tail = longest / 4;
    let left_out = length - head - tail;
    let beginning: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!(
        "{beginning}\n[… {left_out} characters are left out here; read the file for them …]\n{end}"
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::{Content, Reader, cut, prepare, read};

    fn names(folder: &std::path::Path, reader: Reader) -> Vec<&'static str> {
        let files = read(folder, reader, 100);
        files.iter().map(|file| file.name).collect()
    }

    #[test]
    fn a_new_workspace_gets_its_first_files_once() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a/workspace");
        prepare(&folder, true).unwrap();
        let all = [
            "AGENTS.md",
            "SOUL.md",
            "TOOLS.md",
            "IDENTITY.md",
            "USER.md",
            "HEARTBEAT.md",
            "BOOTSTRAP.md",
        ];
        assert_eq!(names(&folder, Reader::Main), all);
        assert!(
            read(&folder, Reader::Main, 20_000)
                .iter()
                .all(|file| matches!(&file.content, Content::Text { text, raw_chars } if text.chars().count() == *raw_chars))
        );
        fs::remove_file(folder.join("BOOTSTRAP.md")).unwrap();
        fs::write(folder.join("SOUL.md"), "mine").unwrap();
        prepare(&folder, true).unwrap();
        assert_eq!(names(&folder, Reader::Main), all[..6]);
        assert_eq!(fs::read_to_string(folder.join("SOUL.md")).unwrap(), "mine");
    }

    #[test]
    fn a_workspace_can_stay_empty_and_what_is_missing_is_told() {
        let home = tempfile::tempdir().unwrap();
        prepare(home.path(), false).unwrap();
        let files = read(home.path(), Reader::Elsewhere, 100);
        assert_eq!(files.len(), 6);
        assert!(files.iter().all(|file| file.content == Content::Missing));
    }

    #[test]
    fn everybody_is_told_what_is_theirs() {
        let home = tempfile::tempdir().unwrap();
        prepare(home.path(), true).unwrap();
        fs::write(home.path().join("MEMORY.md"), "She likes tea.").unwrap();
        assert_eq!(names(home.path(), Reader::Main).last(), Some(&"MEMORY.md"));
        assert!(!names(home.path(), Reader::Elsewhere).contains(&"MEMORY.md"));
        assert_eq!(
            names(home.path(), Reader::Subagent),
            ["AGENTS.md", "TOOLS.md"]
        );
    }

    /// Threat rule 58: nothing outside the workspace is read, whatever links say.
    #[test]
    fn rule_58_links_pipes_and_folders_are_not_read() {
        let home = tempfile::tempdir().unwrap();
        let secret = home.path().join("secret");
        fs::write(&secret, "geheim").unwrap();
        let folder = home.path().join("workspace");
        fs::create_dir(&folder).unwrap();
        symlink(&secret, folder.join("AGENTS.md")).unwrap();
        symlink(folder.join("nowhere"), folder.join("USER.md")).unwrap();
        mkfifo(&folder.join("TOOLS.md"), Mode::S_IRWXU).unwrap();
        fs::create_dir(folder.join("SOUL.md")).unwrap();
        fs::write(folder.join("IDENTITY.md"), vec![b'x'; 3 * 1024 * 1024]).unwrap();
        prepare(&folder, true).unwrap();
        let files = read(&folder, Reader::Main, 100);
        let told: Vec<_> = files
            .iter()
            .map(|file| (file.name, &file.content))
            .collect();
        assert_eq!(
            told,
            [
                ("AGENTS.md", &Content::Refused("it is a link")),
                ("SOUL.md", &Content::Refused("it is no regular file")),
                ("TOOLS.md", &Content::Refused("it is no regular file")),
                ("IDENTITY.md", &Content::Refused("it is larger than 2 MiB")),
                ("USER.md", &Content::Refused("it is a link")),
                ("HEARTBEAT.md", &Content::Missing),
            ]
        );
        assert!(!folder.join("nowhere").exists());
    }

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_end() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(
            cut("äbcdefghijkl", 8),
            "äbcdef\n[… 4 characters are left out here; read the file for them …]\nkl"
        );
        assert!(cut("abc", 0).starts_with("\n[… 3 characters"));
    }
}
