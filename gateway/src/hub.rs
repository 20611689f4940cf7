//! Who is connected, and how an event reaches all of them.
//!
//! A service publishes a value and knows no client. The payload is serialised once; what differs by connection (`seq`) is
//! spliced in when the frame is queued.
//!
//! Invariant: publishing never waits. A client that does not read loses events or its connection, see
//! [`crate::connection::outbound`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openclaw_shared::protocol::event::{Event, Shutdown, ShutdownPayload};
use openclaw_shared::protocol::snapshot::StateVersion;
use tokio::sync::Notify;

use crate::connection::link::{Admitted, Leave, Link, LinkId};
use crate::connection::notice::{Notice, event_head};
use crate::limits::{BYTES_OF_STRANGERS, UNAUTHENTICATED_SOCKETS, UNAUTHENTICATED_SOCKETS_OF_ONE};
use crate::metrics::Traffic;
use crate::prepared::Prepared;

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    next: AtomicU64,
    traffic: Arc<Traffic>,
    links: Mutex<Links>,
    /// Rings when the last connection has gone.
    empty: Notify,
    /// How many blocks of events are being published that go out together.
    gathering: AtomicUsize,
    /// What everybody was told at the end; whoever comes later is told too.
    farewell: Mutex<Option<Prepared<ShutdownPayload>>>,
}

#[derive(Debug, Default)]
struct Links {
    /// Not authenticated yet, the oldest first, with the address of each that comes from another machine.
    strangers: BTreeMap<LinkId, (Arc<Link>, Option<IpAddr>)>,
    admitted: BTreeMap<LinkId, Arc<Link>>,
    /// What all strangers have sent of frames that are not complete, in bytes.
    held: usize,
    /// How many have gone since somebody asked.
    departed: usize,
}

impl Links {
    /// Takes a link from the strangers, if it is one.
    fn forget_stranger(&mut self, id: LinkId) {
        if let Some((link, _)) = self.strangers.remove(&id) {
            self.held -= link.hold(0);
        }
    }

    /// Ends a stranger to make room.
    fn evict(&mut self, id: LinkId) {
        if let Some((link, _)) = self.strangers.get(&id) {
            link.cut();
        }
        self.forget_stranger(id);
    }

    /// Who must go for another stranger to come from this address.
    fn in_the_way_of(&self, address: Option<IpAddr>) -> Option<LinkId> {
        if let Some(address) = address {
            let mut same = self
                .strangers
                .iter()
                .filter(|(_, (_, other))| *other == Some(address));
            let oldest = same.next();
            if same.count() + 1 >= UNAUTHENTICATED_SOCKETS_OF_ONE {
                return oldest.map(|(id, _)| *id);
            }
        }
        let oldest = self.strangers.keys().next();
        oldest
            .filter(|_| self.strangers.len() >= UNAUTHENTICATED_SOCKETS)
            .copied()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each critical section leaves its value whole, so a poisoned lock is as good as any.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    fn links(&self) -> MutexGuard<'_, Links> {
        lock(&self.links)
    }

