//! `gateway`: the control plane, who may reach it and how it changes while it runs.

use std::net::IpAddr;
use std::num::NonZeroU16;

use crate::config::setting::{MemoryBound, Whole, choice, section};
use crate::secret::Secret;

section! {
    /// The gateway process and the front door it shares with the other children.
    pub struct Gateway {
        /// The base port; the derived ports follow it. Absent means the instance's default.
        "port" => port: Option<NonZeroU16> = None;
        /// Whether this machine runs the gateway or uses one elsewhere.
        "mode" => mode: Option<GatewayMode> = None;
        /// Which addresses the gateway listens on.
        "bind" => bind: BindMode = BindMode::Loopback;
        /// The address for `bind: "custom"`. Our own key: the Node implementation refuses it.
        "customBindHost" => custom_bind_host: Option<IpAddr> = None;
        /// Who may connect.
        "auth" => auth: Auth = Auth::default();
        /// Addresses of reverse proxies whose forwarding headers are believed.
        "trustedProxies" => trusted_proxies: Vec<String> = Vec::new();
        /// The gateway's web page.
        "controlUi" => control_ui: ControlUi = ControlUi::default();
        /// Tailscale Serve or Funnel in front of the gateway.
        "tailscale" => tailscale: Tailscale = Tailscale::default();
        /// The gateway that clients on this machine use when `mode` is `remote`.
        "remote" => remote: Remote = Remote::default();
        /// How a changed configuration is applied.
        "reload" => reload: Reload = Reload::default();
        /// TLS on the base port.
        "tls" => tls: Tls = Tls::default();
        /// HTTP endpoints on the base port.
        "http" => http: Http = Http::default();
        /// What connected nodes may do.
        "nodes" => nodes: Nodes = Nodes::default();
        /// Which tools can be called over HTTP.
        "tools" => tools: GatewayTools = GatewayTools::default();
        /// What can be read of its own doings (`/metrics`).
        "metrics" => metrics: Metrics = Metrics::default();
        /// How much memory each process may use.
        "limits" => limits: Limits = Limits::default();
        /// The instance of another profile that this one watches.
        "watch" => watch: Watch = Watch::default();
    }
}

choice! {
    /// Where the gateway runs.
    pub enum GatewayMode {
        /// On this machine.
        Local = "local",
        /// Elsewhere; see `gateway.remote`.
        Remote = "remote",
    }
}

choice! {
    /// Which addresses are listened on. None of them is widened when it cannot be bound.
    pub enum BindMode {
        /// 127.0.0.1 and ::1.
        Loopback = "loopback",
        /// Every IPv4 address.
        Lan = "lan",
        /// The address in 100.64.0.0/10.
        Tailnet = "tailnet",
        /// Loopback.
        Auto = "auto",
        /// `gateway.customBindHost`.
        Custom = "custom",
    }
}

section! {
    /// Who may connect to the gateway.
    pub struct Auth {
        /// Which secret counts; absent means password if there is one, else token.
        "mode" => mode: Option<AuthMode> = None;
        /// The shared token.
        "token" => token: Option<Secret<String>> = None;
        /// The shared password.
        "password" => password: Option<Secret<String>> = None;
        /// Whether an identity confirmed by Tailscale counts; absent depends on `gateway.tailscale.mode`.
        "allowTailscale" => allow_tailscale: Option<bool> = None;
    }
}

choice! {
    /// Which secret a client presents.
    pub enum AuthMode {
        /// A token.
        Token = "token",
        /// A password.
        Password = "password",
    }
}

section! {
    /// The gateway's web page.
    pub struct ControlUi {
        /// Whether the page is served.
        "enabled" => enabled: bool = true;
        /// The path the page is served under.
        "basePath" => base_path: Option<String> = None;
        /// Origins besides our own whose pages may connect. Our own key: the Node implementation refuses it.
        "allowedOrigins" => allowed_origins: Vec<String> = Vec::new();
        /// Names besides our own addresses that may stand in the Host header. Our own key: the Node
        /// implementation refuses it.
        "allowedHosts" => allowed_hosts: Vec<String> = Vec::new();
        /// Whether a page without a secure context may use the shared secret alone.
        "allowInsecureAuth" => allow_insecure_auth: bool = false;
        /// Whether the page needs no device identity at all.
        "dangerouslyDisableDeviceAuth" => dangerously_disable_device_auth: bool = false;
    }
}

section! {
    /// Tailscale in front of the gateway.
    pub struct Tailscale {
        /// What Tailscale publishes.
        "mode" => mode: TailscaleMode = TailscaleMode::Off;
        /// Whether the publication ends with the gateway.
        "resetOnExit" => reset_on_exit: bool = false;
    }
}

