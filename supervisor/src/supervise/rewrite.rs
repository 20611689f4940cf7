//! A change of the configuration file that comes through us: from the command line, or from a client by way of the gateway.
//!
//! The supervisor is the only writer. A text is judged before it is written, so what is refused never reaches the file; what was
//! written and does not work is put back, if the file still is what we wrote.
//!
//! Invariant: whoever asked hears what became of it exactly once, after it is durable; a life of the gateway that is replaced for
//! it hears so before it is told to leave.

use std::path::{Path, PathBuf};

use openclaw_shared::config::write::{self, WriteError};
use openclaw_shared::config::{Outcome, RefusalCause, load_candidate};
use openclaw_shared::control::{ChildName, CliReply, ConfigState, Generation, ToChild};
use openclaw_shared::digest;
use tokio::sync::oneshot;

use super::change::{Prospect, Taken};
use super::child::Revision;
use super::fleet::Effect;
use super::view::ConfigView;
use super::{Supervisor, Until, Waiter, WaitsFor};

/// Who asked for a change.
#[derive(Debug)]
pub(super) enum Asker {
    /// A command.
    CommandLine(oneshot::Sender<CliReply>),
    /// One life of a child, by the number of its question. When that life is over, nobody waits any more.
    Child {
        child: ChildName,
        generation: Generation,
        ask: u64,
    },
}

/// A change of the file that came through us and is not in force yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rewrite {
    revision: Revision,
    /// The hash of what was written.
    written: String,
    /// What is put back when it does not work.
    before: Option<String>,
}

impl Supervisor {
    /// Writes the file for somebody, and tells what became of it.
    pub(super) fn write_config(&mut self, base_hash: Option<&str>, text: &str, asker: Asker) {
        match self.try_write(base_hash, text) {
            Ok((Taken::Ready(revision, effects), outcome)) => {
                self.wait_for(revision, asker, outcome);
                self.roll_out(revision, effects);
            }
            Ok((Taken::Underway(revision), outcome)) => {
                self.wait_for(revision, asker, outcome);
            }
            Ok((Taken::Unchanged | Taken::Waits, outcome)) => self.tell_outcome(asker, outcome),
            Err(refused) => self.tell_outcome(asker, refused),
        }
    }

    fn wait_for(&mut self, revision: Revision, asker: Asker, outcome: Outcome) {
        self.waiters.push(Waiter {
            until: Until::Revision(revision),
            waits_for: WaitsFor::Change(asker, outcome),
        });
    }

    /// Writes the file, and says what there is to tell when the change is in force.
    fn try_write(
        &mut self,
        base_hash: Option<&str>,
        text: &str,
    ) -> Result<(Taken, Outcome), Outcome> {
        if self.fleet.is_stopping() {
            let reason = "the instance is stopping";
            return Err(Outcome::refused(RefusalCause::Busy, reason));
        }
        let path = self.config_path();
        let before = write::current(&path).map_err(|error| unwritten(&error))?;
        let hash = digest::hex(before.as_deref().unwrap_or_default().as_bytes());
        if base_hash.map_or(before.is_some(), |base| base != hash) {
            let reason = "the file has changed since it was read; read it again";
            return Err(Outcome::refused(RefusalCause::Changed, reason));
        }
        let unusable = |reason| Outcome::refused(RefusalCause::Unusable, without_stop(reason));
        let loaded = load_candidate(&path, text, self.environment.variables())
            .map_err(|error| Outcome::invalid(&error))?;
        // All of this is known before the write, so that a configuration that cannot be taken never reaches the file.
        let settings = self.resolve(loaded).map_err(unusable)?;
        let prospect = self.consider(settings, None).map_err(unusable)?;
        if self.rolling.is_some() && prospect.waits() {
            // Written on top of a change that may be taken back, it could not be taken back with it.
            self.dismiss(prospect);
            let reason = "another change is being put in force; try again";
            return Err(Outcome::refused(RefusalCause::Busy, reason));
        }
        let written = match write::write_atomically(&path, text, base_hash) {
            Ok(written) => written.hash,
            Err(error) => {
                self.dismiss(prospect);
                return Err(unwritten(&error));
            }
        };
        tracing::info!(target: "config", hash = %written, "configuration file written");
        let outcome = outcome(&prospect);
        self.put_back = None;
        let taken = self.commit(prospect);
        match &taken {
            Taken::Ready(revision, _) => self.rewrites.push(Rewrite {
                revision: *revision,
                written,
                before,
            }),
            Taken::Underway(revision) => reworded(&mut self.rewrites, *revision, &hash, written),
            Taken::Unchanged | Taken::Waits => {}
        }
        Ok((taken, outcome))
    }

