//! The moment in which one program takes the place of another in the same process, and the way back.
//!
//! What is handed over are open descriptors and the document that names them, itself a descriptor. Nothing of it is used up before
//! the successor has everything: it works on duplicates, so that a successor that fails at anything before that executes its
//! predecessor again, from a descriptor of the file that ran, with the same document.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{
    AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd,
};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use openclaw_shared::exit::Exit;
use openclaw_shared::instance::Environment;

use super::document::{Document, StartedWith};
use super::image::Image;

/// The variable that tells a program what it takes over: `successor:DOCUMENT:IMAGE` or `predecessor:DOCUMENT:IMAGE`, numbers of
/// descriptors both.
pub(crate) const HANDED_OVER: &str = "OPENCLAW_HANDED_OVER";
/// Why a predecessor is executed again.
pub(crate) const HANDED_BACK: &str = "OPENCLAW_HANDED_BACK";

/// Everything that is handed over, when nothing of the supervisor runs any more.
#[derive(Debug)]
pub(crate) struct HandOver {
    pub(crate) document: Document,
    /// What the document names.
    pub(crate) descriptors: Vec<OwnedFd>,
    pub(crate) image: Image,
}

/// What could not be handed over, and why. The descriptors are as open as they were.
#[derive(Debug)]
pub(crate) struct Unexecuted {
    pub(crate) document: Document,
    pub(crate) why: String,
}

impl HandOver {
    /// Executes the program at the path by which this one was started. Comes back only when that fails.
    pub(crate) fn execute(self) -> Unexecuted {
        let Self {
            document,
            descriptors,
            image,
        } = self;
        // From here on they are known by their numbers alone, in the successor as well as here.
        for descriptor in descriptors {
            let _number = descriptor.into_raw_fd();
        }
        let program = image.path().to_path_buf();
        let failed = match execute(&document, &image) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        let why = format!("{} cannot be executed: {failed}", program.display());
        // Whatever is spawned by who goes on here has no use for them.
        inherit(&document, false);
        Unexecuted { document, why }
    }
}

fn execute(document: &Document, image: &Image) -> io::Result<Infallible> {
    let written = anonymous_file()?;
    (&written).write_all(&serde_json::to_vec(document)?)?;
    for own in [written.as_fd(), image.running().as_fd()] {
        set_inherited(own, true)?;
    }
    inherit(document, true);
    let role = Role::Successor.as_str();
    let started_with = &document.started_with;
    let (document, running) = (written.as_raw_fd(), image.running().as_raw_fd());
    let told = [(HANDED_OVER, format!("{role}:{document}:{running}"))];
    let path = CString::new(image.path().as_os_str().as_bytes())?;
    let (arguments, variables) = started_with.lines(&told)?;
    let executed = nix::unistd::execve(&path, &arguments, &variables);
    let error = match executed {
        Ok(never) => match never {},
        Err(error) => error,
    };
    set_inherited(image.running().as_fd(), false)?;
    Err(error.into())
}

impl StartedWith {
    /// What this process was started with, but for what it was told by the program before.
    pub(crate) fn of_process() -> Self {
        let environment = Environment::from_process();
        let variables = environment
            .all()
            .iter()
            .filter(|(name, _)| *name != HANDED_OVER && *name != HANDED_BACK);
        let bytes = |text: &OsString| text.as_bytes().to_vec();
        Self {
            arguments: std::env::args_os().map(OsString::into_vec).collect(),
            variables: variables
                .map(|(name, value)| (bytes(name), bytes(value)))
                .collect(),
        }
    }

    /// As the system takes it, with what the next program is told.
    fn lines(&self, told: &[(&str, String)]) -> io::Result<(Vec<CString>, Vec<CString>)> {
        let arguments = self.arguments.iter().cloned().map(CString::new);
        let kept = self
            .variables
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()));
        let told = told
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let lines = kept
            .chain(told)
            .map(|(name, value)| CString::new([name, b"=", value].concat()));
        Ok((
            arguments.collect::<Result<_, _>>()?,
            lines.collect::<Result<_, _>>()?,
        ))
    }
}

/// A file in memory, for what nobody else is to read.
pub(super) fn anonymous_file() -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::memfd::{MFdFlags, memfd_create};
        Ok(memfd_create("openclaw-handed-over", MFdFlags::MFD_CLOEXEC)?.into())
    }
    #[cfg(not(target_os = "linux"))]
    {
        // Readable by this user alone, and without a name as soon as it is open.
        let name = nix::unistd::mkstemp("/tmp/openclaw-handed-over-XXXXXX")?;
        nix::unistd::unlink(&name.1)?;
        Ok(name.0.into())
    }
}

