//! The ports that the other profiles of this user are configured for, whether they run or not.

use std::collections::BTreeSet;

use openclaw_shared::config::load;
use openclaw_shared::instance::{Environment, Identity, Profile};
use openclaw_shared::paths::StatePaths;
use openclaw_shared::ports::PortWishes;

/// Base ports that belong to other profiles: those they name, and the default of those that name none.
pub(crate) fn base_ports(identity: &Identity, environment: &Environment) -> BTreeSet<u16> {
    let Ok(entries) = std::fs::read_dir(&identity.home) else { return BTreeSet::new() };
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    folders
        .filter(|folder| *folder != identity.state_dir)
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
            let readable = match load(&path, environment.variables()) {
                Ok(loaded) => Some(loaded.config),
                Err(error) => error.readable.map(|config| *config),
            };
            let config = readable?.gateway.port.map(Into::into);
            let wishes = PortWishes { config, dev: profile.is_dev(), ..PortWishes::default() };
            Some(wishes.base().0)
        })
        .collect()
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
        let ports: Vec<u16> = super::base_ports(&identity, &environment).into_iter().collect();
        assert_eq!(ports, [18_789, 19_001, 20_001, 20_002]);
    }
}