    /// A revision has come to its end: in force, or not and why. Says where the rejected text is kept, when the file was put back.
    pub(super) fn settle_rewrites(
        &mut self,
        revision: Revision,
        failed: Option<&str>,
    ) -> Option<PathBuf> {
        let ended = settle(&mut self.rewrites, revision, failed.is_some())?;
        let why = failed?;
        match put_back(&self.config_path(), &ended) {
            Ok(Some(kept)) => {
                tracing::warn!(target: "config", error = why, rejected = %kept.display(), "configuration file put back");
                self.config = ConfigView::not_ok(ConfigState::Rejected, why.to_owned());
                let restored = ended.before.as_deref().unwrap_or_default();
                self.put_back = Some(digest::hex(restored.as_bytes()));
                Some(kept)
            }
            Ok(None) => {
                tracing::warn!(target: "config", "the configuration file was edited meanwhile and is left alone");
                None
            }
            Err(error) => {
                tracing::error!(target: "config", %error, "the configuration file cannot be put back");
                None
            }
        }
    }

    /// The instance stops: what was written and is not in force yet counts from the next start.
    pub(super) fn defer_changes(&mut self) {
        let waiters = std::mem::take(&mut self.waiters);
        for Waiter { until, waits_for } in waiters {
            match waits_for {
                WaitsFor::Change(asker, outcome) => {
                    let keys = outcome.keys().to_vec();
                    self.tell_outcome(asker, Outcome::Pending { keys });
                }
                restart @ WaitsFor::Restart(_) => self.waiters.push(Waiter {
                    until,
                    waits_for: restart,
                }),
            }
        }
    }

    pub(super) fn tell_outcome(&self, asker: Asker, outcome: Outcome) {
        match asker {
            // Whoever asked may have left.
            Asker::CommandLine(reply) => {
                let _ = reply.send(CliReply::Written { outcome });
            }
            Asker::Child {
                child,
                generation,
                ask,
            } => self
                .lives
                .tell(child, generation, ToChild::Written { ask, outcome }),
        }
    }

    fn config_path(&self) -> PathBuf {
        self.settings_in_force()
            .instance
            .identity
            .config_path
            .clone()
    }
}

/// What there is to tell when this is in force, or waits.
fn outcome(prospect: &Prospect) -> Outcome {
    let change = &prospect.change;
    if !change.waiting.is_empty() {
        let keys = change.waiting.clone();
        return Outcome::Pending { keys };
    }
    let keys = change.keys.clone();
    let children: Vec<ChildName> = change
        .effects
        .iter()
        .filter(|(_, effect)| match effect {
            Effect::Hot => false,
            Effect::Replace | Effect::Start | Effect::Stop => true,
        })
        .map(|(child, _)| *child)
        .collect();
    if children.is_empty() {
        Outcome::Live { keys }
    } else {
        Outcome::Replaced { keys, children }
    }
}

fn unwritten(error: &WriteError) -> Outcome {
    let cause = match error {
        WriteError::Changed { .. } => RefusalCause::Changed,
        WriteError::Unreadable { .. } | WriteError::Unwritable { .. } => RefusalCause::Unwritable,
    };
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    Outcome::refused(
        cause,
        format!("failed to {error}{}", source.unwrap_or_default()),
    )
}

/// Refusals of the start are whole sentences.
fn without_stop(sentence: String) -> String {
    sentence
        .strip_suffix('.')
        .map(str::to_owned)
        .unwrap_or(sentence)
}

/// Takes out what has come to its end. A change that was made on one that failed goes back to what was there before both.
fn settle(rewrites: &mut Vec<Rewrite>, revision: Revision, failed: bool) -> Option<Rewrite> {
    let ended: Vec<Rewrite> = rewrites
        .extract_if(.., |rewrite| rewrite.revision <= revision)
        .collect();
    let first = ended.first().cloned()?;
    let last = ended.last().cloned()?;
    let ended = Rewrite {
        before: first.before,
        ..last
    };
    if failed
        && let Some(next) = rewrites.first_mut()
        && next
            .before
            .as_deref()
            .map(|text| digest::hex(text.as_bytes()))
            == Some(ended.written.clone())
    {
        next.before.clone_from(&ended.before);
    }
    Some(ended)
}

