//! Announces this gateway for as long as it serves.
//!
//! A life that is replaced falls silent without a word, and its successor announces the same name at once: nobody who looks sees
//! the gateway go. A name that another gateway of the network has is avoided by a number, and the number is kept, so that
//! the name stays the same from one life to the next.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use mdns_sd::{DaemonEvent, IfKind, ServiceDaemon, ServiceInfo};
use openclaw_shared::config::write::replace_private;
use openclaw_shared::control::{Generation, StopReason};
use openclaw_shared::discovery::{DOMAIN, SERVICE};
use openclaw_shared::instance::Environment;
use openclaw_shared::paths::StatePaths;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::beacon::{Announcement, Facts, Reach, announcement};
use crate::context::Context;

/// How long a leave-taking may hold up a stop.
const GOODBYE: Duration = Duration::from_secs(1);

/// What announces the gateway.
#[derive(Debug, Default)]
pub(crate) struct Announcer(Option<Voice>);

struct Voice {
    daemon: ServiceDaemon,
    service: String,
    hearing: JoinHandle<()>,
}

impl fmt::Debug for Voice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Voice")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl Announcer {
    /// Begins, if there is anything to announce. It works on a thread of its own and fails quietly: a gateway serves without it.
    pub(crate) fn begin(context: &Context, generation: Generation) -> Self {
        let instance = &context.instance;
        let program = std::env::current_exe().ok();
        let program = program.map(|own| own.with_file_name("openclaw"));
        let settings = context.settings();
        let announcement = announcement(&Facts {
            mode: settings.announces,
            environment: &Environment::from_process(),
            machine: &context.machine.host,
            profile: instance.identity.profile.name(),
            hosts: &instance.hosts,
            ports: &instance.ports,
            has_canvas: settings.has_canvas,
            program: program.as_deref(),
        });
        let Some(announcement) = announcement else {
            return Self(None);
        };
        let kept = StatePaths(&instance.identity.state_dir).announced_name();
        match Voice::raise(&announcement, generation, kept) {
            Ok(voice) => {
                tracing::info!(target: "discovery", name = %announcement.name, reach = ?announcement.reach, "announcing");
                Self(Some(voice))
            }
            Err(error) => {
                tracing::warn!(target: "discovery", %error, "this gateway is not announced in the local network");
                Self(None)
            }
        }
    }

    /// Ends. Who looks hears of it, unless a successor goes on.
    pub(crate) async fn end(self, reason: StopReason) {
        let Some(voice) = self.0 else { return };
        voice.hearing.abort();
        match reason {
            StopReason::Replaced => voice.hush(),
            StopReason::Stop | StopReason::Disabled => voice.part().await,
        }
    }
}

impl Voice {
    fn raise(
        announcement: &Announcement,
        generation: Generation,
        kept: PathBuf,
    ) -> mdns_sd::Result<Self> {
        let daemon = ServiceDaemon::new()?;
        let interfaces = interfaces(&announcement.reach);
        daemon.disable_interface(IfKind::All)?;
        daemon.enable_interface(interfaces.clone())?;
        let known = std::fs::read_to_string(&kept).ok();
        let known = known
            .as_deref()
            .and_then(|text| recall(text, &announcement.name));
        let is_known = known.is_some();
        let name = known.unwrap_or_else(|| announcement.name.clone());
        let mut service = ServiceInfo::new(
            &format!("{SERVICE}.{DOMAIN}"),
            &name,
            &announcement.host,
            "",
            announcement.port,
            announcement.properties.as_slice(),
        )?
        .enable_addr_auto();
        service.set_interfaces(interfaces);
        // A successor has the name of its predecessor, and would ask whether that is somebody else.
        service.set_requires_probe(generation.0 <= 1 || !is_known);
        let full_name = service.get_fullname().to_owned();
        let heard = daemon.monitor()?;
        daemon.register(service)?;
        let wanted = announcement.name.clone();
        let hearing = tokio::spawn(async move {
            while let Ok(event) = heard.recv_async().await {
                #[expect(
                    clippy::wildcard_enum_match_arm,
                    reason = "the events are the library's, and grow with it"
                )]
                match event {
                    DaemonEvent::Announce(name, _) => keep(&kept, &wanted, &name),
                    DaemonEvent::NameChange(change) => {
                        tracing::info!(target: "discovery", from = %change.original, to = %change.new_name, "another gateway has this name");
                    }
                    DaemonEvent::Error(error) => {
                        tracing::warn!(target: "discovery", %error, "trouble in the local network");
                    }
                    _ => {}
                }
            }
        });
        Ok(Self {
            daemon,
            service: full_name,
            hearing,
        })
    }

    /// Says nothing more, also not that it goes.
    fn hush(self) {
        // What still answers for a moment says what the successor says.
        let _ = self.daemon.disable_interface(IfKind::All);
    }

    /// Says that it goes.
    async fn part(self) {
        let said = match self.daemon.unregister(&self.service) {
            Ok(said) => said,
            Err(error) => {
                tracing::debug!(target: "discovery", %error, "no leave was taken");
                return;
            }
        };
        // Who has not heard of it forgets us within two minutes.
        let _ = timeout(GOODBYE, said.recv_async()).await;
        if let Ok(ended) = self.daemon.shutdown() {
            let _ = timeout(GOODBYE, ended.recv_async()).await;
        }
    }
}

fn interfaces(reach: &Reach) -> Vec<IfKind> {
    match reach {
        Reach::Loopback => vec![IfKind::LoopbackV4],
        Reach::Addresses(addresses) => addresses.iter().copied().map(of_address).collect(),
        Reach::Everywhere => vec![IfKind::All],
    }
}

const fn of_address(address: IpAddr) -> IfKind {
    IfKind::Addr(address)
}

/// The name that was announced the last time, when this one was wanted then too.
fn recall(text: &str, wanted: &str) -> Option<String> {
    let (was_wanted, had) = text.trim_end().split_once('\n')?;
    (was_wanted == wanted && had.starts_with(wanted)).then(|| had.to_owned())
}

fn keep(file: &std::path::Path, wanted: &str, announced: &str) {
    let suffix = format!(".{SERVICE}.{DOMAIN}");
    let Some(name) = announced.strip_suffix(&suffix) else {
        return;
    };
    let text = format!("{wanted}\n{name}\n");
    if std::fs::read_to_string(file).is_ok_and(|kept| kept == text) {
        return;
    }
    if let Err(error) = replace_private(file, text.as_bytes()) {
        tracing::debug!(target: "discovery", %error, "the name is not kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_for_as_long_as_it_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("name");
        keep(
            &file,
            "a (OpenClaw)",
            "a (OpenClaw) (2)._openclaw-gw._tcp.local.",
        );
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(
            recall(&text, "a (OpenClaw)").as_deref(),
            Some("a (OpenClaw) (2)")
        );
        assert_eq!(recall(&text, "b (OpenClaw)"), None);
        assert_eq!(recall("garbage", "garbage"), None);
    }
}
