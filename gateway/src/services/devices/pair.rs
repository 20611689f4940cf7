//! What changes the list of devices, each as the work of one transaction.
//!
//! Every function decides on what its transaction reads, and returns what is to be announced after the commit, and whose
//! connections end with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::devices::PairDecision;
use openclaw_shared::protocol::scope::{Rights, Role};
use rusqlite::Connection;

use super::done::{Announcement, Done, Ended, Which};
use super::keep::{self, Stored};
use super::node::{self, NodeFacts};
use super::pending::{self, Place, Request};
use super::platform::Platform;
use super::record::{Device, Grant, Sighting};
use super::scopes;
use super::standing::{self, Ask, Standing};
use crate::store::StoreError;

/// Devices that are kept though nobody was asked about them. One of a person's own is seen again; those of tests and containers,
/// which make a new key each time, are not.
const MOST_UNASKED: u32 = 1_000;

/// The reasons that clients read whose token or approval is worth nothing any more.
const TOKEN_REVOKED: &str = "device token revoked";
const TOKEN_ROTATED: &str = "device token rotated";
const APPROVED_ANEW: &str = "device approved anew";
const REMOVED: &str = "device removed";
const FORGOTTEN: &str = "device forgotten";

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PairError {
    #[error("unknown requestId")]
    UnknownRequest,
    #[error("unknown deviceId")]
    UnknownDevice,
    #[error("unknown deviceId/role")]
    UnknownRole,
    #[error("unknown nodeId")]
    UnknownNode,
    /// Whoever asks does not hold what would be handed on.
    #[error("missing scope: {0}")]
    NotHeld(String),
    /// A key speaks for the node, and no approval without it may take that away.
    #[error("node is paired by its key; let it connect")]
    HasKey,
    /// The device was never approved for it.
    #[error("scope not approved for this device: {0}")]
    NotApproved(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for PairError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

type Outcome<T> = Result<Done<T>, PairError>;

/// 32 hexadecimal digits nobody can guess.
fn fresh_secret() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn fresh_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Drops what nobody has decided in time.
pub(crate) fn expire(tx: &Connection, now: WallTime) -> Outcome<()> {
    let mut announcements = Vec::new();
    waiting(tx, now, &mut announcements)?;
    Ok(Done::announcing((), announcements))
}

/// The requests that wait; those that have expired are dropped first.
fn waiting(
    tx: &Connection,
    now: WallTime,
    announcements: &mut Vec<Announcement>,
) -> Result<Vec<Request>, PairError> {
    let (expired, waiting): (Vec<_>, Vec<_>) = keep::requests(tx)?
        .into_iter()
        .partition(|request| request.has_expired(now));
    for request in &expired {
        keep::drop_request(tx, &request.id)?;
        announcements.push(Announcement::resolved(request, PairDecision::Expired, now));
    }
    Ok(waiting)
}

/// What an [`Ask`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Look again: the store says something else than when the decision was taken, or says it from now on.
    LookAgain,
    /// The owner is asked by this request.
    Waiting {
        /// The id of the request.
        request: String,
    },
}

/// Writes what the standing of a client demands by now. `present` are the devices that are connected; none of them is forgotten
/// to make room for this one.
pub(crate) fn settle(
    tx: &Connection,
    ask: &Ask,
    present: &BTreeSet<Arc<str>>,
    now: WallTime,
) -> Outcome<Settled> {
    let stored = keep::device(tx, &ask.device)?.map(|stored| stored.device);
    match standing::decide(ask, stored.as_ref()) {
        Standing::Stranger | Standing::Admitted { .. } => {
            Ok(Done::announcing(Settled::LookAgain, Vec::new()))
        }
        Standing::NeedsToken => {
            if let Some(mut device) = stored {
                let role = ask.role.as_str();
                let covered = device.tokens.get(role).map(|token| token.scopes.clone());
                let scopes = scopes::union(&covered.unwrap_or_default(), &ask.scopes);
                device.replace_token(ask.role, fresh_secret(), scopes, now);
                keep::save_unasked(tx, &device, &Sighting::default(), now)?;
            }
            // What came in by the narrower token was approved for more than that all along, and stays.
            Ok(Done::announcing(Settled::LookAgain, Vec::new()))
        }
        Standing::PairSilently => {
            let mut announcements = Vec::new();
            let waiting = waiting(tx, now, &mut announcements)?;
            let request = Request::of(ask, fresh_id(), stored.is_some(), now);
            for earlier in waiting
                .iter()
                .filter(|earlier| earlier.is_from_same(&request))
            {
                keep::drop_request(tx, &earlier.id)?;
                announcements.push(Announcement::resolved(earlier, PairDecision::Rejected, now));
            }
            let mut ended = replaced(stored.as_ref(), &request);
            // A local program that asks for more than another of its device takes nothing away from it, as in existing installations.
            ended.retain(|ended| matches!(ended.which, Which::In(_)));
            grant(tx, stored, &request, By::Nobody, now)?;
            ended.extend(make_room(tx, &ask.device, present)?);
            announcements.push(Announcement::resolved(
                &request,
                PairDecision::Approved,
                now,
            ));
            Ok(Done {
                value: Settled::LookAgain,
                announcements,
                ended,
            })
        }
        Standing::AskOwner => {
            let request = Request::of(ask, fresh_id(), stored.is_some(), now);
            let Done {
                value: (request, _),
                announcements,
                ended,
            } = enqueue(tx, request, now)?;
            Ok(Done {
                value: Settled::Waiting {
                    request: request.id,
                },
                announcements,
                ended,
            })
        }
    }
}

/// Puts a request among those that wait. The request that waits, and whether it is a new one.
fn enqueue(tx: &Connection, new: Request, now: WallTime) -> Outcome<(Request, bool)> {
    let mut announcements = Vec::new();
    let mut waiting = waiting(tx, now, &mut announcements)?;
    let value = match pending::place(&waiting, &new) {
        Place::Taken(at) => (waiting.swap_remove(at), false),
        Place::Free { out } => {
            for at in out {
                keep::drop_request(tx, &waiting[at].id)?;
                let gone = Announcement::resolved(&waiting[at], PairDecision::Rejected, now);
                announcements.push(gone);
            }
            keep::add_request(tx, &new)?;
            announcements.push(Announcement::Requested(Box::new(new.clone())));
            (new, true)
        }
    };
    Ok(Done::announcing(value, announcements))
}

/// A node asks by somebody else's mouth, without a key. One that has shown its key can ask by itself.
pub(crate) fn request_node(
    tx: &Connection,
    mut new: Request,
    now: WallTime,
) -> Outcome<(Request, bool)> {
    let stored = keep::device(tx, &new.device)?.map(|stored| stored.device);
    refuse_to_wipe(stored.as_ref(), &new)?;
    new.id = fresh_id();
    new.is_repair = stored.is_some();
    enqueue(tx, new, now)
}

/// An approval of another key is one of another device, so one without a key must not meet a device that has one: whoever
/// announces a node would take every approval away from the phone of that id.
fn refuse_to_wipe(stored: Option<&Device>, request: &Request) -> Result<(), PairError> {
    let has_key = stored.is_some_and(|device| device.public_key.is_some());
    if has_key && request.public_key.is_none() {
        return Err(PairError::HasKey);
    }
    Ok(())
}

/// Who says yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Somebody who may.
    Owner,
    /// Nobody is asked, because the client is local.
    Nobody,
}