    /// What goes to clients, counted.
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// A number that no connection has, for a caller within this process.
    pub(crate) fn number(&self) -> LinkId {
        LinkId(self.next.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// A socket was opened. At the cap, that of its address or that of all, the stranger that has been silent for longest
    /// makes room.
    pub(crate) fn enter(&self, address: Option<IpAddr>) -> Arc<Link> {
        let address = address.filter(|address| !address.is_loopback());
        self.traffic.opened.one();
        let link = Arc::new(Link::new(self.number(), self.traffic.clone()));
        let mut links = self.links();
        if let Some(oldest) = links.in_the_way_of(address) {
            links.evict(oldest);
        }
        links.strangers.insert(link.id, (link.clone(), address));
        link
    }

    /// A stranger has sent so many bytes of a frame that is not complete. When all together hold too much, the oldest that
    /// holds anything makes room.
    pub(crate) fn hold(&self, link: &Link, bytes: usize) {
        let mut links = self.links();
        if !links.strangers.contains_key(&link.id) {
            return;
        }
        links.held -= link.hold(bytes);
        links.held += bytes;
        while links.held > BYTES_OF_STRANGERS {
            let mut strangers = links.strangers.iter();
            let Some((&oldest, _)) = strangers.find(|(_, (one, _))| one.holds_something()) else {
                return;
            };
            links.evict(oldest);
        }
    }

    /// How many connections have ended since this was asked before.
    pub(crate) fn take_departed(&self) -> usize {
        std::mem::take(&mut self.links().departed)
    }

    /// A client has authenticated: from now on it sees events.
    pub(crate) fn admit(&self, link: &Arc<Link>, admitted: Admitted) {
        link.admit(admitted);
        {
            let mut links = self.links();
            links.forget_stranger(link.id);
            links.admitted.insert(link.id, link.clone());
        }
        if let Some(farewell) = &*lock(&self.farewell) {
            link.offer(&mut Notice::of::<Shutdown>(
                farewell,
                StateVersion::default(),
            ));
            link.leave(Leave::Restart);
        }
    }

    /// A connection is over.
    pub(crate) fn leave(&self, id: LinkId) {
        let mut links = self.links();
        links.forget_stranger(id);
        links.admitted.remove(&id);
        links.departed += 1;
        if links.strangers.is_empty() && links.admitted.is_empty() {
            self.empty.notify_one();
        }
    }

    /// Resolves when nobody is left.
    pub(crate) async fn emptied(&self) {
        while self.counts() != (0, 0) {
            self.empty.notified().await;
        }
    }

    /// How many clients are connected, and how many sockets have not authenticated.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let links = self.links();
        (links.admitted.len(), links.strangers.len())
    }

    /// The devices that are connected.
    pub(crate) fn devices(&self) -> BTreeSet<Arc<str>> {
        let links = self.links();
        let devices = links.admitted.values().filter_map(|link| link.device());
        devices.collect()
    }

    /// Sends an event to everybody who may see it.
    pub(crate) fn publish<E: Event>(&self, payload: &Prepared<E::Payload>, version: StateVersion) {
        self.offer(Notice::of::<E>(payload, version));
        tracing::debug!(target: "gateway/ws", event = E::NAME, bytes = payload.json().len(), "event published");
    }

    /// The same, of which a client with too much waiting loses this one, because the next one says it too.
    pub(crate) fn publish_if_taken<E: Event>(
        &self,
        payload: &Prepared<E::Payload>,
        version: StateVersion,
    ) {
        let mut notice = Notice::of::<E>(payload, version);
        notice.may_be_lost = true;
        self.offer(notice);
    }

    fn offer(&self, mut notice: Notice) {
        notice.is_followed = self.gathering.load(Ordering::Relaxed) > 0;
        let mut sent = 0;
        for link in self.links().admitted.values() {
            sent += u64::from(link.offer(&mut notice));
        }
        self.traffic.events.add(sent);
    }

    /// Publishes several events at once: each client is written to once for all of them. Nothing is awaited in between.
    pub(crate) fn together(&self, publish: impl FnOnce()) {
        self.gathering.fetch_add(1, Ordering::Relaxed);
        let gathered = Gathered(self);
        publish();
        drop(gathered);
    }

    /// Tells everybody that this life ends, and asks them, but for those who have something to finish, to finish what was read and
    /// to go; whoever is let in from now on gets the same.
    pub(crate) fn send_away(
        &self,
        farewell: Prepared<ShutdownPayload>,
        version: StateVersion,
        but_for: &BTreeSet<LinkId>,
    ) {
        self.publish::<Shutdown>(&farewell, version);
        *lock(&self.farewell) = Some(farewell);
        for (id, link) in &self.links().admitted {
            if !but_for.contains(id) {
                link.leave(Leave::Restart);
            }
        }
    }

    /// A client that is connected.
    pub(crate) fn link(&self, id: LinkId) -> Option<Arc<Link>> {
        self.links().admitted.get(&id).cloned()
    }

    /// Sends an event to one client, without `seq`. Whether it is connected and takes it.
    pub(crate) fn send_to<E: Event>(&self, id: LinkId, payload: &Prepared<E::Payload>) -> bool {
        self.link(id)
            .is_some_and(|link| link.send(&event_head(E::NAME, payload.json())))
    }

    /// Ends the clients that a rule names: what they were let in by counts no more. What they have asked already is answered if
    /// that takes a moment.
    pub(crate) fn revoke(&self, why: &'static str, is_meant: impl Fn(&Admitted) -> bool) {
        for link in self.links().admitted.values() {
            if link.admitted().is_some_and(|admitted| is_meant(&admitted)) {
                link.leave(Leave::Revoked(why));
            }
        }
    }

    /// Closes the sockets on which nobody has said who it is.
    pub(crate) fn dismiss_strangers(&self, code: u16, reason: &str) {
        for (link, _) in self.links().strangers.values() {
            link.condemn(code, reason);
        }
    }

    /// Closes what has not gone by itself.
    pub(crate) fn cut_off(&self, code: u16, reason: &str) {
        let links = self.links();
        let strangers = links.strangers.values().map(|(link, _)| link);
        for link in links.admitted.values().chain(strangers) {
            link.condemn(code, reason);
        }
    }

    /// Pings the silent ones and gives up the vanished ones.
    pub(crate) fn look_after(&self, elapsed: Duration) {
        for link in self.links().admitted.values() {
            link.look_after(elapsed);
        }
    }
}

/// A block of events that are published; when it ends, they go out.
struct Gathered<'a>(&'a Hub);

