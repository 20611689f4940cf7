//! `openclaw devices`: who may connect to the gateway, as what, and by which token.

use clap::{Args, Subcommand};
use openclaw_shared::clock::WallTime;
use openclaw_shared::exit::Exit;
use openclaw_shared::protocol::method::devices::{
    DevicePairApprove, DevicePairList, DevicePairReject, DevicePairRemove, DeviceTokenRevoke,
    DeviceTokenRotate,
};
use serde_json::{Value, json};

use super::answer::{Answer as _, short_id};
use super::args::{RpcFlags, everywhere};
use super::context::Context;
use super::failure::Failure;
use super::named::{self, Named};
use super::pairing::{Deciding, RequestName, decide};
use super::request::Waiting;
use super::rpc::{Rpc, ask};
use super::span::relative;
use super::table::Table;

/// `devices`.
#[derive(Debug, Args)]
#[command(
    mut_args = everywhere,
    after_help = "A device is named by its id, the beginning of its id (6 characters or more), its name or its address."
)]
pub(crate) struct DevicesArgs {
    #[command(flatten)]
    rpc: RpcFlags,
    #[command(subcommand)]
    command: DevicesCommand,
}

#[derive(Debug, Subcommand)]
enum DevicesCommand {
    /// Show the devices that ask to be let in, and those that are
    List,
    /// Let a device in
    Approve(RequestName),
    /// Turn a device away
    Reject(RequestName),
    /// Replace a device's token, and print the new one
    Rotate {
        #[command(flatten)]
        token: TokenName,
        /// Let the new token cover this scope; may be repeated [default: what the old one covers]
        #[arg(long, value_name = "SCOPE", num_args = 1..)]
        scope: Vec<String>,
    },
    /// End a device's token, and the connections that use it
    Revoke(TokenName),
    /// Forget a device; it has to be approved again
    Remove {
        /// The device
        #[arg(value_name = "DEVICE")]
        device: String,
    },
}

/// A token, named by its device and role.
#[derive(Debug, Clone, Args)]
struct TokenName {
    /// The device
    #[arg(long, value_name = "DEVICE")]
    device: String,
    /// The role the token is for: operator or node
    #[arg(long, value_name = "ROLE")]
    role: String,
}

const APPROVE: Deciding = Deciding {
    command: "devices approve",
    done: "Approved",
    about,
};
const REJECT: Deciding = Deciding {
    command: "devices reject",
    done: "Rejected",
    about,
};

pub(crate) async fn perform(context: &Context, arguments: DevicesArgs) -> Result<Exit, Failure> {
    let rpc = &arguments.rpc;
    match arguments.command {
        DevicesCommand::List => list(context, rpc).await,
        DevicesCommand::Approve(request) => {
            decide::<DevicePairList, DevicePairApprove>(context, rpc, request, APPROVE).await
        }
        DevicesCommand::Reject(request) => {
            decide::<DevicePairList, DevicePairReject>(context, rpc, request, REJECT).await
        }
        DevicesCommand::Rotate { token, scope } => rotate(context, rpc, token, scope).await,
        DevicesCommand::Revoke(token) => revoke(context, rpc, token).await,
        DevicesCommand::Remove { device } => remove(context, rpc, &device).await,
    }
}

async fn list(context: &Context, rpc: &RpcFlags) -> Result<Exit, Failure> {
    let answer = ask::<DevicePairList>(context, rpc, "devices list", json!({})).await?;
    context
        .out
        .answer(&answer, || render(&answer, WallTime::now()));
    Ok(Exit::Ok)
}

fn render(answer: &Value, now: WallTime) -> Vec<String> {
    let (pending, paired) = (answer.items("pending"), answer.items("paired"));
    let mut lines = vec![format!(
        "Pending: {} · Paired: {}",
        pending.len(),
        paired.len()
    )];
    if !pending.is_empty() {
        let mut table = Table::new([
            "Request", "Device", "ID", "Role", "Scopes", "IP", "Asked", "Known",
        ]);
        for request in pending {
            let asked = request.time("ts").map(|then| relative(now, then));
            table.row([
                short_id(&request.text("requestId")),
                name_of(request),
                short_id(&request.text("deviceId")),
                request.text("role"),
                scopes(request),
                request.text("remoteIp"),
                asked.unwrap_or_default(),
                if request.is_on("isRepair") { "yes" } else { "" }.to_owned(),
            ]);
        }
        lines.push(String::new());
        lines.extend(table.lines());
    }
    if !paired.is_empty() {
        let mut table = Table::new(["Device", "ID", "Roles", "Scopes", "Tokens", "IP"]);
        for device in paired {
            table.row([
                name_of(device),
                short_id(&device.text("deviceId")),
                device.texts("roles").join(", "),
                scopes(device),
                tokens(device),
                device.text("remoteIp"),
            ]);
        }
        lines.push(String::new());
        lines.extend(table.lines());
    }
    lines
}