choice! {
    /// What Tailscale publishes.
    pub enum TailscaleMode {
        /// Nothing.
        Off = "off",
        /// The gateway, to the tailnet.
        Serve = "serve",
        /// The gateway, to the internet.
        Funnel = "funnel",
    }
}

section! {
    /// A gateway on another machine.
    pub struct Remote {
        /// Its WebSocket address.
        "url" => url: Option<String> = None;
        /// How it is reached.
        "transport" => transport: Option<RemoteTransport> = None;
        /// Its token.
        "token" => token: Option<Secret<String>> = None;
        /// Its password.
        "password" => password: Option<Secret<String>> = None;
        /// The fingerprint its certificate must have.
        "tlsFingerprint" => tls_fingerprint: Option<String> = None;
        /// The host of the SSH tunnel.
        "sshTarget" => ssh_target: Option<String> = None;
        /// The key file of the SSH tunnel.
        "sshIdentity" => ssh_identity: Option<String> = None;
    }
}

choice! {
    /// How a remote gateway is reached.
    pub enum RemoteTransport {
        /// Through an SSH tunnel.
        Ssh = "ssh",
        /// Directly.
        Direct = "direct",
    }
}

section! {
    /// How a changed configuration is applied.
    pub struct Reload {
        /// Which changes are applied, and how.
        "mode" => mode: ReloadMode = ReloadMode::Hybrid;
        /// How long the files must be quiet before they are read.
        "debounceMs" => debounce_ms: Whole<0, 600_000> = Whole::of(300);
    }
}

choice! {
    /// Which changes are applied while the instance runs.
    pub enum ReloadMode {
        /// None.
        Off = "off",
        /// Those that need no replacement; the others are named and wait for a restart.
        Hot = "hot",
        /// All, each by replacing the children concerned.
        Restart = "restart",
        /// All: hot where that is possible, by replacement where not.
        Hybrid = "hybrid",
    }
}

section! {
    /// TLS on the base port.
    pub struct Tls {
        /// Whether the base port speaks TLS.
        "enabled" => enabled: bool = false;
        /// Whether a missing certificate is generated.
        "autoGenerate" => auto_generate: Option<bool> = None;
        /// The certificate file.
        "certPath" => cert_path: Option<String> = None;
        /// The key file.
        "keyPath" => key_path: Option<String> = None;
        /// The file of certificate authorities for client certificates.
        "caPath" => ca_path: Option<String> = None;
    }
}

section! {
    /// Which tools can be called over HTTP (`/tools/invoke`). Our own key: the Node implementation refuses it.
    pub struct GatewayTools {
        /// Tools that run commands, change or restart the gateway, make jobs, or start and write to sessions: those that are named
        /// here can be called.
        "allow" => allow: Vec<String> = Vec::new();
    }
}

section! {
    /// What can be read of its own doings, for monitoring. Our own key: the Node implementation refuses it.
    pub struct Metrics {
        /// Whether `/metrics` is there, for whoever presents the token or password of the gateway as a bearer.
        "enabled" => enabled: bool = true;
        /// Whether it is answered without a secret when it is asked for on this machine.
        "openOnLoopback" => open_on_loopback: bool = false;
    }
}

section! {
    /// How much memory each process may use; more makes the supervisor replace it. Our own key: the Node implementation refuses it.
    pub struct Limits {
        /// How often it is looked at, in milliseconds. What three looks in a row find too large is replaced.
        "checkMs" => check_ms: Whole<100, 600_000> = Whole::of(5_000);
        /// The gateway. Its `memory` is 2GB unless it says otherwise.
        "gateway" => gateway: ProcessLimits = ProcessLimits::default();
        /// The canvas host. Its `memory` is 512MB unless it says otherwise.
        "canvasHost" => canvas_host: ProcessLimits = ProcessLimits::default();
        /// Browser control itself, without the browsers. Its `memory` is 1GB unless it says otherwise.
        "browserControl" => browser_control: ProcessLimits = ProcessLimits::default();
    }
}

section! {
    /// How much memory one process may use.
    pub struct ProcessLimits {
        /// Resident memory beyond which a successor takes its place: `"512MB"`, `"1.5GB"`, a number of bytes, or `"off"`.
        "memory" => memory: Option<MemoryBound> = None;
        /// Resident memory at which the process is killed when no successor takes its place; absent means twice `memory`.
        "memoryCeiling" => memory_ceiling: Option<MemoryBound> = None;
    }
}