/// Whose connections end when this request is granted.
fn replaced(stored: Option<&Device>, request: &Request) -> Vec<Ended> {
    let role = request.role;
    let Some(stored) = stored.filter(|device| device.tokens.contains_key(role.as_str())) else {
        return Vec::new();
    };
    let platform = |platform: &Option<String>, family: &Option<String>| {
        Platform::of(platform.as_deref(), family.as_deref())
    };
    // What a node may be asked to do depends on its platform, whatever let it in.
    let is_another = platform(&stored.platform, &stored.device_family)
        != platform(&request.platform, &request.device_family);
    let which = if role == Role::Node && is_another {
        Which::In(role)
    } else {
        Which::ByToken(role)
    };
    vec![Ended {
        device: request.device.clone(),
        which,
        why: APPROVED_ANEW,
    }]
}

/// Forgets devices that nobody was asked about, the least recently seen first, when there are too many of them.
fn make_room(
    tx: &Connection,
    newest: &str,
    present: &BTreeSet<Arc<str>>,
) -> Result<Vec<Ended>, PairError> {
    let too_many = keep::count_unasked(tx)?.saturating_sub(MOST_UNASKED);
    if too_many == 0 {
        return Ok(Vec::new());
    }
    let mut ended = Vec::new();
    let unasked = keep::unasked(tx)?;
    let may_go = |id: &String| id != newest && !present.contains(id.as_str());
    let may_go = unasked.into_iter().filter(may_go);
    for (_, device) in (0..too_many).zip(may_go) {
        keep::forget(tx, &device)?;
        // Whoever has come in since is asked to come again, so that the list never leaves out one who is here.
        ended.push(Ended {
            device,
            which: Which::All,
            why: FORGOTTEN,
        });
    }
    Ok(ended)
}

