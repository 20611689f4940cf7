//! `openclaw gateway install` and `uninstall`: the gateway as a service of this profile.
//!
//! What is asked for goes into the configuration (`gateway_install/settle.rs`); the service itself says only which instance it starts. A
//! service that is there stays as it is without `--force`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use openclaw_shared::config::section::{AuthMode, BindMode, TailscaleMode};
use openclaw_shared::exit::Exit;
use openclaw_shared::instance::{Environment, Identity};
use openclaw_shared::secret::Secret;
use serde::Serialize;

use super::args::{port, secret};
use super::context::Context;
use super::control_client::Asked;
use super::failure::{Failure, Kind};
use super::gateway::does_not_apply;
use super::gateway_run::{RunFlags, auth, bind, tailscale};
use crate::service::{
    self, Begin, Definition, Names, Reinstall, ServiceFile, ServiceManager, ServiceView,
    Unavailable, Variant, Which, linger,
};
use crate::supervise::holder_of;

mod account;
mod settle;

use account::Account;
use settle::Settled;

/// `gateway install`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Port, token and the other settings are written into the configuration, where each start of the service finds them.\n\
                  Installing again changes nothing that is installed, unless --force is given."
)]
pub(crate) struct InstallArgs {
    /// Let the gateway listen on this port
    #[arg(long, value_name = "PORT", value_parser = port, allow_negative_numbers = true)]
    pub(super) port: Option<u16>,
    /// Let it listen on these addresses: loopback, lan, tailnet, auto or custom
    #[arg(long, value_name = "MODE", value_parser = bind)]
    bind: Option<BindMode>,
    /// Let it ask callers for this token; prefer --token-file, which other users cannot see
    #[arg(long, value_name = "TOKEN", value_parser = secret)]
    token: Option<Secret<String>>,
    /// Let it ask callers for the token in this file
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Let it ask callers for a token or for a password
    #[arg(long, value_name = "MODE", value_parser = auth)]
    auth: Option<AuthMode>,
    /// Let it ask callers for this password
    #[arg(long, value_name = "PASSWORD", value_parser = secret)]
    password: Option<Secret<String>>,
    /// Publish it through Tailscale: off, serve or funnel
    #[arg(long, value_name = "MODE", value_parser = tailscale)]
    tailscale: Option<TailscaleMode>,
    /// Take the Tailscale publication back at the end
    #[arg(long)]
    tailscale_reset_on_exit: bool,
    /// Let it watch the instance of another profile, as a rescue bot does
    #[arg(long, value_name = "PROFILE")]
    watch: Option<String>,
    /// Write the service anew and restart it, although it is installed
    #[arg(long)]
    pub(super) force: bool,
    /// Install a service of the whole system instead of one of this user (systemd)
    #[arg(long)]
    system: bool,
    /// Run the service of the whole system as this user [default: whoever called sudo]
    #[arg(long, value_name = "NAME", requires = "system")]
    user: Option<String>,
    /// Have the service manager hold the ports (systemd), so that connections wait even while the service is stopped
    #[arg(long)]
    socket: bool,
    /// Print the files, and do nothing
    #[arg(long, conflicts_with = "output")]
    print: bool,
    /// Write the files into this folder, and do nothing else
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Write for this service manager, with --print or --output: systemd or launchd [default: the one of this machine]
    #[arg(long, value_name = "NAME", value_parser = ["systemd", "launchd"])]
    manager: Option<String>,
    /// Only write the configuration, and say what was written
    #[arg(long, hide = true)]
    only_settle: bool,
    /// Has no effect: there is one runtime
    #[arg(long, hide = true, value_name = "NAME")]
    runtime: Option<String>,
}

/// `gateway uninstall`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct UninstallArgs {
    /// Remove the service of the whole system, not the one of this user
    #[arg(long)]
    system: bool,
}

impl InstallArgs {
    /// Takes over what was said before the verb.
    ///
    /// # Errors
    /// When that has no meaning here.
    pub(crate) fn or(self, before: RunFlags) -> Result<Self, Failure> {
        let stray = [
            ("--allow-unconfigured", before.allow_unconfigured),
            ("--reset", before.reset),
            ("--force-any", before.force_any),
            ("--verbose", before.verbose),
            ("--claude-cli-logs", before.claude_cli_logs),
            ("--ws-log", before.ws_log.is_some()),
            ("--compact", before.compact),
            ("--raw-stream", before.raw_stream),
            ("--raw-stream-path", before.raw_stream_path.is_some()),
        ];
        if let Some((option, _)) = stray.into_iter().find(|(_, given)| *given) {
            return Err(does_not_apply(option, "install"));
        }
        let token_said = self.token.is_some() || self.token_file.is_some();
        Ok(Self {
            port: self.port.or(before.port),
            bind: self.bind.or(before.bind),
            token: self.token.or(before.token.filter(|_| !token_said)),
            token_file: self
                .token_file
                .or(before.token_file.filter(|_| !token_said)),
            auth: self.auth.or(before.auth),
            password: self.password.or(before.password),
            tailscale: self.tailscale.or(before.tailscale),
            tailscale_reset_on_exit: self.tailscale_reset_on_exit || before.tailscale_reset_on_exit,
            force: self.force || before.force,
            ..self
        })
    }

