//! Placeholder life of the process.
mod port_owner;
mod settings;
mod supervise;
fn main() -> std::process::ExitCode {
    use openclaw_shared::instance::{Environment, Identity, Profile};
    let environment = Environment::from_process();
    let profile = Profile::parse(environment.get("OPENCLAW_PROFILE").unwrap_or("")).unwrap();
    let identity = Identity::resolve(profile, &environment, &|p| p.exists()).unwrap();
    let flags = settings::Flags { allow_unconfigured: true, verbose: true, ..Default::default() };
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match rt.block_on(supervise::run(supervise::RunOptions { identity, environment, flags, force: None })) {
        Ok(exit) => exit.into(),
        Err(refusal) => { eprintln!("{refusal}"); refusal.exit.into() }
    }
}
