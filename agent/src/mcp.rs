//! Servers that speak the Model Context Protocol, as a source of tools.
//!
//! A server is started when its tools are wanted first, and again after it has ended. A program runs under a keeper like any command,
//! so that nothing of it outlives whoever holds [`McpServers`]; what it says on its error output goes to the log.
//!
//! Invariant: a server costs whoever calls it at most its time limit, and what it answers is bounded. A call is made once: one that was
//! cut off may have had its effect.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, join_all};
use http::{HeaderName, HeaderValue};
use openclaw_exec::environment::HostEnvironment;
use openclaw_exec::keeper::Keeper;
use openclaw_exec::policy::programs::{Disk, Site};
use openclaw_exec::process::{self, Output, Step, Task};
use openclaw_shared::clock::Moment;
use openclaw_shared::log::printable;
use openclaw_shared::secret::Secret;
use openclaw_shared::transcript::Part;
use rmcp::ClientHandler;
use rmcp::model::{CallToolRequestParams, CallToolResult, ContentBlock};
use rmcp::service::{NotificationContext, Peer, RoleClient, RunningService, ServiceExt as _};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::json;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::model::ToolSpec;
use crate::tool::{Call, Tool, ToolError, ToolOutput};

mod offers;

use offers::Offer;

/// How long a server may take to begin and to say what it has.
const BEGINNING: Duration = Duration::from_secs(30);
/// How long a server that did not begin is left alone.
const REST: Duration = Duration::from_secs(30);
/// The longest message of a server, in bytes.
const LONGEST_LINE: usize = 8 * 1024 * 1024;
/// How much text of an answer is kept, in characters.
const MOST_TEXT: usize = 100_000;
/// The largest picture that is kept, in characters of base64.
const LARGEST_PICTURE: usize = 7 * 1024 * 1024;
/// How much of a line on the error output is logged, in bytes.
const LONGEST_LOGGED: usize = 400;

/// How a server is reached.
#[derive(Debug, Clone)]
pub enum McpReach {
    /// It is a program.
    Program {
        /// Its name or path.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Its variables, besides those of every command.
        env: BTreeMap<String, Secret<String>>,
        /// The folder it runs in.
        cwd: PathBuf,
    },
    /// It is there already, at this address.
    Address {
        /// The address.
        url: String,
        /// What is sent with each request.
        headers: BTreeMap<String, Secret<String>>,
    },
}

/// A server.
#[derive(Debug, Clone)]
pub struct McpSettings {
    /// How it is reached.
    pub reach: McpReach,
    /// How long a call may take.
    pub limit: Duration,
}

/// The servers of a gateway. Their programs end when the last of these goes.
#[derive(Clone)]
pub struct McpServers {
    servers: Rc<Vec<Rc<Server>>>,
}

impl McpServers {
    /// Nothing is started yet. This and everything after it happens on one thread, within a local set or runtime.
    #[must_use]
    pub fn new(
        settings: BTreeMap<String, McpSettings>,
        keeper: &Keeper,
        host: &HostEnvironment,
    ) -> Self {
        let servers = settings.into_iter().map(|(name, settings)| {
            Rc::new(Server {
                name,
                settings,
                keeper: keeper.clone(),
                host: host.clone(),
                state: Mutex::default(),
            })
        });
        Self {
            servers: Rc::new(servers.collect()),
        }
    }

    /// The tools of all servers that can be reached. Servers that do not run are started.
    pub async fn tools(&self) -> Vec<Rc<dyn Tool>> {
        let each = self.servers.iter().map(|server| async {
            match server.peer().await {
                Ok((_, offers)) => offers
                    .iter()
                    .map(|offer| {
                        Rc::new(McpTool {
                            spec: offer.spec.clone(),
                            remote: offer.remote.clone(),
                            server: Rc::clone(server),
                        }) as Rc<dyn Tool>
                    })
                    .collect(),
                Err(error) => {
                    tracing::warn!(target: "mcp", server = server.name, %error, "an MCP server cannot be used");
                    Vec::new()
                }
            }
        });
        join_all(each).await.into_iter().flatten().collect()
    }
}

struct Server {
    name: String,
    settings: McpSettings,
    keeper: Keeper,
    host: HostEnvironment,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    /// When it failed to begin, and why.
    failed: Option<(Moment, String)>,
}