    /// Which service manager is meant; none for the one of this machine.
    fn which(&self) -> Option<Which> {
        match (self.manager.as_deref(), self.system) {
            (Some("launchd"), _) => Some(Which::Launchd),
            (Some(_), false) => Some(Which::SystemdUser),
            (_, true) => Some(Which::SystemdSystem),
            (None, false) => None,
        }
    }
}

/// What was done, for scripts.
#[derive(Debug, Serialize)]
struct Report<'a> {
    action: &'static str,
    ok: bool,
    result: &'static str,
    message: &'a str,
    /// What else was done or found.
    notes: &'a [String],
    hints: &'a [String],
    warnings: &'a [String],
    service: ServiceView,
}

/// What is told at the end.
#[derive(Debug, Default)]
struct Told {
    message: String,
    notes: Vec<String>,
    hints: Vec<String>,
    warnings: Vec<String>,
}

impl Told {
    fn report(
        &self,
        context: &Context,
        action: &'static str,
        result: &'static str,
        service: ServiceView,
    ) -> Exit {
        if context.out.is_json() {
            context.out.document(&Report {
                action,
                ok: true,
                result,
                message: &self.message,
                notes: &self.notes,
                hints: &self.hints,
                warnings: &self.warnings,
                service,
            });
            return Exit::Ok;
        }
        for warning in &self.warnings {
            context.out.note(warning);
        }
        for line in self.notes.iter().chain([&self.message]).chain(&self.hints) {
            context.out.line(line);
        }
        Exit::Ok
    }
}

pub(crate) async fn install(context: &Context, arguments: InstallArgs) -> Result<Exit, Failure> {
    if arguments.only_settle {
        return only_settle(context, &arguments).await;
    }
    if arguments.print || arguments.output.is_some() {
        return write_elsewhere(context, &arguments);
    }
    refuse_nix(context, "install")?;
    if arguments.manager.is_some() {
        return Err(Failure::new(
            Kind::Usage,
            "error: option '--manager' needs '--print' or '--output'",
        ));
    }
    let account = Account::choose(context, arguments.system, arguments.user.as_deref())?;
    let identity = account.identity(context)?;
    let environment = account.environment(context);
    let manager = find(arguments.which(), &identity, &environment)?;
    manager.check().map_err(|why| unavailable(context, &why))?;
    if arguments.system && !nix::unistd::geteuid().is_root() {
        return Err(Failure::new(
            Kind::Refused,
            "A service of the whole system is installed by root.",
        )
        .hint(format!(
            "Run: sudo {} --user {}",
            context.command("gateway install --system"),
            account.name
        )));
    }

    let view = manager.view();
    let runs = view.runtime.pid.is_some();
    let stays = !arguments.force && view.command.is_some() && (view.loaded || runs);
    if manager.is_of_the_system() && !arguments.system && !stays {
        return Err(of_the_system(context, manager.as_ref(), &view));
    }
    let settled = match account.is_other() {
        true => account.settle(context, &arguments).await?,
        false => settle::settle(context, &arguments).await?,
    };
    let mut told = Told {
        notes: settled.told.clone(),
        warnings: settled.warnings.clone(),
        ..Told::default()
    };
    told.warnings.extend(account.left_behind(context));
    if stays {
        already(context, manager.as_ref(), &view, &mut told);
        return Ok(told.report(context, "install", "already-installed", view));
    }

    told.notes
        .extend(manager.remove_legacy().map_err(failed("install"))?);
    let sockets = match arguments.socket {
        true => settle::sockets(&identity, &environment)?,
        false => Vec::new(),
    };
    let variant = Variant {
        version: None,
        user: arguments.system.then(|| account.name.clone()),
        sockets,
    };
    let files = render(manager.as_ref(), &identity, &environment, variant)?;
    if arguments.system
        && let Some(open) = replaceable_program(&environment, &account.name)
    {
        told.warnings.push(format!(
            "Another user of this machine can replace the program that the service starts, by {}: let it, and every folder on the way, be root's or {}'s, and nobody else's to write.",
            open.display(),
            account.name
        ));
    }
    let by_hand = by_hand(context, &account, &identity, &view).await;
    let begin = match by_hand {
        Some(_) => Begin::No,
        None => Begin::Anew,
    };
    let installed = manager.install(&files, begin).map_err(|why| {
        let failure = failed("install")(why);
        match manager.logs_hint() {
            Some(logs) => failure.hint(format!("See why: {logs}")),
            None => failure,
        }
    })?;
    told.notes.extend(installed);
    if let Some(pid) = by_hand {
        told.warnings.push(format!(
            "A gateway of this profile runs already (pid {pid}); it was started by hand, so the service begins later."
        ));
        told.hints
            .push(match (account.is_other(), manager.start_hint()) {
                (true, Some(start)) => {
                    format!("Let the service take over: kill {pid}, then {start}")
                }
                (true, None) | (false, _) => format!(
                    "Let the service take over: {} && {}",
                    context.command("gateway stop"),
                    context.command("gateway start")
                ),
            });
    }
    if manager.needs_linger() && linger::lingers(&account.name) == Some(false) {
        told.warnings.push(format!(
            "Systemd lingering is disabled for {name}: the service ends when {name} logs out. Run: {command}",
            name = account.name,
            command = linger::enable(&account.name)
        ));
    }
    let place = files
        .first()
        .map(|file| context.shown(&file.path))
        .unwrap_or_default();
    let view = manager.view();
    told.message = format!("Installed {} service: {place}", view.label);
    Ok(told.report(context, "install", "installed", view))
}

