//! Which platform a device says it is, as far as a difference matters.                     (pure)

/// A platform, whatever its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Platform {
    /// iPhone and iPad.
    Ios,
    /// Android.
    Android,
    /// macOS.
    Macos,
    /// Windows.
    Windows,
    /// Linux.
    Linux,
    /// Anything else.
    Unknown,
}

/// What the name of a platform begins with.
const PREFIXES: &[(&str, Platform)] = &[
    ("ios", Platform::Ios),
    ("android", Platform::Android),
    ("mac", Platform::Macos),
    ("darwin", Platform::Macos),
    ("win", Platform::Windows),
    ("linux", Platform::Linux),
];

/// What the name of a device family contains.
const FAMILIES: &[(&str, Platform)] = &[
    ("iphone", Platform::Ios),
    ("ipad", Platform::Ios),
    ("ios", Platform::Ios),
    ("android", Platform::Android),
    ("mac", Platform::Macos),
    ("windows", Platform::Windows),
    ("linux", Platform::Linux),
];

impl Platform {
    /// Reads it from the platform, else from the family of the device.
    pub(crate) fn of(platform: Option<&str>, family: Option<&str>) -> Self {
        let platform = platform.unwrap_or_default().trim().to_ascii_lowercase();
        let family = family.unwrap_or_default().trim().to_ascii_lowercase();
        let by_prefix = PREFIXES
            .iter()
            .find(|(prefix, _)| platform.starts_with(prefix));
        by_prefix
            .or_else(|| FAMILIES.iter().find(|(part, _)| family.contains(part)))
            .map_or(Self::Unknown, |(_, platform)| *platform)
    }
}

#[cfg(test)]
mod tests {
    use super::Platform;

    #[test]
    fn the_version_does_not_matter_and_the_family_helps_out() {
        for (platform, family, expected) in [
            ("iOS 18.2", "iPhone", Platform::Ios),
            ("iPadOS", "iPad", Platform::Ios),
            ("darwin", "", Platform::Macos),
            ("MacIntel", "", Platform::Macos),
            ("Linux x86_64", "Mac", Platform::Linux),
            ("win32", "", Platform::Windows),
            ("plan9", "", Platform::Unknown),
            ("", "Android phone", Platform::Android),
        ] {
            assert_eq!(
                Platform::of(Some(platform), Some(family)),
                expected,
                "{platform}"
            );
        }
    }
}
