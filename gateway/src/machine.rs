//! What this machine says of itself, read once at the start.

use nix::ifaddrs::getifaddrs;
use nix::sys::utsname::uname;

/// The machine as the presence list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Its name.
    pub(crate) host: String,
    /// Its first address that others can reach.
    pub(crate) ip: Option<String>,
    /// System and release, for example `linux 6.18.44`.
    pub(crate) platform: String,
    /// The family of the system, for example `Linux`.
    pub(crate) family: String,
    /// The architecture, in the words that clients know.
    pub(crate) model: String,
}

impl Machine {
    /// Asks the system.
    pub(crate) fn read() -> Self {
        let host = nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "localhost".to_owned());
        let release = uname()
            .ok()
            .and_then(|system| Some(system.release().to_str()?.split('-').next()?.to_owned()))
            .unwrap_or_default();
        let (platform, family) = match std::env::consts::OS {
            "macos" => ("macos", "Mac"),
            "linux" => ("linux", "Linux"),
            other => (other, other),
        };
        let model = match std::env::consts::ARCH {
            "x86_64" => "x64",
            "aarch64" => "arm64",
            other => other,
        };
        Self {
            host,
            ip: address(),
            platform: format!("{platform} {release}").trim_end().to_owned(),
            family: family.to_owned(),
            model: model.to_owned(),
        }
    }
}

fn address() -> Option<String> {
    getifaddrs()
        .ok()?
        .filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()))
        .find(|ip| !ip.is_loopback() && !ip.is_unspecified() && !ip.is_link_local())
        .map(|ip| ip.to_string())
}