fn grant(
    tx: &Connection,
    stored: Option<Device>,
    request: &Request,
    by: By,
    now: WallTime,
) -> Result<Device, PairError> {
    let grant = Grant {
        device: &request.device,
        public_key: request.public_key.as_deref(),
        role: request.role,
        scopes: &request.scopes,
        platform: request.platform.as_deref(),
        device_family: request.device_family.as_deref(),
    };
    let device = Device::approve(stored, &grant, fresh_secret(), now);
    let first = Sighting {
        display_name: request.display_name.clone(),
        platform: request.platform.clone(),
        client_id: request.client_id.clone(),
        client_mode: request.client_mode.clone(),
        role: Some(request.role.to_string()),
        remote_ip: request.remote_ip.clone(),
        ..Sighting::default()
    };
    match by {
        By::Owner => keep::save(tx, &device, &first)?,
        By::Nobody => keep::save_unasked(tx, &device, &first, now)?,
    }
    if let Some(facts) = &request.node {
        node::note_node(tx, &device.id, facts)?;
    }
    Ok(device)
}

/// A device that was approved, with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Approved {
    pub(crate) stored: Stored,
    pub(crate) role: Role,
    pub(crate) facts: NodeFacts,
}

/// The owner says yes. Whoever speaks for the owner must hold what is handed on.
pub(crate) fn approve(
    tx: &Connection,
    request: &str,
    rights: Rights,
    now: WallTime,
) -> Outcome<Approved> {
    let mut announcements = Vec::new();
    let request = take(
        tx,
        request,
        now,
        &mut announcements,
        |request| match scopes::missing(rights, &request.scopes) {
            Some(scope) => Err(PairError::NotHeld(scope.to_owned())),
            None => Ok(()),
        },
    )?;
    let stored = keep::device(tx, &request.device)?.map(|stored| stored.device);
    // The key may have come since the request was made.
    refuse_to_wipe(stored.as_ref(), &request)?;
    let ended = replaced(stored.as_ref(), &request);
    let device = grant(tx, stored, &request, By::Owner, now)?;
    announcements.push(Announcement::resolved(
        &request,
        PairDecision::Approved,
        now,
    ));
    let stored = keep::device(tx, &device.id)?.ok_or(PairError::UnknownDevice)?;
    let facts = node::paired_node(tx, &device.id)?.map(|node| node.facts);
    Ok(Done {
        value: Approved {
            stored,
            role: request.role,
            facts: facts.unwrap_or_default(),
        },
        announcements,
        ended,
    })
}

/// The owner says no. Who had asked.
pub(crate) fn reject(tx: &Connection, request: &str, now: WallTime) -> Outcome<String> {
    let mut announcements = Vec::new();
    let request = take(tx, request, now, &mut announcements, |_| Ok(()))?;
    announcements.push(Announcement::resolved(
        &request,
        PairDecision::Rejected,
        now,
    ));
    Ok(Done::announcing(request.device, announcements))
}

/// Takes a request off the list, if `may` lets it.
fn take(
    tx: &Connection,
    id: &str,
    now: WallTime,
    announcements: &mut Vec<Announcement>,
    may: impl FnOnce(&Request) -> Result<(), PairError>,
) -> Result<Request, PairError> {
    let request = waiting(tx, now, announcements)?
        .into_iter()
        .find(|request| request.id == id)
        .ok_or(PairError::UnknownRequest)?;
    may(&request)?;
    keep::drop_request(tx, id)?;
    Ok(request)
}