impl Drop for Gathered<'_> {
    fn drop(&mut self) {
        if self.0.gathering.fetch_sub(1, Ordering::Relaxed) == 1 {
            for link in self.0.links().admitted.values() {
                link.let_go();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::Hub;
    use crate::limits::{
        BYTES_OF_STRANGERS, UNAUTHENTICATED_SOCKETS, UNAUTHENTICATED_SOCKETS_OF_ONE,
    };

    #[test]
    fn rule_68_at_the_cap_the_oldest_stranger_makes_room() {
        let hub = Hub::default();
        let first = hub.enter(None);
        let second = hub.enter(None);
        for _ in 2..UNAUTHENTICATED_SOCKETS {
            hub.enter(None);
        }
        assert!(!first.is_cut());
        hub.enter(None);
        assert!(first.is_cut() && !second.is_cut());
        assert_eq!(hub.counts(), (0, UNAUTHENTICATED_SOCKETS));
    }

    #[test]
    fn rule_68_one_address_cannot_take_the_place_of_the_others() {
        let hub = Hub::default();
        let flooder: IpAddr = "192.0.2.1".parse().unwrap();
        let other = hub.enter("192.0.2.2".parse().ok());
        let local = hub.enter("127.0.0.1".parse().ok());
        let first = hub.enter(Some(flooder));
        for _ in 0..UNAUTHENTICATED_SOCKETS {
            hub.enter(Some(flooder));
        }
        assert!(first.is_cut() && !other.is_cut() && !local.is_cut());
        assert_eq!(hub.counts(), (0, UNAUTHENTICATED_SOCKETS_OF_ONE + 2));
    }

    #[test]
    fn rule_68_strangers_with_half_a_frame_hold_a_bounded_number_of_bytes() {
        let hub = Hub::default();
        let silent = hub.enter(None);
        let holders: Vec<_> = (0..5).map(|_| hub.enter(None)).collect();
        for holder in &holders {
            hub.hold(holder, 1000);
            hub.hold(holder, BYTES_OF_STRANGERS / 4);
        }
        let cut: Vec<bool> = holders.iter().map(|holder| holder.is_cut()).collect();
        assert_eq!(cut, [true, false, false, false, false]);
        assert!(!silent.is_cut());
        hub.leave(holders[1].id);
        let late = hub.enter(None);
        hub.hold(&late, BYTES_OF_STRANGERS / 4);
        assert!(!late.is_cut() && !holders[2].is_cut());
    }
}