/// Whether the next program gets a descriptor.
fn set_inherited(descriptor: BorrowedFd<'_>, is_inherited: bool) -> io::Result<()> {
    let flags = match is_inherited {
        true => FdFlag::empty(),
        false => FdFlag::FD_CLOEXEC,
    };
    fcntl(descriptor, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

fn inherit(document: &Document, is_inherited: bool) {
    for number in document.descriptors() {
        let changed = lent(number).map(|descriptor| set_inherited(descriptor, is_inherited));
        if let Some(Err(error)) = changed {
            // The successor finds it missing, and comes back.
            tracing::warn!(target: "upgrade", number, %error, "a descriptor cannot be handed over");
        }
    }
}

/// A descriptor that is known by its number alone.
#[expect(
    unsafe_code,
    reason = "an inherited descriptor is known by its number alone"
)]
const fn lent(number: RawFd) -> Option<BorrowedFd<'static>> {
    if number <= 2 {
        return None;
    }
    // SAFETY: the number comes from a document that this process, or its predecessor in it, has written about descriptors that were
    // left open for exactly this; they stay open until `forget` is called for them. One that is not open is found by what is done
    // with it, without harm.
    Some(unsafe { BorrowedFd::borrow_raw(number) })
}

/// A descriptor of our own for what a number stands for; the number stays as it is, for whoever may have to go back.
///
/// # Errors
/// When nothing is open there.
pub(super) fn take(number: RawFd) -> Result<OwnedFd, String> {
    let missing = |error: io::Error| format!("descriptor {number} is missing: {error}");
    let lent = lent(number).ok_or_else(|| missing(io::ErrorKind::InvalidInput.into()))?;
    lent.try_clone_to_owned().map_err(missing)
}

/// Closes what was handed over, once nobody needs the numbers any more.
#[expect(
    unsafe_code,
    reason = "an inherited descriptor is known by its number alone"
)]
pub(super) fn forget(numbers: &[RawFd]) {
    for number in numbers {
        if lent(*number).is_some_and(|descriptor| fcntl(descriptor, FcntlArg::F_GETFD).is_ok()) {
            // SAFETY: as in `lent`; everything in this process that uses it has a duplicate, and it is forgotten once.
            drop(unsafe { OwnedFd::from_raw_fd(*number) });
        }
    }
}

/// Which of the two programs this one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The new one.
    Successor,
    /// The one before it, executed again.
    Predecessor,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Successor => "successor",
            Self::Predecessor => "predecessor",
        }
    }
}

/// What this process was handed over by the program before.
#[derive(Debug)]
pub(crate) struct HandedOver {
    role: Role,
    document: RawFd,
    /// The file that ran before.
    image: RawFd,
    /// Why a predecessor is executed again.
    why: Option<String>,
    is_taken: Cell<bool>,
    failure: RefCell<Option<String>>,
}

impl HandedOver {
    /// What the environment tells, if anything was handed over.
    pub(crate) fn find(environment: &Environment) -> Option<Self> {
        let mut told = environment.get(HANDED_OVER)?.split(':');
        let name = told.next()?;
        let role = [Role::Successor, Role::Predecessor]
            .into_iter()
            .find(|role| role.as_str() == name)?;
        Some(Self {
            role,
            document: told.next()?.parse().ok()?,
            image: told.next()?.parse().ok()?,
            why: environment.get(HANDED_BACK).map(str::to_owned),
            is_taken: Cell::new(false),
            failure: RefCell::new(None),
        })
    }

