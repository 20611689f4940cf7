//! `system.which`: where programs are.

use std::collections::BTreeMap;

use openclaw_exec::policy::programs::{Disk, Site};
use serde::{Deserialize, Serialize};

use super::{Answer, Refused, Services, answer, read};

/// More names than anybody asks for.
const MOST_NAMES: usize = 256;

#[derive(Debug, Deserialize)]
struct Params {
    #[serde(default)]
    bins: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Reply {
    /// The programs that are there, by name.
    bins: BTreeMap<String, String>,
}

pub(super) fn perform(services: &Services, params: Option<&str>) -> Answer {
    let params: Params = read(params)?;
    let names: Vec<&str> = params
        .bins
        .iter()
        .map(|name| name.trim())
        .filter(|name| !name.is_empty())
        .collect();
    // The texts carry a prefix because clients of the existing product know them so.
    if names.is_empty() {
        return Err(Refused::invalid("Error: INVALID_REQUEST: bins required"));
    }
    if names.len() > MOST_NAMES {
        return Err(Refused::invalid(format!(
            "Error: INVALID_REQUEST: more than {MOST_NAMES} bins"
        )));
    }
    let site = Site {
        files: &Disk,
        cwd: &services.host.working_dir,
        path: &services.host.path,
        home: services.host.home.as_deref(),
    };
    let found = names.into_iter().filter_map(|name| {
        let located = site.search(name)?;
        Some((name.to_owned(), located.found.to_str()?.to_owned()))
    });
    answer(&Reply {
        bins: found.collect(),
    })
}