/// What people call it, or else which program it is.
fn name_of(device: &Value) -> String {
    let names = ["displayName", "clientId"].iter();
    let name = names.filter_map(|key| device.some_text(key)).next();
    name.unwrap_or_else(|| short_id(&device.text("deviceId")))
}

/// Scopes without the word that all of them begin with.
fn scopes(device: &Value) -> String {
    let scopes = device.texts("scopes");
    let short = scopes
        .iter()
        .map(|scope| scope.strip_prefix("operator.").unwrap_or(scope));
    short.collect::<Vec<_>>().join(", ")
}

fn tokens(device: &Value) -> String {
    let tokens = device.items("tokens").iter().map(|token| {
        let revoked = token.time("revokedAtMs").map(|_| " (revoked)");
        format!("{}{}", token.text("role"), revoked.unwrap_or_default())
    });
    tokens.collect::<Vec<_>>().join(", ")
}

fn about(request: &Value) -> Waiting {
    let id = short_id(&request.text("deviceId"));
    let from = request.some_text("remoteIp");
    let from = from.map(|ip| format!(" from {ip}")).unwrap_or_default();
    Waiting {
        id: request.text("requestId"),
        about: format!(
            "{} {id} as {}{from}",
            name_of(request),
            request.text("role")
        ),
    }
}

async fn find(rpc: &mut Rpc<'_>, wanted: &str) -> Result<Named, Failure> {
    let list = rpc.call::<DevicePairList>(json!({})).await?;
    let devices: Vec<Named> = list
        .items("paired")
        .iter()
        .map(|device| Named {
            id: device.text("deviceId"),
            name: name_of(device),
            remote_ip: device.text("remoteIp"),
        })
        .collect();
    named::find("device", &devices, wanted).cloned()
}

/// A device as it is called, and its id, since programs are called alike on every machine.
fn shown(device: &Named) -> String {
    format!("{} ({})", device.name, short_id(&device.id))
}

async fn rotate(
    context: &Context,
    flags: &RpcFlags,
    token: TokenName,
    scopes: Vec<String>,
) -> Result<Exit, Failure> {
    let mut rpc = Rpc::for_command(context, flags, "devices rotate").await?;
    let device = find(&mut rpc, &token.device).await?;
    let mut params = json!({ "deviceId": device.id, "role": token.role });
    if !scopes.is_empty() {
        params["scopes"] = scopes.into();
    }
    let answer = rpc.call::<DeviceTokenRotate>(params).await?;
    // The token is the answer; everything about it is talk.
    context.out.answer(&answer, || vec![answer.text("token")]);
    if !context.out.is_json() {
        context.out.note(format!(
            "The {} token of {} is replaced; the old one has ended. This one is shown once.",
            token.role,
            openclaw_shared::log::printable(&shown(&device))
        ));
    }
    Ok(Exit::Ok)
}

async fn revoke(context: &Context, flags: &RpcFlags, token: TokenName) -> Result<Exit, Failure> {
    let mut rpc = Rpc::for_command(context, flags, "devices revoke").await?;
    let device = find(&mut rpc, &token.device).await?;
    let answer = rpc
        .call::<DeviceTokenRevoke>(json!({ "deviceId": device.id, "role": token.role }))
        .await?;
    context.out.answer(&answer, || {
        vec![format!(
            "Revoked the {} token of {}.",
            token.role,
            shown(&device)
        )]
    });
    Ok(Exit::Ok)
}

async fn remove(context: &Context, flags: &RpcFlags, device: &str) -> Result<Exit, Failure> {
    let mut rpc = Rpc::for_command(context, flags, "devices remove").await?;
    let device = find(&mut rpc, device).await?;
    let answer = rpc
        .call::<DevicePairRemove>(json!({ "deviceId": device.id }))
        .await?;
    context
        .out
        .answer(&answer, || vec![format!("Removed {}.", shown(&device))]);
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_fit_a_terminal() {
        let id = "56475aa7".repeat(8);
        let answer = json!({
            "pending": [{"requestId": "b7ab6506-b70c-414a-9498-a6a73d0048e4", "deviceId": id, "displayName": "Phone",
                "role": "node", "scopes": [], "remoteIp": "10.0.0.7", "isRepair": false, "ts": 1_000}],
            "paired": [{"deviceId": id, "clientId": "cli", "roles": ["operator"],
                "scopes": ["operator.admin", "operator.approvals", "operator.pairing"],
                "tokens": [{"role": "operator"}, {"role": "node", "revokedAtMs": 1}]}],
        });
        let lines = render(&answer, WallTime::from_millis(61_000));
        assert_eq!(
            lines,
            [
                "Pending: 1 · Paired: 1",
                "",
                "Request       Device  ID            Role  IP        Asked",
                "b7ab6506-b70  Phone   56475aa75647  node  10.0.0.7  1m ago",
                "",
                "Device  ID            Roles     Scopes                   Tokens",
                "cli     56475aa75647  operator  admin, approvals, pair…  operator, node (revoke…",
            ]
        );
    }
}
