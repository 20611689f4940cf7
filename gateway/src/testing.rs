//! A gateway on a real loopback socket, for tests of this crate.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use openclaw_shared::child::Control;
use openclaw_shared::clock::WallTime;
use openclaw_shared::config::write::write_atomically;
use openclaw_shared::config::{Outcome, RefusalCause, load_candidate};
use openclaw_shared::control::{
    ChildName, ChildState, ChildStatus, ConfigState, ConfigStatus, Drain, FleetStatus, Generation,
    StopReason, ToSupervisor,
};
use openclaw_shared::credentials::{AuthMode, Credentials};
use openclaw_shared::identity::DeviceIdentity;
use openclaw_shared::instance::{Environment, Identity, Instance, Profile, Wishes};
use openclaw_shared::log::LogSettings;
use openclaw_shared::protocol::connect::ConnectParams;
use openclaw_shared::protocol::strict::NonEmpty;
use openclaw_shared::recovery::{Recovery, Rung};
use openclaw_shared::secret::Secret;
use openclaw_shared::serve::{Limits, Server};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::context::{Context, Parts};
use crate::machine::Machine;
use crate::phase::Phase;
use crate::settings::Settings;
use crate::store::StoreError;
use crate::{drain, http, methods, rounds};

/// Far above anything that happens on a loaded machine; reached only by a test that fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
pub(crate) const TOKEN: &str = "geheim-0123456789";

pub(crate) fn credentials(token: &str) -> Credentials {
    Credentials {
        mode: AuthMode::Token,
        token: Some(Secret::new(token.to_owned())),
        password: None,
    }
}

pub(crate) fn instance(home: &Path) -> Instance {
    let home = home.to_str().unwrap();
    let environment = Environment::from_pairs([("HOME", home)], Path::new("/"));
    let exists = |_: &Path| false;
    let identity = Identity::resolve(Profile::parse("").unwrap(), &environment, &exists).unwrap();
    let wishes = Wishes {
        hosts: vec!["127.0.0.1".parse().unwrap()],
        ..Wishes::default()
    };
    Instance::resolve(identity, wishes, &environment, &exists).unwrap()
}

pub(crate) fn fleet() -> FleetStatus {
    FleetStatus {
        config: ConfigStatus {
            state: ConfigState::Ok,
            path: "~/.openclaw/openclaw.json".into(),
            hash: None,
            error: None,
            warnings: Vec::new(),
        },
        children: vec![ChildStatus {
            name: ChildName::Gateway,
            state: ChildState::Active,
            generation: Generation(1),
            pid: Some(1),
            restarts: 0,
            memory_bytes: None,
            cpu_ms: None,
            last_error: None,
            rung: Rung::Well,
            memory_limit_bytes: None,
        }],
        recovery: Recovery::default(),
        watch: None,
        upgrade: None,
        memory_bytes: None,
    }
}

/// What the supervisor does for a gateway, as far as these tests need it: it writes the file, and says that it counts, each time
/// when it has its turn.
fn supervisor(path: PathBuf, turn: Arc<Mutex<()>>) -> Control {
    let (reports, mut said) = mpsc::channel(8);
    let control = Control::new(reports);
    let answering = control.clone();
    tokio::task::spawn_local(async move {
        while let Some(message) = said.recv().await {
            if let ToSupervisor::WriteConfig {
                ask,
                base_hash,
                text,
                trace: _,
            } = message
            {
                let _turn = turn.lock().await;
                answering.written(ask, write(&path, base_hash.as_deref(), &text.0));
            }
        }
    });
    control
}

fn write(path: &Path, base_hash: Option<&str>, text: &str) -> Outcome {
    if let Err(error) = load_candidate(path, text, &BTreeMap::new()) {
        return Outcome::invalid(&error);
    }
    match write_atomically(path, text, base_hash) {
        Ok(_) => Outcome::Live { keys: Vec::new() },
        Err(error) => Outcome::refused(RefusalCause::Changed, error.to_string()),
    }
}