/// What somebody who is neither root nor this user could replace on the way to the program that a service starts.
fn replaceable_program(environment: &Environment, user: &str) -> Option<PathBuf> {
    let program = service::stable_program(environment).ok()?;
    service::replaceable(&program, user)
}

/// The addresses that the service manager would hold for this instance, when its configuration tells them.
pub(crate) fn sockets_of(context: &Context) -> Option<Vec<SocketAddr>> {
    settle::sockets(&context.identity, &context.environment).ok()
}

pub(crate) async fn uninstall(
    context: &Context,
    arguments: UninstallArgs,
) -> Result<Exit, Failure> {
    refuse_nix(context, "uninstall")?;
    let which = arguments.system.then_some(Which::SystemdSystem);
    let manager = find(which, &context.identity, &context.environment)?;
    manager.check().map_err(|why| unavailable(context, &why))?;
    let mut told = Told {
        notes: manager.remove_legacy().map_err(failed("uninstall"))?,
        ..Told::default()
    };
    let removed = manager.uninstall().map_err(failed("uninstall"))?;
    let view = manager.view();
    if removed.is_empty() {
        told.message = "Gateway service is not installed; nothing to remove.".to_owned();
        return Ok(told.report(context, "uninstall", "not-installed", view));
    }
    told.notes.extend(removed);
    told.message = "Gateway service removed.".to_owned();
    if let Asked::Answered(status) = context.running().await
        && crate::port_owner::Watched::new(status.pid).is_ok_and(|watched| watched.is_some())
    {
        told.hints.push(format!(
            "A gateway that was started by hand goes on (pid {}).",
            status.pid
        ));
    }
    Ok(told.report(context, "uninstall", "uninstalled", view))
}

/// Says that nothing was done, and what of it may not be what is wanted.
fn already(context: &Context, manager: &dyn ServiceManager, view: &ServiceView, told: &mut Told) {
    told.message = match view.loaded {
        true => format!("Gateway service already {}.", view.loaded_text),
        false => format!(
            "Gateway service already runs, but is {}.",
            view.not_loaded_text
        ),
    };
    let starts = view
        .command
        .as_ref()
        .and_then(|command| command.program_arguments.first());
    if let Some(starts) = starts.filter(|starts| !service::is_this_program(Path::new(starts))) {
        told.warnings
            .push(format!("It starts another program: {starts}"));
    }
    told.hints
        .push(format!("Reinstall with: {}", anew(context, manager, view)));
}

/// The command that writes the installed service anew, as a person types it.
fn anew(context: &Context, manager: &dyn ServiceManager, view: &ServiceView) -> String {
    let path = view.command.as_ref().map(|command| &command.source_path);
    let text = path.and_then(|path| std::fs::read_to_string(path).ok());
    Reinstall::of(manager, &text.unwrap_or_default()).typed(&context.identity)
}

/// Written without the user that it runs as, a service of the whole system would run everything as root.
fn of_the_system(context: &Context, manager: &dyn ServiceManager, view: &ServiceView) -> Failure {
    Failure::new(
        Kind::Refused,
        "The service of this profile is one of the whole system, and is written anew only as such.",
    )
    .hint(format!("Run: {}", anew(context, manager, view)))
}

