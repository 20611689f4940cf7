//! Which DevTools port a profile's browser gets.                                        (pure)
//!
//! A port that the configuration names is used as it is. A profile without one gets the lowest port
//! of the instance's range that no profile has, taking the profiles in the order of their names, so
//! that the same configuration always gives the same ports.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// Gives every profile its port; a profile that finds the range used up gets none.
pub(crate) fn assign<'a>(
    range: RangeInclusive<u16>,
    wishes: &BTreeMap<&'a str, Option<u16>>,
) -> BTreeMap<&'a str, Option<u16>> {
    let mut used: BTreeSet<u16> = wishes.values().flatten().copied().collect();
    let assigned = wishes.iter().map(|(name, wish)| {
        let port = wish.or_else(|| lowest_free(range.clone(), &used));
        used.extend(port);
        (*name, port)
    });
    assigned.collect()
}

fn lowest_free(mut range: RangeInclusive<u16>, used: &BTreeSet<u16>) -> Option<u16> {
    range.find(|port| !used.contains(port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(wishes: &[(&str, Option<u16>)], expected: &[(&str, Option<u16>)]) {
        let assigned = assign(100..=102, &wishes.iter().copied().collect());
        assert_eq!(assigned, expected.iter().copied().collect());
    }

    #[test]
    fn named_ports_stand_and_the_lowest_free_one_fills_the_gaps() {
        check(&[("a", None)], &[("a", Some(100))]);
        check(
            &[("a", None), ("b", Some(100))],
            &[("a", Some(101)), ("b", Some(100))],
        );
        check(
            &[("b", None), ("a", None)],
            &[("a", Some(100)), ("b", Some(101))],
        );
        check(
            &[("a", Some(9)), ("b", Some(9))],
            &[("a", Some(9)), ("b", Some(9))],
        );
        check(
            &[("a", None), ("b", None), ("c", Some(101)), ("d", None)],
            &[
                ("a", Some(100)),
                ("b", Some(102)),
                ("c", Some(101)),
                ("d", None),
            ],
        );
    }

    proptest! {
        #[test]
        fn no_port_is_given_twice_and_none_outside_the_range(
            wishes in prop::collection::btree_map("[a-z]{1,3}", prop::option::of(90u16..120), 0..40),
        ) {
            let wishes: BTreeMap<&str, Option<u16>> =
                wishes.iter().map(|(name, wish)| (name.as_str(), *wish)).collect();
            let assigned = assign(100..=115, &wishes);
            let mut seen: BTreeSet<u16> = wishes.values().flatten().copied().collect();
            for (name, wish) in &wishes {
                match (wish, assigned[name]) {
                    (Some(wish), port) => prop_assert_eq!(Some(*wish), port),
                    (None, Some(port)) => {
                        prop_assert!((100..=115).contains(&port));
                        prop_assert!(seen.insert(port), "{} is given twice", port);
                    }
                    (None, None) => prop_assert!((100..=115).all(|port| seen.contains(&port))),
                }
            }
        }
    }
}