/// A gateway without a supervisor.
pub(crate) struct Gateway {
    pub(crate) context: Arc<Context>,
    pub(crate) address: SocketAddr,
    server: Option<Server>,
    pub(crate) home: tempfile::TempDir,
    /// While a test holds it, no change of the configuration is answered.
    pub(crate) supervisors_turn: Arc<Mutex<()>>,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::start_with(&json!({})).await
    }

    pub(crate) async fn start_with(config: &Value) -> Self {
        let home = tempfile::tempdir().unwrap();
        let instance = instance(home.path());
        std::fs::create_dir_all(&instance.identity.state_dir).unwrap();
        let config = openclaw_shared::config::Config::from_effective(config).unwrap();
        let settings = Settings::of(&config, &instance);
        let logging = LogSettings::in_dir(instance.log_dir.clone());
        let supervisors_turn = Arc::new(Mutex::new(()));
        let control = supervisor(
            instance.identity.config_path.clone(),
            supervisors_turn.clone(),
        );
        let context = Arc::new(Context::new(Parts {
            instance,
            credentials: Some(credentials(TOKEN)),
            settings,
            logging,
            fleet: fleet(),
            machine: Machine::read(),
            routes: methods::routes().unwrap(),
            control,
            variables: BTreeMap::new(),
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = http::service(context.clone(), None);
        let server = Server::new(vec![listener], None, service, Limits::default());
        context.store.activate(Generation(1));
        server.activate();
        context.phases.set(Phase::Active);
        let timers = context.clone();
        tokio::task::spawn_local(async move { rounds::run(&timers).await });
        Self {
            context,
            address,
            server: Some(server),
            home,
            supervisors_turn,
        }
    }

    pub(crate) async fn drain(&mut self) {
        self.drain_for(StopReason::Replaced, DEADLINE).await;
    }

    pub(crate) async fn drain_for(&mut self, reason: StopReason, budget: Duration) {
        let order = Drain {
            reason,
            budget,
            restart_expected_ms: Some(1_500),
            credentials: None,
        };
        let server = self.server.take().unwrap();
        drain::drain(&self.context, server, None, &order, budget).await;
    }

    pub(crate) async fn open(&self) -> Client {
        self.open_with(&BTreeMap::new()).await.unwrap()
    }

    pub(crate) async fn open_with(
        &self,
        headers: &BTreeMap<&'static str, String>,
    ) -> Result<Client, Error> {
        let mut request = format!("ws://{}/any/path?x=1", self.address).into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(self.address).await.unwrap();
        let config = WebSocketConfig::default().max_write_buffer_size(usize::MAX);
        let (stream, response) = client_async_with_config(request, stream, Some(config)).await?;
        Ok(Client {
            stream,
            response_headers: response.headers().clone(),
            patience: DEADLINE,
        })
    }

    /// A client with a device of its own, with its hello and the id of the device.
    pub(crate) async fn device(
        &self,
        seed: u8,
        change: impl FnOnce(&mut Value),
    ) -> (Client, Value, String) {
        let identity = DeviceIdentity::from_seed(&[seed; 32]);
        let mut client = self.open().await;
        let challenge = client.event("connect.challenge").await;
        let nonce = NonEmpty::new(challenge["payload"]["nonce"].as_str().unwrap()).unwrap();
        let mut params = connect();
        change(&mut params);
        let typed: ConnectParams = serde_json::from_value(params.clone()).unwrap();
        params["device"] = json!(identity.prove(&typed, &nonce, WallTime::now()));
        let hello = client.connect(params).await;
        assert_eq!(hello["payload"]["type"], "hello-ok", "{hello}");
        (client, hello, identity.device_id().to_owned())
    }

    /// Makes every write wait until what is returned is dropped.
    pub(crate) fn hold_writes(&self) -> std::sync::mpsc::Sender<()> {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let context = self.context.clone();
        tokio::task::spawn_local(async move {
            let held = context.store.write(move |_| {
                // An error is the end of the other side.
                let _ = released.recv();
                Ok::<_, StoreError>(())
            });
            held.await.unwrap();
        });
        release
    }

    /// A client that is let in, with its hello.
    pub(crate) async fn client(&self) -> (Client, Value) {
        let mut client = self.open().await;
        let hello = client.connect(connect()).await;
        assert_eq!(hello["payload"]["type"], "hello-ok", "{hello}");
        (client, hello)
    }
}

/// The parameters of an ordinary connect.
pub(crate) fn connect() -> Value {
    json!({
        "minProtocol": 3, "maxProtocol": 3,
        "client": {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend"},
        "role": "operator", "scopes": ["operator.admin"], "caps": [],
        "auth": {"token": TOKEN},
    })
}

/// A client of the gateway.
pub(crate) struct Client {
    pub(crate) stream: WebSocketStream<TcpStream>,
    pub(crate) response_headers: ::http::HeaderMap,
    /// How long a frame may take.
    pub(crate) patience: Duration,
}

/// What a client sees next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Frame(Value),
    Closed(u16, String),
    Broken,
}

impl Client {
    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.stream.send(Message::text(text.into())).await.unwrap();
    }

    /// The next frame, or the end.
    pub(crate) async fn see(&mut self) -> Seen {
        tokio::time::timeout(self.patience, async {
            loop {
                return match self.stream.next().await {
                    Some(Ok(Message::Text(text))) => {
                        Seen::Frame(serde_json::from_str(&text).unwrap())
                    }
                    Some(Ok(Message::Close(Some(close)))) => {
                        Seen::Closed(close.code.into(), close.reason.to_string())
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(other)) => panic!("{other:?}"),
                    Some(Err(_)) | None => Seen::Broken,
                };
            }
        })
        .await
        .expect("a frame in time")
    }

    /// The next event of this name.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        loop {
            match self.see().await {
                Seen::Frame(frame) if frame["event"] == name => return frame,
                Seen::Frame(_) => {}
                end @ (Seen::Closed(..) | Seen::Broken) => panic!("{end:?} before {name}"),
            }
        }
    }

    /// The next answer.
    pub(crate) async fn answer(&mut self) -> Value {
        loop {
            match self.see().await {
                Seen::Frame(frame) if frame["type"] == "res" => return frame,
                Seen::Frame(_) => {}
                end @ (Seen::Closed(..) | Seen::Broken) => panic!("{end:?} before an answer"),
            }
        }
    }

    /// How it ends, whatever comes before.
    pub(crate) async fn end(&mut self) -> Seen {
        loop {
            match self.see().await {
                Seen::Frame(_) => {}
                end @ (Seen::Closed(..) | Seen::Broken) => return end,
            }
        }
    }

    pub(crate) async fn connect(&mut self, params: Value) -> Value {
        self.call("connect", params).await
    }

    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        let request = json!({"type": "req", "id": method, "method": method, "params": params});
        self.send(request.to_string()).await;
        self.answer().await
    }
}