section! {
    /// The instance of another profile that this one watches, as a rescue bot does. Our own key: the Node implementation refuses it.
    pub struct Watch {
        /// Its profile; `"default"` is the one without a name. Absent means that none is watched.
        "profile" => profile: Option<String> = None;
        /// How often it is looked at, in milliseconds; less often while it is down.
        "intervalMs" => interval_ms: Whole<100, 600_000> = Whole::of(5_000);
    }
}

section! {
    /// HTTP on the base port.
    pub struct Http {
        /// The endpoints.
        "endpoints" => endpoints: HttpEndpoints = HttpEndpoints::default();
    }
}

section! {
    /// The endpoints that speak other products' protocols.
    pub struct HttpEndpoints {
        /// `/v1/chat/completions`.
        "chatCompletions" => chat_completions: ChatCompletions = ChatCompletions::default();
        /// `/v1/responses`.
        "responses" => responses: Responses = Responses::default();
    }
}

section! {
    /// `/v1/chat/completions`.
    pub struct ChatCompletions {
        /// Whether the endpoint answers.
        "enabled" => enabled: bool = false;
        /// The largest request body in bytes. Our own key: the Node implementation refuses it.
        "maxBodyBytes" => max_body_bytes: Option<u64> = None;
    }
}

section! {
    /// `/v1/responses`.
    pub struct Responses {
        /// Whether the endpoint answers.
        "enabled" => enabled: bool = false;
        /// The largest request body in bytes.
        "maxBodyBytes" => max_body_bytes: Option<u64> = None;
        /// Limits on files in a request.
        "files" => files: ResponsesFiles = ResponsesFiles::default();
        /// Limits on images in a request.
        "images" => images: ResponsesImages = ResponsesImages::default();
    }
}

section! {
    /// Limits on files in a request.
    pub struct ResponsesFiles {
        /// Whether a file may be named by an address that is fetched.
        "allowUrl" => allow_url: bool = true;
        /// The types of files that are taken; absent means all that can be read.
        "allowedMimes" => allowed_mimes: Option<Vec<String>> = None;
        /// The largest file in bytes.
        "maxBytes" => max_bytes: u64 = 5_242_880;
        /// How many characters of a file are read.
        "maxChars" => max_chars: u64 = 200_000;
        /// How many redirects are followed.
        "maxRedirects" => max_redirects: Whole<0, 20> = Whole::of(3);
        /// How long fetching may take.
        "timeoutMs" => timeout_ms: u64 = 10_000;
        /// Limits on PDF files.
        "pdf" => pdf: ResponsesPdf = ResponsesPdf::default();
    }
}

section! {
    /// Limits on PDF files.
    pub struct ResponsesPdf {
        /// How many pages are read.
        "maxPages" => max_pages: u64 = 4;
        /// How large pictures of pages may be. No pictures of pages are made: it is accepted, and has no effect.
        "maxPixels" => max_pixels: u64 = 4_000_000;
        /// With less text than this the model is told that there may be more on the pages, in pictures.
        "minTextChars" => min_text_chars: u64 = 200;
    }
}

section! {
    /// Limits on images in a request.
    pub struct ResponsesImages {
        /// Whether an image may be named by an address that is fetched.
        "allowUrl" => allow_url: bool = true;
        /// The types of images that are taken; absent means JPEG, PNG, GIF and WebP.
        "allowedMimes" => allowed_mimes: Option<Vec<String>> = None;
        /// The largest image in bytes.
        "maxBytes" => max_bytes: u64 = 10_485_760;
        /// How many redirects are followed.
        "maxRedirects" => max_redirects: Whole<0, 20> = Whole::of(3);
        /// How long fetching may take.
        "timeoutMs" => timeout_ms: u64 = 10_000;
    }
}

section! {
    /// What connected nodes may do.
    pub struct Nodes {
        /// Whether a node's browser is used.
        "browser" => browser: NodeBrowser = NodeBrowser::default();
        /// Commands a node may be asked for beyond the built-in list.
        "allowCommands" => allow_commands: Vec<String> = Vec::new();
        /// Commands no node is asked for.
        "denyCommands" => deny_commands: Vec<String> = Vec::new();
    }
}

section! {
    /// The use of a node's browser.
    pub struct NodeBrowser {
        /// How the node is chosen.
        "mode" => mode: NodeBrowserMode = NodeBrowserMode::Auto;
        /// The node for `manual`.
        "node" => node: Option<String> = None;
    }
}

choice! {
    /// How the node whose browser is used is chosen.
    pub enum NodeBrowserMode {
        /// The one node that has a browser.
        Auto = "auto",
        /// The node that is named.
        Manual = "manual",
        /// No node.
        Off = "off",
    }
}