/// A token that took the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rotated {
    pub(crate) token: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) at: WallTime,
}

/// Replaces a token: never beyond what the device was approved for, nor beyond what the caller holds.
pub(crate) fn rotate(
    tx: &Connection,
    device: &str,
    role: Role,
    scopes: Option<Vec<String>>,
    rights: Rights,
    now: WallTime,
) -> Outcome<Rotated> {
    let mut device = keep::device(tx, device)?
        .ok_or(PairError::UnknownRole)?
        .device;
    let approved = device
        .approved
        .get(role.as_str())
        .ok_or(PairError::UnknownRole)?;
    let covered = device.tokens.get(role.as_str()).map(|token| &token.scopes);
    let scopes = scopes.unwrap_or_else(|| covered.unwrap_or(approved).clone());
    // Each once, however often the caller says it: they are kept for as long as the device is known.
    let scopes = scopes::union(&[], &scopes);
    let beyond = |scope: &&String| !scopes::cover(approved, std::slice::from_ref(*scope));
    if let Some(scope) = scopes.iter().find(beyond) {
        return Err(PairError::NotApproved(scope.clone()));
    }
    if let Some(scope) = scopes::missing(rights, &scopes) {
        return Err(PairError::NotHeld(scope.to_owned()));
    }
    let token = device.replace_token(role, fresh_secret(), scopes, now);
    let rotated = Rotated {
        token: token.token.clone(),
        scopes: token.scopes.clone(),
        at: now,
    };
    keep::save(tx, &device, &Sighting::default())?;
    Ok(Done::ending(rotated, &device.id, role, TOKEN_ROTATED))
}

/// Ends a token. Since when it is worth nothing.
pub(crate) fn revoke(tx: &Connection, device: &str, role: Role, now: WallTime) -> Outcome<u64> {
    let mut device = keep::device(tx, device)?
        .ok_or(PairError::UnknownRole)?
        .device;
    let token = device
        .tokens
        .get_mut(role.as_str())
        .ok_or(PairError::UnknownRole)?;
    let since = *token.revoked_at_ms.get_or_insert(now.as_millis());
    keep::save(tx, &device, &Sighting::default())?;
    Ok(Done::ending(since, &device.id, role, TOKEN_REVOKED))
}

/// Forgets a device and whatever it asks for.
pub(crate) fn remove(tx: &Connection, device: &str, now: WallTime) -> Outcome<()> {
    let mut announcements = Vec::new();
    let requests = waiting(tx, now, &mut announcements)?;
    for request in requests.iter().filter(|request| request.device == device) {
        keep::drop_request(tx, &request.id)?;
        announcements.push(Announcement::resolved(request, PairDecision::Rejected, now));
    }
    if keep::forget(tx, device)? {
        Ok(Done {
            value: (),
            announcements,
            ended: vec![Ended {
                device: device.to_owned(),
                which: Which::All,
                why: REMOVED,
            }],
        })
    } else {
        Err(PairError::UnknownDevice)
    }
}

/// Gives a node the name that its owner calls it by.
pub(crate) fn rename_node(tx: &Connection, node: &str, name: &str) -> Result<(), PairError> {
    let mut device = keep::device(tx, node)?
        .map(|stored| stored.device)
        .filter(|device| device.has_role(Role::Node))
        .ok_or(PairError::UnknownNode)?;
    device.name = Some(name.to_owned());
    keep::save(tx, &device, &Sighting::default())?;
    Ok(())
}

/// The node whose token this is.
pub(crate) fn verify_node(
    connection: &Connection,
    node: &str,
    token: &str,
) -> Result<Option<Approved>, rusqlite::Error> {
    let Some(stored) = keep::device(connection, node)? else {
        return Ok(None);
    };
    let own = stored.device.tokens.get(Role::Node.as_str());
    if !own.is_some_and(|own| own.is(token)) {
        return Ok(None);
    }
    let facts = node::paired_node(connection, node)?.map(|node| node.facts);
    Ok(Some(Approved {
        stored,
        role: Role::Node,
        facts: facts.unwrap_or_default(),
    }))
}
