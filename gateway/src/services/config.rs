//! The configuration file, as clients are shown it and change it.
//!
//! The file is read here, again whenever it or one of its includes has changed. It is never written here: a change is made in the
//! text and handed to the supervisor, which judges it, writes it and puts it in force.
//!
//! Invariant: a secret leaves only in an answer that was asked for with secrets, and a hash is always that of the real bytes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use openclaw_shared::child::Control;
use openclaw_shared::clock::WallTime;
use openclaw_shared::config::write;
use openclaw_shared::config::{Outcome, load_candidate, schema, shown};
use openclaw_shared::credentials::Credentials;
use openclaw_shared::instance::VERSION;
use openclaw_shared::protocol::params::config::{ConfigSchemaReply, ConfigSnapshot};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::prepared::Prepared;

mod refusal;
mod view;

pub(crate) use refusal::Refused;
use view::View;

/// Changes that may be under way at once.
const WRITES: u32 = 16;
/// How long a life that is told to leave waits for its answers about changes to be given.
const SETTLING: Duration = Duration::from_secs(1);
/// How many values a patch may change. Each is an edit of the text.
const MAX_PATCH_VALUES: usize = 2_000;

/// What a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edit {
    /// The whole text.
    Replace,
    /// A merge patch.
    Patch,
}

/// A change that is in the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Done {
    /// What the file comes to, without its secrets.
    pub(crate) config: Value,
    pub(crate) outcome: Outcome,
}

/// The configuration file.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    reader: Arc<Reader>,
    control: Control,
    writes: Semaphore,
    schema: OnceLock<Prepared<ConfigSchemaReply>>,
}

/// What reading takes; it can be done where it makes nobody wait.
struct Reader {
    path: PathBuf,
    variables: BTreeMap<String, String>,
    seen: Mutex<Option<Arc<View>>>,
}

/// The variables hold secrets.
impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// The variables as the supervisor has them: those that hold the shared secrets are not handed down, the secrets are.
pub(crate) fn with_credentials(
    mut variables: BTreeMap<String, String>,
    credentials: Option<&Credentials>,
) -> BTreeMap<String, String> {
    let Some(credentials) = credentials else {
        return variables;
    };
    for (names, secret) in [
        (
            ["OPENCLAW_GATEWAY_TOKEN", "CLAWDBOT_GATEWAY_TOKEN"],
            &credentials.token,
        ),
        (
            ["OPENCLAW_GATEWAY_PASSWORD", "CLAWDBOT_GATEWAY_PASSWORD"],
            &credentials.password,
        ),
    ] {
        for name in names {
            if let Some(secret) = secret {
                variables
                    .entry(name.to_owned())
                    .or_insert_with(|| secret.expose().clone());
            }
        }
    }
    variables
}

impl Reader {
    /// What is known of the file, if that still holds.
    fn known(&self) -> Option<Arc<View>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.as_ref().filter(|view| view.holds()).cloned()
    }

    fn read(&self) -> Arc<View> {
        let view = Arc::new(View::read(&self.path, &self.variables));
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(view.clone());
        view
    }
}

impl ConfigFile {
    /// Asks the supervisor for a restart; the configuration says whether that counts.
    pub(crate) async fn ask_for_restart(&self) {
        self.control.ask_for_restart().await;
    }

    /// The file at this path.
    pub(crate) fn new(
        path: PathBuf,
        variables: BTreeMap<String, String>,
        control: Control,
    ) -> Self {
        Self {
            reader: Arc::new(Reader {
                path,
                variables,
                seen: Mutex::new(None),
            }),
            control,
            writes: Semaphore::new(WRITES as usize),
            schema: OnceLock::new(),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> String {
        self.reader.path.display().to_string()
    }

    /// The file as it is at this moment.
    pub(crate) async fn snapshot(
        &self,
        with_secrets: bool,
    ) -> Result<Prepared<ConfigSnapshot>, Refused> {
        let view = match self.reader.known() {
            Some(view) => view,
            None => {
                let reader = self.reader.clone();
                aside(move || reader.read()).await?
            }
        };
        Ok(view.snapshot(with_secrets))
    }

    /// What the file can say.
    pub(crate) fn schema(&self) -> Prepared<ConfigSchemaReply> {
        let prepare = || {
            Prepared::new(&ConfigSchemaReply {
                schema: schema::json_schema(),
                ui_hints: schema::ui_hints(),
                version: VERSION.to_owned(),
                generated_at: WallTime::now().to_rfc3339(),
            })
        };
        self.schema.get_or_init(prepare).clone()
    }

    /// Changes the file, and waits for what becomes of it.
    pub(crate) async fn change(
        &self,
        edit: Edit,
        raw: String,
        base_hash: Option<String>,
    ) -> Result<Done, Refused> {
        let _under_way = self.writes.try_acquire().map_err(|_| Refused::Busy)?;
        let reader = self.reader.clone();
        let (base_hash, text) = aside(move || {
            let view = reader.read();
            let base_hash = checked_base(&view, base_hash.as_deref())?;
            Ok::<_, Refused>((base_hash, new_text(&view, edit, &raw)?))
        })
        .await??;
        let outcome = self.control.write_config(base_hash, text.clone()).await?;
        if !outcome.is_accepted() {
            return Err(Refused::Outcome(outcome));
        }
        let reader = self.reader.clone();
        let config = aside(move || {
            let loaded = load_candidate(&reader.path, &text, &reader.variables);
            loaded.map_or_else(
                |_| Value::Object(Map::new()),
                |loaded| shown::value(&loaded.effective, true),
            )
        })
        .await?;
        Ok(Done { config, outcome })
    }

    /// Waits until every change that was asked for here is answered, though not for long. None is begun from then on.
    pub(crate) async fn settled(&self) {
        // One that is not answered by then is answered by whatever comes first, its outcome or the end.
        if let Ok(Ok(all)) = timeout(SETTLING, self.writes.acquire_many(WRITES)).await {
            all.forget();
        }
    }
}

/// Does something that takes a while where it makes nobody wait.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Refused::Failed)
}

/// The hash that the supervisor compares with: a change is made on the file as somebody saw it.
fn checked_base(view: &View, base_hash: Option<&str>) -> Result<Option<String>, Refused> {
    if !view.exists() {
        return Ok(None);
    }
    match base_hash {
        None => Err(Refused::NoBase),
        Some(base) if base != view.hash() => Err(Refused::OtherBase),
        Some(base) => Ok(Some(base.to_owned())),
    }
}

/// The text that the file is to have.
fn new_text(view: &View, edit: Edit, raw: &str) -> Result<String, Refused> {
    if edit == Edit::Patch && !view.is_valid() {
        return Err(Refused::Broken);
    }
    let text = shown::restore(raw, view.written())?;
    let value = shown::parse(&text)?;
    match edit {
        Edit::Replace => {
            write::refuse_forbidden_keys(&value)?;
            Ok(text)
        }
        Edit::Patch if !value.is_object() => Err(Refused::PatchNotAnObject),
        Edit::Patch if count(&value) > MAX_PATCH_VALUES => {
            Err(Refused::PatchTooLarge(MAX_PATCH_VALUES))
        }
        Edit::Patch => {
            let text = view.text().unwrap_or("{}\n");
            Ok(write::merge_patch(text, &value, view.effective())?)
        }
    }
}

/// How many values there are in a value that are no containers.
fn count(value: &Value) -> usize {
    match value {
        Value::Object(members) => members.values().map(count).sum(),
        Value::Array(elements) => elements.iter().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

#[cfg(test)]
mod tests;
