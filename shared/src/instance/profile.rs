//! Profiles: the name of an instance.

use serde::{Deserialize, Serialize};

/// A named instance, or the default one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Profile(Option<String>);

/// Why a profile is none. The texts are those of existing installations; all of them end with exit code 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A character that would be unsafe in a path or a unit name.
    #[error("Invalid --profile (use letters, numbers, \"_\", \"-\" only)")]
    BadName,
    /// `--dev --profile other`.
    #[error("Cannot combine --dev with --profile")]
    Contradiction,
    /// `--profile` at the end of the line.
    #[error("--profile requires a value")]
    Missing,
}

impl Profile {
    /// A profile by its name; empty and `default`, in any case, are the default profile.
    ///
    /// # Errors
    /// When the name has other characters than letters, digits, `_` and `-`, begins with `-`, or is over 64 long.
    pub fn parse(name: &str) -> Result<Self, ProfileError> {
        if name.is_empty() || name.eq_ignore_ascii_case("default") {
            return Ok(Self(None));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.len() > 64 || name.starts_with('-') || !name.bytes().all(allowed) {
            return Err(ProfileError::BadName);
        }
        Ok(Self(Some(name.to_owned())))
    }

    /// The profile that `--profile`, `--dev` and `OPENCLAW_PROFILE` select together.
    ///
    /// # Errors
    /// When they contradict each other, or the name is bad.
    pub fn select(
        flag: Option<&str>,
        dev: bool,
        variable: Option<&str>,
    ) -> Result<Self, ProfileError> {
        match (flag, dev) {
            (Some("dev") | None, true) => Self::parse("dev"),
            (Some(_), true) => Err(ProfileError::Contradiction),
            (Some(""), false) => Err(ProfileError::Missing),
            (Some(name), false) => Self::parse(name),
            (None, false) => Self::parse(variable.unwrap_or("")),
        }
    }

    /// Whether this is the default profile.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        self.0.is_none()
    }

    /// Whether this is `dev`.
    #[must_use]
    pub fn is_dev(&self) -> bool {
        self.0.as_deref() == Some("dev")
    }

    /// The name, absent for the default profile.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// `-<name>`, or nothing for the default profile; ends folder and unit names.
    #[must_use]
    pub fn suffix(&self) -> String {
        self.0
            .as_ref()
            .map(|name| format!("-{name}"))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Profile, ProfileError};

    #[test]
    fn names_that_could_leave_a_folder_are_refused() {
        for name in ["a/b", "..", "a b", "é", "a\n", "-x", &"x".repeat(65)] {
            assert_eq!(Profile::parse(name), Err(ProfileError::BadName), "{name:?}");
        }
        for name in ["", "default", "DEFAULT"] {
            assert!(Profile::parse(name).unwrap().is_default());
        }
        assert_eq!(Profile::parse("rescue_2").unwrap().suffix(), "-rescue_2");
    }

    #[test]
    fn flags_win_over_the_variable_and_must_agree() {
        let name = |flag, dev, variable| {
            Profile::select(flag, dev, variable).map(|profile| profile.name().map(str::to_owned))
        };
        assert_eq!(name(None, false, Some("a")), Ok(Some("a".into())));
        assert_eq!(name(Some("b"), false, Some("a")), Ok(Some("b".into())));
        assert_eq!(name(None, true, Some("a")), Ok(Some("dev".into())));
        assert_eq!(name(Some("dev"), true, None), Ok(Some("dev".into())));
        assert_eq!(
            name(Some("b"), true, None),
            Err(ProfileError::Contradiction)
        );
        assert_eq!(name(Some(""), false, None), Err(ProfileError::Missing));
    }
}