/// The process of an instance that the service manager has not started.
async fn by_hand(
    context: &Context,
    account: &Account,
    identity: &Identity,
    view: &ServiceView,
) -> Option<u32> {
    let pid = match account.is_other() {
        // Its supervisor answers nobody but its own user; that the state folder is held can be seen all the same.
        true => holder_of(&identity.state_dir)?,
        false => context.running().await.answer()?.pid,
    };
    (view.runtime.pid != Some(pid)).then_some(pid)
}

fn write_elsewhere(context: &Context, arguments: &InstallArgs) -> Result<Exit, Failure> {
    let account = Account::choose(context, arguments.system, arguments.user.as_deref())?;
    let identity = account.identity(context)?;
    let environment = account.environment(context);
    let default = if cfg!(target_os = "macos") {
        Which::Launchd
    } else {
        Which::SystemdUser
    };
    let which = arguments.which().unwrap_or(default);
    let manager = service::writer_of(which, &identity, &environment);
    let sockets = match arguments.socket {
        true => settle::sockets(&identity, &environment)?,
        false => Vec::new(),
    };
    let user = arguments.system.then(|| account.name.clone());
    let variant = Variant {
        version: None,
        user,
        sockets,
    };
    let mut files = render(manager.as_ref(), &identity, &environment, variant)?;
    if let Some(folder) = &arguments.output {
        let folder = context.environment.working_dir().join(folder);
        files = files.iter().map(|file| file.inside(&folder)).collect();
        for file in &files {
            file.write().map_err(failed("install"))?;
        }
    }
    if context.out.is_json() {
        let list: Vec<_> = files
            .iter()
            .map(|file| serde_json::json!({ "path": file.path, "text": file.text }))
            .collect();
        context.out.document(&serde_json::json!({ "action": "install", "ok": true, "result": "written", "files": list }));
        return Ok(Exit::Ok);
    }
    for file in &files {
        match arguments.print {
            true if files.len() > 1 => {
                context
                    .out
                    .write(&format!("# {}\n{}\n", file.path.display(), file.text))
            }
            true => context.out.write(&file.text),
            false => context
                .out
                .line(format!("Written: {}", context.shown(&file.path))),
        }
    }
    Ok(Exit::Ok)
}

async fn only_settle(context: &Context, arguments: &InstallArgs) -> Result<Exit, Failure> {
    let settled: Settled = settle::settle(context, arguments).await?;
    context.out.document(&settled);
    Ok(Exit::Ok)
}

fn render(
    manager: &dyn ServiceManager,
    identity: &openclaw_shared::instance::Identity,
    environment: &openclaw_shared::instance::Environment,
    variant: Variant,
) -> Result<Vec<ServiceFile>, Failure> {
    let program = service::stable_program(environment).map_err(|error| {
        Failure::new(
            Kind::Failed,
            format!("This program cannot be found: {error}."),
        )
    })?;
    let names = Names::of(&identity.profile, environment);
    let definition = Definition::of(identity, names, &program, variant).map_err(|error| {
        Failure::new(
            Kind::Refused,
            format!("No service can be written: {error}."),
        )
    })?;
    manager.files(&definition).map_err(failed("install"))
}

fn find(
    which: Option<Which>,
    identity: &openclaw_shared::instance::Identity,
    environment: &openclaw_shared::instance::Environment,
) -> Result<Box<dyn ServiceManager>, Failure> {
    let Some(which) = which else {
        return Ok(service::manager(identity, environment));
    };
    service::manager_of(which, identity, environment).ok_or_else(|| {
        Failure::new(
            Kind::Unsupported,
            "This machine has no such service manager.",
        )
        .hint("Write the files for another machine with --output FOLDER.")
    })
}

/// A service manager that cannot be asked.
pub(super) fn unavailable(context: &Context, why: &Unavailable) -> Failure {
    let failure = Failure::new(
        Kind::Unsupported,
        format!("Gateway service check failed: {}", why.message),
    );
    let failure = why
        .hints
        .iter()
        .fold(failure, |failure, hint| failure.hint(hint.clone()));
    failure.hint(format!("In the foreground: {}", context.command("gateway")))
}

fn failed(action: &'static str) -> impl Fn(String) -> Failure {
    move |why| Failure::new(Kind::Failed, format!("Gateway {action} failed: {why}."))
}

/// Where Nix owns the configuration it owns the services too.
fn refuse_nix(context: &Context, action: &str) -> Result<(), Failure> {
    match context.environment.is_on("OPENCLAW_NIX_MODE") {
        true => Err(Failure::new(
            Kind::Refused,
            format!("Nix mode detected; service {action} is disabled."),
        )
        .hint("Change the service in your Nix configuration.")),
        false => Ok(()),
    }
}
