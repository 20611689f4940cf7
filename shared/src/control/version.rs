//! Which versions of the control contract a program speaks, and whether two programs have one in common. Pure.
//!
//! A program speaks a range, so that a supervisor and a child of neighbouring releases understand each other while one of them is
//! replaced, and so that a supervisor can take over from one of the release before or after it.

/// The version of the contract that this build speaks by itself.
pub const CONTROL_VERSION: u32 = 2;
/// The oldest version that it understands as well. It is raised when a release stops to, and never in the release that raises
/// [`CONTROL_VERSION`]: there would be no way from the release before to that one.
pub const OLDEST_CONTROL_VERSION: u32 = 2;

/// The versions that a program speaks: all from the oldest to the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spoken {
    oldest: u32,
    newest: u32,
}

impl Spoken {
    /// What this build speaks.
    pub const OURS: Self = Self {
        oldest: OLDEST_CONTROL_VERSION,
        newest: CONTROL_VERSION,
    };

    /// What a program says of itself; one that names no oldest version speaks one alone.
    #[must_use]
    pub fn told(newest: u32, oldest: Option<u32>) -> Self {
        Self {
            oldest: oldest.unwrap_or(newest),
            newest,
        }
    }

    /// The newest version that both speak.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u32> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

impl std::fmt::Display for Spoken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { oldest, newest } = self;
        if oldest == newest {
            write!(formatter, "version {newest}")
        } else {
            write!(formatter, "versions {oldest} to {newest}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_releases_have_a_version_in_common() {
        let check = |one: (u32, Option<u32>), other: (u32, Option<u32>), common: Option<u32>| {
            let (one, other) = (Spoken::told(one.0, one.1), Spoken::told(other.0, other.1));
            assert_eq!(one.common(other), common, "{one} and {other}");
            assert_eq!(other.common(one), common, "{other} and {one}");
        };
        check((2, None), (2, None), Some(2));
        check((2, None), (3, None), None);
        check((2, None), (3, Some(2)), Some(2));
        check((3, Some(2)), (4, Some(3)), Some(3));
        check((2, Some(1)), (4, Some(3)), None);
        // Whoever says nonsense has nothing in common with anybody.
        check((2, Some(9)), (2, None), None);
        assert_eq!(Spoken::OURS.common(Spoken::OURS), Some(CONTROL_VERSION));
        assert_eq!(Spoken::told(3, Some(2)).to_string(), "versions 2 to 3");
    }
}