struct Running {
    service: RunningService<RoleClient, Listener>,
    offers: Rc<Vec<Offer>>,
    /// Its program; it ends with this.
    _program: JoinSet<()>,
}

/// Hears what a server says by itself.
#[derive(Debug, Clone, Default)]
struct Listener {
    /// Whether its tools are others than it has said.
    has_changed: Arc<AtomicBool>,
}

impl ClientHandler for Listener {
    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.has_changed.store(true, Ordering::Relaxed);
    }
}

impl Running {
    /// Asks the server again what it has, if it has said that this is something else. What was known holds if it does not answer.
    async fn look_again(&mut self, server: &str) {
        let has_changed = &self.service.service().has_changed;
        if !has_changed.swap(false, Ordering::Relaxed) {
            return;
        }
        match timeout(BEGINNING, offers::ask(self.service.peer(), server)).await {
            Ok(Ok(offers)) => self.offers = Rc::new(offers),
            Ok(Err(error)) => {
                tracing::warn!(target: "mcp", server, error, "an MCP server does not say which tools it has");
            }
            Err(_late) => {
                tracing::warn!(target: "mcp", server, "an MCP server does not say in time which tools it has");
            }
        }
    }
}

impl Server {
    /// Whoever can be asked, started if there is nobody.
    async fn peer(&self) -> Result<(Peer<RoleClient>, Rc<Vec<Offer>>), String> {
        let mut state = self.state.lock().await;
        if let Some(running) = &mut state.running
            && !running.service.is_closed()
            && !running.service.peer().is_transport_closed()
        {
            running.look_again(&self.name).await;
            return Ok((running.service.peer().clone(), Rc::clone(&running.offers)));
        }
        state.running = None;
        if let Some((at, why)) = &state.failed
            && Moment::now().since(*at) < REST
        {
            return Err(why.clone());
        }
        let began = timeout(BEGINNING, self.begin()).await;
        match began.unwrap_or_else(|_| Err("it did not begin in time".to_owned())) {
            Ok(running) => {
                tracing::info!(target: "mcp", server = self.name, tools = running.offers.len(), "an MCP server has begun");
                let answer = (running.service.peer().clone(), Rc::clone(&running.offers));
                *state = State {
                    running: Some(running),
                    failed: None,
                };
                Ok(answer)
            }
            Err(why) => {
                state.failed = Some((Moment::now(), why.clone()));
                Err(why)
            }
        }
    }

    async fn begin(&self) -> Result<Running, String> {
        let mut program = JoinSet::new();
        let service = match &self.settings.reach {
            McpReach::Program { .. } => {
                let (read, write) = self.start(&mut program)?;
                let transport =
                    AsyncRwTransport::new_client(read, write).with_max_line_length(LONGEST_LINE);
                Listener::default()
                    .serve(transport)
                    .await
                    .map_err(|error| error.to_string())?
            }
            McpReach::Address { url, headers } => {
                let transport = over_http(url, headers)?;
                Listener::default()
                    .serve(transport)
                    .await
                    .map_err(|error| error.to_string())?
            }
        };
        let offers = offers::ask(service.peer(), &self.name).await?;
        Ok(Running {
            offers: Rc::new(offers),
            service,
            _program: program,
        })
    }

    /// Starts its program, and gives its output and its input.
    fn start(&self, program: &mut JoinSet<()>) -> Result<(Receiver, Sender), String> {
        let McpReach::Program {
            command,
            args,
            env,
            cwd,
        } = &self.settings.reach
        else {
            return Err("it is no program".to_owned());
        };
        let site = Site {
            files: &Disk,
            cwd,
            path: &self.host.path,
            home: self.host.home.as_deref(),
        };
        let located = site.locate(command);
        let located = located.ok_or_else(|| format!("there is no program {command}"))?;
        let piped = |error: io::Error| format!("no pipe: {error}");
        let (input, write) = io::pipe().map_err(piped)?;
        let (read, output) = io::pipe().map_err(piped)?;
        let requested = env
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().clone()))
            .collect();
        let task = Task {
            program: Some(located.found),
            argv: std::iter::once(command).chain(args).cloned().collect(),
            cwd: cwd.clone(),
            variables: self.host.with(&requested),
            limit: None,
            input: Some(input.into()),
            output: Output::To(output.into()),
        };
        let (keeper, name) = (self.keeper.clone(), self.name.clone());
        program.spawn_local(async move {
            let mut errors = Lines::default();
            let ended = process::follow(&keeper, task, std::future::pending(), &mut |step| {
                if let Step::Errors(piece) = step {
                    errors.take(piece, |line| {
                        tracing::info!(target: "mcp", server = name, line, "an MCP server says");
                    });
                }
            })
            .await;
            let (code, signal) = (ended.exit_code, ended.signal);
            tracing::warn!(target: "mcp", server = name, code, signal, error = ended.error, "an MCP server has ended");
        });
        let read = Receiver::from_owned_fd(read.into()).map_err(piped)?;
        let write = Sender::from_owned_fd(write.into()).map_err(piped)?;
        Ok((read, write))
    }
}