/// What a revision was made from says the same in other words now. When somebody else's words came between, it is left alone.
fn reworded(rewrites: &mut [Rewrite], revision: Revision, before: &str, written: String) {
    for rewrite in rewrites {
        if rewrite.revision == revision && rewrite.written == before {
            rewrite.written = written;
            return;
        }
    }
}

/// Puts the file back as it was before our own change, and keeps the rejected text beside it. `None` when somebody else has
/// edited the file since.
fn put_back(path: &Path, rewrite: &Rewrite) -> Result<Option<PathBuf>, String> {
    // What cannot be read is not what we wrote.
    let current = write::current(path).ok().flatten().unwrap_or_default();
    if digest::hex(current.as_bytes()) != rewrite.written {
        return Ok(None);
    }
    let beside = PathBuf::from(format!("{}.rejected", path.display()));
    write::replace_private(&beside, current.as_bytes()).map_err(|error| error.to_string())?;
    match &rewrite.before {
        Some(before) => {
            write::write_atomically(path, before, Some(&rewrite.written))
                .map_err(|error| error.to_string())?;
        }
        None => std::fs::remove_file(path).map_err(|error| error.to_string())?,
    }
    Ok(Some(beside))
}

#[cfg(test)]
mod tests {
    use openclaw_shared::digest;

    use super::{Revision, Rewrite, put_back, reworded, settle};

    fn rewrite(revision: u64, before: &str, written: &str) -> Rewrite {
        Rewrite {
            revision: Revision(revision),
            written: digest::hex(written.as_bytes()),
            before: Some(before.to_owned()),
        }
    }

    #[test]
    fn a_change_made_on_one_that_failed_goes_back_to_what_was_before_both() {
        let mut rewrites = vec![rewrite(2, "good", "bad"), rewrite(3, "bad", "worse")];
        let ended = settle(&mut rewrites, Revision(2), true).unwrap();
        assert_eq!(ended, rewrite(2, "good", "bad"));
        let ended = settle(&mut rewrites, Revision(3), true).unwrap();
        assert_eq!(ended.before.as_deref(), Some("good"));
        assert_eq!(rewrites, []);
    }

    #[test]
    fn a_change_made_on_one_that_is_in_force_goes_back_to_that() {
        let mut rewrites = vec![rewrite(2, "good", "better"), rewrite(3, "better", "bad")];
        settle(&mut rewrites, Revision(2), false).unwrap();
        let ended = settle(&mut rewrites, Revision(3), true).unwrap();
        assert_eq!(ended.before.as_deref(), Some("better"));
    }

    #[test]
    fn changes_that_end_together_go_back_to_what_was_before_the_first() {
        let mut rewrites = vec![rewrite(2, "good", "a"), rewrite(3, "a", "b")];
        let ended = settle(&mut rewrites, Revision(3), true).unwrap();
        assert_eq!(ended.before.as_deref(), Some("good"));
        assert_eq!(ended.written, digest::hex(b"b"));
    }
    #[test]
    fn a_change_worded_anew_while_it_rolls_out_is_put_back_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openclaw.json");
        std::fs::write(&path, "bad // again").unwrap();
        let mut rewrites = vec![rewrite(2, "good", "bad")];
        let bad = digest::hex(b"bad");
        reworded(
            &mut rewrites,
            Revision(2),
            &bad,
            digest::hex(b"bad // again"),
        );
        let ended = settle(&mut rewrites, Revision(2), true).unwrap();
        let kept = put_back(&path, &ended)
            .unwrap()
            .expect("the file is ours still");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "good");
        assert_eq!(std::fs::read_to_string(kept).unwrap(), "bad // again");
    }

    #[test]
    fn what_somebody_else_wrote_meanwhile_is_left_alone() {
        let mut rewrites = vec![rewrite(2, "good", "bad")];
        let theirs = digest::hex(b"theirs");
        reworded(&mut rewrites, Revision(2), &theirs, digest::hex(b"ours"));
        assert_eq!(rewrites, [rewrite(2, "good", "bad")]);
    }
}
