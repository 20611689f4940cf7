//! How commands ask the gateway: one connection, any number of calls, failures in the command's own words.

use std::time::Duration;

use openclaw_client::{As, CallError, Client};
use openclaw_shared::protocol::method::Method;
use serde_json::Value;

use super::args::RpcFlags;
use super::call_failure::IntoFailure as _;
use super::context::Context;
use super::failure::Failure;
use super::target::{Target, find_target};

/// After this long a person wants to know what is going on.
const PATIENCE: Duration = Duration::from_secs(2);

/// A gateway that has let a command in.
#[derive(Debug)]
pub(crate) struct Rpc<'a> {
    context: &'a Context,
    target: Target,
    client: Client,
    limit: Duration,
    prefix: String,
}

impl<'a> Rpc<'a> {
    /// Connects. `prefix` begins every failure, for example `Gateway call failed: Error: `.
    ///
    /// # Errors
    /// When there is no gateway, or it does not let us in.
    pub(crate) async fn open(
        context: &'a Context,
        flags: &RpcFlags,
        prefix: impl Into<String>,
    ) -> Result<Self, Failure> {
        let prefix = prefix.into();
        let limit = flags.limit();
        let target = find_target(context, flags, false).await?;
        let client = Client::connect(&target.gateway, As::Cli, limit)
            .await
            .map_err(|error| error.into_failure(&prefix, &target, context))?;
        if flags.verbose && !context.out.is_json() {
            context.out.note(format!(
                "Connected to {} ({}).",
                target.gateway.url,
                target.source.describe()
            ));
            for trouble in &client.trouble {
                context.out.note(trouble);
            }
        }
        Ok(Self {
            context,
            target,
            client,
            limit,
            prefix,
        })
    }

    /// Connects for the command of this name, as a person types it.
    ///
    /// # Errors
    /// As [`Rpc::open`].
    pub(crate) async fn for_command(
        context: &'a Context,
        flags: &RpcFlags,
        command: &str,
    ) -> Result<Self, Failure> {
        Self::open(context, flags, format!("{command} failed: Error: ")).await
    }

    /// Calls a method. The answer is read leniently, because the gateway may be of another version.
    ///
    /// # Errors
    /// When the gateway refuses, leaves, or takes too long.
    pub(crate) async fn call<M: Method>(&mut self, params: Value) -> Result<Value, Failure> {
        self.call_for::<M>(self.limit, params).await
    }

    /// Calls a method that may take its time.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub(crate) async fn call_for<M: Method>(
        &mut self,
        limit: Duration,
        params: Value,
    ) -> Result<Value, Failure> {
        let answer = self.try_call::<M>(limit, params).await;
        answer.map_err(|error| self.failure(error))
    }

    /// Calls a method whose refusal the command wants to understand.
    ///
    /// # Errors
    /// As [`Rpc::call`], not yet put into words.
    pub(crate) async fn try_call<M: Method>(
        &mut self,
        limit: Duration,
        params: Value,
    ) -> Result<Value, CallError> {
        self.client.allow(limit);
        self.client.call(M::NAME, &params, false).await
    }

    /// Calls a method by its name, whatever it is; with `to_the_end` past the acceptance of a run.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub(crate) async fn call_by_name(
        &mut self,
        method: &str,
        params: &Value,
        to_the_end: bool,
    ) -> Result<Value, Failure> {
        self.client.allow(self.limit);
        let answer = self.client.call(method, params, to_the_end).await;
        answer.map_err(|error| self.failure(error))
    }

    /// A failed call in the words of the command.
    pub(crate) fn failure(&self, error: CallError) -> Failure {
        error.into_failure(&self.prefix, &self.target, self.context)
    }
}

/// Asks for one thing.
///
/// # Errors
/// As [`Rpc::open`] and [`Rpc::call`].
pub(crate) async fn ask<M: Method>(
    context: &Context,
    flags: &RpcFlags,
    command: &str,
    params: Value,
) -> Result<Value, Failure> {
    let mut rpc = Rpc::for_command(context, flags, command).await?;
    rpc.call::<M>(params).await
}

/// Waits for something that may take long, and says so when it does.
pub(crate) async fn patiently<T>(
    context: &Context,
    what: &str,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    match tokio::time::timeout(PATIENCE, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            context.out.note(what);
            work.await
        }
    }
}
