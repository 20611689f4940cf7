//! The time zone of this machine.
//!
//! Asked for it, jiff lists every zone that the system knows, to learn the one name that `/etc/localtime` points to: a tenth of a
//! megabyte that each process keeps, and a millisecond before the first line of its log. The file it points to is enough.

use std::fs;
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::Moment;

const LOCAL_TIME: &str = "/etc/localtime";
/// How long it is taken for granted. Machines move.
const FRESH: Duration = Duration::from_secs(5 * 60);

static LAST: RwLock<Option<(Moment, TimeZone)>> = RwLock::new(None);

/// The time zone of this machine, or what the variable `TZ` says instead.
#[must_use]
pub fn local_zone() -> TimeZone {
    let now = Moment::now();
    // It is replaced as a whole, so a panic elsewhere has left it whole.
    let last = LAST.read().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some((read, zone)) = last
        && now.since(read) < FRESH
    {
        return zone;
    }
    // What `TZ` may say has many forms, which jiff knows; it is set rarely.
    let by_file = || {
        std::env::var_os("TZ")
            .is_none()
            .then(|| linked(Path::new(LOCAL_TIME)))
    };
    let zone = by_file().flatten().unwrap_or_else(TimeZone::system);
    *LAST.write().unwrap_or_else(PoisonError::into_inner) = Some((now, zone.clone()));
    zone
}

/// The zone that a link points to, by the name that it has among the zones of the system.
fn linked(link: &Path) -> Option<TimeZone> {
    let target = fs::read_link(link).ok()?;
    let (_, name) = target.to_str()?.rsplit_once("zoneinfo/")?;
    TimeZone::tzif(name, &fs::read(link).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn it_is_the_zone_that_jiff_finds() {
        assert_eq!(local_zone().iana_name(), TimeZone::system().iana_name());
    }

    #[test]
    fn a_link_names_the_zone_and_leads_to_its_rules() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("localtime");
        assert_eq!(linked(&link), None);
        let Ok(vienna) = TimeZone::get("Europe/Vienna") else {
            return;
        };
        symlink("/usr/share/zoneinfo/Europe/Vienna", &link).unwrap();
        assert_eq!(linked(&link), Some(vienna));
    }

    #[test]
    fn what_is_no_zone_is_left_to_jiff() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("zoneinfo/Nowhere");
        fs::create_dir(folder.path().join("zoneinfo")).unwrap();
        fs::write(&file, "not a zone").unwrap();
        let link = folder.path().join("localtime");
        symlink(&file, &link).unwrap();
        assert_eq!(linked(&link), None);
    }
}
