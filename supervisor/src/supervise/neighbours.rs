//! The ports that the other profiles of this user are configured for, whether they run or not.

use std::collections::BTreeSet;

use openclaw_shared::config::load;
use openclaw_shared::instance::{Environment, Identity, Profile};
use openclaw_shared::paths::StatePaths;
use openclaw_shared::ports::{INSTANCE_STEP, PortWishes, Ports};

/// Another profile of this user, as its configuration describes it.
#[derive(Debug)]
pub(crate) struct Neighbour {
    pub(crate) profile: Profile,
    /// What it would listen on; absent when its own ports do not fit.
    pub(crate) ports: Option<Ports>,
}

/// The other profiles that have a configuration, in the order of their names.
pub(crate) fn neighbours(identity: &Identity, environment: &Environment) -> Vec<Neighbour> {
    let Ok(entries) = std::fs::read_dir(&identity.home) else {
        return Vec::new();
    };
    let mut folders: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    folders.sort();
    let others = folders
        .into_iter()
        .filter(|folder| *folder != identity.state_dir);
    others
        .filter_map(|folder| {
            let suffix = folder.file_name()?.to_str()?.strip_prefix(".openclaw")?;
            let name = match suffix.strip_prefix('-') {
                Some(name) => name,
                None if suffix.is_empty() => "",
                None => return None,
            };
            let profile = Profile::parse(name).ok()?;
            let path = StatePaths(&folder).config();
            if !path.is_file() {
                return None;
            }
            let config = match load(&path, environment.variables()) {
                Ok(loaded) => loaded.config,
                Err(error) => *error.readable?,
            };
            let wishes = PortWishes {
                config: config.gateway.port.map(Into::into),
                canvas_host: config.canvas_host.port.map(Into::into),
                browser_control: config.browser.control_port.map(Into::into),
                dev: profile.is_dev(),
                ..PortWishes::default()
            };
            Some(Neighbour {
                profile,
                ports: Ports::derive(wishes).ok(),
            })
        })
        .collect()
}

/// The base ports that belong to others.
pub(crate) fn base_ports(neighbours: &[Neighbour]) -> BTreeSet<u16> {
    neighbours
        .iter()
        .filter_map(|neighbour| Some(neighbour.ports?.gateway))
        .collect()
}

/// The base ports that are tried, in their order, when `taken` belongs to another instance.
pub(crate) fn steps_from(taken: u16) -> impl Iterator<Item = u16> {
    (1..=40).filter_map(move |step| taken.checked_add(INSTANCE_STEP.checked_mul(step)?))
}

#[cfg(test)]
mod tests {
    use openclaw_shared::instance::{Environment, Identity, Profile};

    #[test]
    fn the_ports_of_other_profiles_are_known_and_our_own_is_not_among_them() {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in [
            (".openclaw", "{}"),
            (".openclaw-dev", "{}"),
            (".openclaw-a", "{gateway: {port: 20001}}"),
            (".openclaw-broken", "{gateway: {port: 20002, bind: 7}}"),
            (".openclaw-rescue", "{gateway: {port: 20003}}"),
            (".openclawless", "{gateway: {port: 20004}}"),
        ] {
            let folder = home.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("openclaw.json"), text).unwrap();
        }
        let pairs = [("HOME", home.path().to_str().unwrap())];
        let environment = Environment::from_pairs(pairs, home.path());
        let profile = Profile::parse("rescue").unwrap();
        let identity = Identity::resolve(profile, &environment, &|path| path.exists()).unwrap();
        let neighbours = super::neighbours(&identity, &environment);
        let ports: Vec<u16> = super::base_ports(&neighbours).into_iter().collect();
        assert_eq!(ports, [18_789, 19_001, 20_001, 20_002]);
    }
}