fn over_http(
    url: &str,
    headers: &BTreeMap<String, Secret<String>>,
) -> Result<StreamableHttpClientTransport<reqwest::Client>, String> {
    crate::model::provider::use_ring();
    let mut sent = HashMap::new();
    for (name, value) in headers {
        let wrong = || format!("the header {name} cannot be sent");
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        sent.insert(HeaderName::try_from(name).map_err(|_| wrong())?, value);
    }
    // What is sent with a request is for this address only.
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build()
        .map_err(|error| error.to_string())?;
    let config = StreamableHttpClientTransportConfig::with_uri(url)
        .custom_headers(sent)
        .max_sse_event_size(LONGEST_LINE)
        .max_json_response_size(LONGEST_LINE);
    Ok(StreamableHttpClientTransport::with_client(client, config))
}

/// Lines of bytes, each cut.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
}

impl Lines {
    fn take(&mut self, piece: &[u8], tell: impl Fn(&str)) {
        for byte in piece {
            if *byte == b'\n' {
                tell(&printable(&String::from_utf8_lossy(&self.line)));
                self.line.clear();
            } else if self.line.len() < LONGEST_LOGGED {
                self.line.push(*byte);
            }
        }
    }
}

struct McpTool {
    spec: ToolSpec,
    remote: String,
    server: Rc<Server>,
}

impl Tool for McpTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Result<ToolOutput, ToolError>> {
        async move {
            let server = &self.server.name;
            let (peer, _) = self.server.peer().await.map_err(|error| {
                ToolError(format!("the MCP server {server} cannot be used: {error}"))
            })?;
            let params =
                CallToolRequestParams::new(self.remote.clone()).with_arguments(call.arguments);
            let limit = self.server.settings.limit;
            match timeout(limit, peer.call_tool(params)).await {
                Ok(Ok(result)) => Ok(output(result)),
                Ok(Err(error)) => Err(ToolError(format!("the MCP server {server}: {error}"))),
                Err(_late) => Err(ToolError(format!(
                    "the MCP server {server} did not answer within {} seconds",
                    limit.as_secs_f64()
                ))),
            }
        }
        .boxed_local()
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum of the SDK may grow, and everything else is shown alike"
)]
fn output(result: CallToolResult) -> ToolOutput {
    let mut room = MOST_TEXT;
    let mut content = Vec::new();
    for block in result.content {
        match block {
            ContentBlock::Text(text) => content.push(Part::text(cut(&text.text, &mut room))),
            ContentBlock::Image(image) if image.data.len() <= LARGEST_PICTURE => {
                content.push(Part::Image {
                    data: image.data,
                    mime_type: image.mime_type,
                });
            }
            ContentBlock::Image(_) => content.push(Part::text("[an image that is too large]")),
            ContentBlock::Audio(_) => content.push(Part::text("[a sound, which is not heard]")),
            other => {
                let text = serde_json::to_string(&other).unwrap_or_default();
                content.push(Part::text(cut(&text, &mut room)));
            }
        }
    }
    if content.is_empty()
        && let Some(structured) = &result.structured_content
    {
        content.push(Part::text(cut(&format!("{structured:#}"), &mut room)));
    }
    let is_error = result.is_error == Some(true);
    let status = if is_error { "error" } else { "completed" };
    ToolOutput {
        content,
        details: json!({ "status": status }),
        is_error,
    }
}

/// As much of a text as there is room for.
fn cut(text: &str, room: &mut usize) -> String {
    let kept: String = text.chars().take(*room).collect();
    *room -= kept.chars().count();
    if kept.len() < text.len() {
        return format!("{kept}\n…(truncated)…");
    }
    kept
}

#[cfg(test)]
mod tests;
