//! Which of several things a person means: nodes, devices, jobs.                                        (pure)

use openclaw_shared::log::printable;

use super::answer::short_id;
use super::failure::{Failure, Kind};

/// How much of an id must be given.
const SHORTEST_PREFIX: usize = 6;

/// Something that can be named in several ways.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) remote_ip: String,
}

impl Named {
    /// Its name, or else its id.
    pub(crate) fn shown(&self) -> String {
        match self.name.trim() {
            "" => short_id(&self.id),
            name => name.to_owned(),
        }
    }
}

/// Finds a thing by its id, its address, its name, or the beginning of its id; in this order. `what` is the word for it.
///
/// # Errors
/// When none or several could be meant.
pub(crate) fn find<'a>(
    what: &str,
    things: &'a [Named],
    wanted: &str,
) -> Result<&'a Named, Failure> {
    let wanted = wanted.trim();
    let prefix = wanted.trim_end_matches('…');
    let by_id = |thing: &&Named| thing.id == wanted;
    let by_address = |thing: &&Named| !thing.remote_ip.is_empty() && thing.remote_ip == wanted;
    if let Some(node) = things
        .iter()
        .find(by_id)
        .or_else(|| things.iter().find(by_address))
    {
        return Ok(node);
    }
    let normal = normalised(wanted);
    let by_name = |thing: &&Named| !normal.is_empty() && normalised(&thing.name) == normal;
    let by_prefix =
        |thing: &&Named| prefix.len() >= SHORTEST_PREFIX && thing.id.starts_with(prefix);
    for fits in [&by_name as &dyn Fn(&&Named) -> bool, &by_prefix] {
        let fitting: Vec<&Named> = things.iter().filter(fits).collect();
        match fitting[..] {
            [] => {}
            [only] => return Ok(only),
            _ => {
                let names = list(fitting.into_iter());
                let message = format!("ambiguous {what}: {wanted} (matches: {names})");
                return Err(Failure::new(Kind::Usage, printable(&message)));
            }
        }
    }
    let known = match things {
        [] => format!("no {what}s"),
        things => list(things.iter()),
    };
    let message = format!("unknown {what}: {wanted} (known: {known})");
    Err(Failure::new(Kind::Usage, printable(&message)))
}

fn list<'a>(things: impl Iterator<Item = &'a Named>) -> String {
    let names: Vec<String> = things
        .map(|thing| match thing.name.trim() {
            "" => thing.id.clone(),
            name => format!("{name} ({})", short_id(&thing.id)),
        })
        .collect();
    names.join(", ")
}

/// `Build Box` and `build-box` are one name.
fn normalised(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: &str) -> String {
        let node = |id: &str, name: &str, remote_ip: &str| Named {
            id: id.to_owned(),
            name: name.to_owned(),
            remote_ip: remote_ip.to_owned(),
        };
        let nodes = [
            node("aabbcc01", "Build Box", "10.0.0.1"),
            node("aabbcc02", "Phone", ""),
            node("ddeeff03", "phone", "10.0.0.3"),
            node("phone", "", ""),
            node("aa", "10.0.0.1", ""),
        ];
        match find("node", &nodes, wanted) {
            Ok(node) => node.id.clone(),
            Err(failure) => failure.message,
        }
    }

    #[test]
    fn a_node_is_found_by_what_names_it_best() {
        assert_eq!(check("aabbcc02"), "aabbcc02");
        assert_eq!(check("phone"), "phone", "an id comes before names");
        assert_eq!(
            check("10.0.0.1"),
            "aabbcc01",
            "an address comes before names"
        );
        assert_eq!(check("build-box"), "aabbcc01");
        assert_eq!(check(" BUILD  box "), "aabbcc01");
        assert_eq!(check("ddeeff"), "ddeeff03");
        assert_eq!(check("ddeeff…"), "ddeeff03");
    }

    #[test]
    fn what_could_mean_several_means_none() {
        assert_eq!(
            check("aabbcc"),
            "ambiguous node: aabbcc (matches: Build Box (aabbcc01), Phone (aabbcc02))"
        );
        assert_eq!(
            check("PHONE"),
            "ambiguous node: PHONE (matches: Phone (aabbcc02), phone (ddeeff03))"
        );
        assert!(check("aabb").starts_with("unknown node: aabb (known: Build Box (aabbcc01), "));
        assert!(check("").starts_with("unknown node:"));
    }

    #[test]
    fn without_nodes_that_is_said() {
        let failure = find("node", &[], "x").unwrap_err();
        assert_eq!(failure.message, "unknown node: x (known: no nodes)");
    }
}