    /// What this process is to go on with.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn document(&self) -> Result<Document, String> {
        Document::read(&self.text()?).map_err(|error| error.to_string())
    }

    fn text(&self) -> Result<Vec<u8>, String> {
        let file = File::from(take(self.document)?);
        let mut text = Vec::new();
        let mut part = [0; 16 * 1024];
        loop {
            // By place, because a predecessor that is executed again reads it once more.
            match file.read_at(&mut part, text.len() as u64) {
                Ok(0) => return Ok(text),
                Ok(read) => text.extend_from_slice(&part[..read]),
                Err(error) => return Err(format!("the handed-over state cannot be read: {error}")),
            }
        }
    }

    /// Why a predecessor is executed again; nothing for a successor.
    pub(crate) fn back(&self) -> Option<String> {
        match self.role {
            Role::Successor => None,
            Role::Predecessor => Some(
                self.why
                    .clone()
                    .unwrap_or_else(|| "it did not say why".to_owned()),
            ),
        }
    }

    /// Everything is taken over; from here on there is no way back.
    pub(crate) fn taken(&self) {
        self.is_taken.set(true);
        forget(&[self.document, self.image]);
    }

    /// It cannot be taken over, and why.
    pub(crate) fn failed(&self, why: String) {
        self.failure.borrow_mut().get_or_insert(why);
    }

    /// Lives the life of the program. When it ends, in whatever way, before everything was taken over, the predecessor goes on.
    pub(crate) fn guard(&self, life: impl FnOnce() -> ExitCode) -> ExitCode {
        let ended = catch_unwind(AssertUnwindSafe(life));
        if self.is_taken.get() || self.role == Role::Predecessor {
            return ended.unwrap_or_else(|panic| resume_unwind(panic));
        }
        let why = match ended {
            Err(panic) => {
                let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
                let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
                format!("it panicked: {}", said.unwrap_or_default())
            }
            Ok(_) => self
                .failure
                .take()
                .unwrap_or_else(|| "it ended before it had taken over".to_owned()),
        };
        let error = match self.go_back(&why) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        tracing::error!(target: "upgrade", %why, %error, "neither the new binary nor the one before can go on");
        Exit::Failure.into()
    }

    /// Executes the predecessor from the descriptor of its file.
    fn go_back(&self, why: &str) -> io::Result<Infallible> {
        let image = take(self.image).map_err(io::Error::other)?;
        let role = Role::Predecessor.as_str();
        let (document, number) = (self.document, self.image);
        let told = [
            (HANDED_OVER, format!("{role}:{document}:{number}")),
            (HANDED_BACK, why.replace('\0', " ")),
        ];
        // Whatever else the document says: what the predecessor was started with is in it, or is what we were started with.
        let text = self.text().unwrap_or_default();
        let started_with: StartedWith =
            serde_json::from_slice(&text).unwrap_or_else(|_| StartedWith::of_process());
        let (arguments, variables) = started_with.lines(&told)?;
        execute_file(&image, &arguments, &variables)
    }
}

#[cfg(target_os = "linux")]
fn execute_file(
    image: &OwnedFd,
    arguments: &[CString],
    variables: &[CString],
) -> io::Result<Infallible> {
    Ok(nix::unistd::fexecve(image, arguments, variables)?)
}

#[cfg(not(target_os = "linux"))]
fn execute_file(_: &OwnedFd, _: &[CString], _: &[CString]) -> io::Result<Infallible> {
    Err(io::Error::other("this system executes no descriptors"))
}

/// The name of this process, which a program that was executed from a descriptor has lost.
pub(super) fn restore_name(program: &OsStr) {
    #[cfg(target_os = "linux")]
    if let Ok(name) = CString::new(program.as_bytes()) {
        // Only people look at it.
        let _ = nix::sys::prctl::set_name(&name);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = program;
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    use std::path::Path;
    use std::process::ExitCode;

    use openclaw_shared::instance::Environment;

    use super::{HANDED_OVER, HandedOver, anonymous_file, forget, take};

    fn handed(told: &str) -> Option<HandedOver> {
        let pairs = [(HANDED_OVER, told)];
        HandedOver::find(&Environment::from_pairs(pairs, Path::new("/")))
    }

    #[test]
    fn only_what_was_told_in_full_is_taken_over() {
        assert!(handed("successor:5:6").is_some());
        assert_eq!(
            handed("predecessor:5:6").unwrap().back().unwrap(),
            "it did not say why"
        );
        for odd in [
            "",
            "successor",
            "successor:5",
            "stranger:5:6",
            "successor:x:6",
        ] {
            assert!(handed(odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn a_missing_descriptor_is_named_and_a_taken_one_stays_open() {
        let file = anonymous_file().unwrap();
        (&file).write_all(b"{}").unwrap();
        let number = file.as_raw_fd();
        let handed = handed(&format!("successor:{number}:{number}")).unwrap();
        for _ in 0..2 {
            let unreadable = handed.document().unwrap_err();
            assert!(unreadable.contains("format 0"), "{unreadable}");
        }
        assert!(take(number).is_ok());
        assert!(take(1).unwrap_err().contains("descriptor 1 is missing"));
        let gone = take(1_000_000).unwrap_err();
        assert!(gone.contains("descriptor 1000000 is missing"), "{gone}");
        forget(&[1_000_000]);
    }

    #[test]
    fn a_panic_before_it_has_taken_over_is_a_way_back_or_a_failure() {
        let handed = handed("successor:1000001:1000002").unwrap();
        let code = handed.guard(|| panic!("too early"));
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
    }

    #[test]
    fn a_life_that_took_over_ends_as_it_ends() {
        let handed = handed("successor:1000001:1000002").unwrap();
        let code = handed.guard(|| {
            handed.taken();
            ExitCode::from(3)
        });
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(3)));
    }
}
