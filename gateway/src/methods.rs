//! The registration of handlers: one line per method, one file per family.
//!
//! A handler is an ordinary `async fn(&Context, &Caller, Params) -> Result<Reply, MethodError>`; it knows no socket. The
//! start fails, and a test before it, when a method is registered twice or declared without a handler. A method that is planned
//! checks rights and parameters like any other and then says that it is not there yet.
//!
//! A handler is dropped where it waits when its caller leaves. One that makes something durable and then acts on it (an event, a
//! connection that must go) is registered as an errand and runs to its end.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use openclaw_shared::protocol::error::ErrorShape;
use openclaw_shared::protocol::frame::Request;
use openclaw_shared::protocol::method::{self, Availability, Method};
use openclaw_shared::protocol::scope::Scope;
use serde::Serialize;
use serde_json::Value;

use crate::connection::validate::Validator;
use crate::connection::{Answer, Caller, Outgoing};
use crate::context::Context;
use crate::errands::Interrupted;
use crate::metrics::{SharedTally, Tally};
use crate::prepared::Prepared;
use crate::store::StoreError;

mod activity;
mod agents;
mod channels;
mod chat;
mod config;
mod cron;
mod devices;
mod heartbeat;
mod nodes;
mod runs;
mod sessions;
mod skills;
mod system;
mod talk;
mod usage;
mod voicewake;

/// All handlers.
///
/// # Errors
/// When handlers and declarations do not fit.
pub(crate) fn routes() -> Result<Routes, Misrouted> {
    let routes = Routes::default();
    let routes = system::register(routes);
    let routes = activity::register(routes);
    let routes = talk::register(routes);
    let routes = config::register(routes);
    let routes = devices::register(routes);
    let routes = nodes::register(routes);
    let routes = agents::register(routes);
    let routes = channels::register(routes);
    let routes = chat::register(routes);
    let routes = cron::register(routes);
    let routes = heartbeat::register(routes);
    let routes = runs::register(routes);
    let routes = sessions::register(routes);
    let routes = skills::register(routes);
    let routes = usage::register(routes);
    let routes = voicewake::register(routes);
    routes.complete()
}

/// Why a handler has no reply; the text is for the caller.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MethodError(Box<ErrorShape>);

impl MethodError {
    /// The request is refused for what it says.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        ErrorShape::invalid_request(message).into()
    }

    /// Something it needs is missing or failed.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        ErrorShape::unavailable(message).into()
    }

    /// What the caller is told.
    #[cfg(test)]
    pub(crate) fn shape(&self) -> &ErrorShape {
        &self.0
    }

    /// The same error with facts a program may act on.
    pub(crate) fn with_details(self, details: serde_json::Value) -> Self {
        self.0.with_details(details).into()
    }
}

impl MethodError {
    /// The error as it is sent.
    pub(crate) fn into_shape(self) -> Box<ErrorShape> {
        self.0
    }
}

impl From<Box<ErrorShape>> for MethodError {
    fn from(error: Box<ErrorShape>) -> Self {
        Self(error)
    }
}

impl From<ErrorShape> for MethodError {
    fn from(error: ErrorShape) -> Self {
        Self(Box::new(error))
    }
}

impl From<StoreError> for MethodError {
    fn from(error: StoreError) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<Interrupted> for MethodError {
    fn from(Interrupted: Interrupted) -> Self {
        Self::unavailable("internal error")
    }
}

/// What a handler of a method with reply `R` may return: the reply itself, or its JSON prepared before.
pub(crate) trait Answers<R> {
    /// The JSON.
    fn into_json(self) -> Bytes;
}

impl<R: Serialize> Answers<R> for R {
    fn into_json(self) -> Bytes {
        Prepared::new(&self).json().clone()
    }
}

impl<R> Answers<R> for Prepared<R> {
    fn into_json(self) -> Bytes {
        self.json().clone()
    }
}

/// What a handler has to say: an answer, and after it another one if there is more to come.
pub(crate) struct Reply {
    pub(crate) answer: Outgoing,
    pub(crate) then: Option<Answering>,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self {
            answer: answer.into(),
            then: None,
        }
    }
}

/// A handler at work.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Reply>>>;

/// What became of a call.
pub(crate) enum Called {
    /// It is answered, by a refusal.
    Answered(Answer),
    /// Its handler is to be polled.
    Started(Answering),
}

type Handler =
    Box<dyn Fn(&Arc<Context>, &Arc<Caller>, &str) -> Result<Answering, String> + Send + Sync>;

struct Route {
    scope: Scope,
    handler: Handler,
    tally: SharedTally,
}

impl Route {
    fn new(scope: Scope, handler: Handler) -> Self {
        Self {
            scope,
            handler,
            tally: SharedTally::default(),
        }
    }
}

/// Handlers by method.
#[derive(Default)]
pub(crate) struct Routes {
    by_name: BTreeMap<&'static str, Route>,
    /// Requests for methods that there are not.
    unknown: SharedTally,
    twice: Vec<&'static str>,
}

/// Handlers and declarations that do not fit.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("methods registered twice: {twice:?}; declared without a handler: {missing:?}")]
pub(crate) struct Misrouted {
    twice: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl fmt::Debug for Routes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.by_name.keys()).finish()
    }
}

impl Routes {
    /// A method whose work ends with its caller.
    fn on<M, A, H>(self, method: M, handler: H) -> Self
    where
        M: Method,
        A: Answers<M::Reply>,
        H: AsyncFn(&Context, &Caller, M::Params) -> Result<A, MethodError> + Send + Sync + 'static,
    {
        let handler = Arc::new(handler);
        self.route(method, move |context, caller, params| {
            let handler = handler.clone();
            async move { handler(&context, &caller, params).await }
        })
    }

    /// A method whose work is done to its end, also when its caller leaves.
    fn on_errand<M, A, H>(self, method: M, handler: H) -> Self
    where
        M: Method,
        A: Answers<M::Reply> + 'static,
        H: AsyncFn(&Context, &Caller, M::Params) -> Result<A, MethodError> + Send + Sync + 'static,
    {
        self.on_errand_then(method, handler, async |_: &Context, reply: A| Ok(reply))
    }

    /// The same, for work that hands the gateway on to what outlives it.
    fn on_errand_of<M, A, H>(self, method: M, handler: H) -> Self
    where
        M: Method,
        A: Answers<M::Reply> + 'static,
        H: AsyncFn(&Arc<Context>, &Arc<Caller>, M::Params) -> Result<A, MethodError>
            + Send
            + Sync
            + 'static,
    {
        let handler = Arc::new(handler);
        self.route(method, move |context, caller, params| {
            let handler = handler.clone();
            async move {
                let within = context.clone();
                let errand = async move { handler(&within, &caller, params).await };
                context.errands.run(errand).await?
            }
        })
    }

    /// A method of two parts: the first is done to its end, the second ends with its caller.
    fn on_errand_then<M, W, A, H, T>(self, method: M, handler: H, then: T) -> Self
    where
        M: Method,
        W: 'static,
        A: Answers<M::Reply>,
        H: AsyncFn(&Context, &Caller, M::Params) -> Result<W, MethodError> + Send + Sync + 'static,
        T: AsyncFn(&Context, W) -> Result<A, MethodError> + Send + Sync + 'static,
    {
        let (handler, then) = (Arc::new(handler), Arc::new(then));
        self.route(method, move |context, caller, params| {
            let (handler, then) = (handler.clone(), then.clone());
            async move {
                let within = context.clone();
                let errand = async move { handler(&within, &caller, params).await };
                let done = context.errands.run(errand).await??;
                then(&context, done).await
            }
        })
    }

    fn route<M, A, H, F>(self, _method: M, handler: H) -> Self
    where
        M: Method,
        A: Answers<M::Reply>,
        H: Fn(Arc<Context>, Arc<Caller>, M::Params) -> F + Send + Sync + 'static,
        F: Future<Output = Result<A, MethodError>> + 'static,
    {
        let validator = Validator::of::<M::Params>();
        let handler: Handler = Box::new(move |context, caller, raw| {
            let params = validator.parse::<M::Params>(M::NAME, raw)?;
            let answered = handler(context.clone(), caller.clone(), params);
            Ok(guarded(answered.map(|answered| {
                let answer = answered.map(A::into_json);
                answer.map_err(|MethodError(error)| error).into()
            })))
        });
        self.insert::<M>(handler)
    }

    /// A method that answers twice: when its work is taken, which is done to its end, and when it is finished, for as long as its
    /// caller waits.
    fn on_twice<M, A, H, T>(self, _method: M, handler: H) -> Self
    where
        M: Method,
        A: Answers<M::Reply> + 'static,
        H: AsyncFn(Arc<Context>, Arc<Caller>, M::Params) -> Result<(A, T), MethodError>
            + Send
            + Sync
            + 'static,
        T: Future<Output = Outgoing> + 'static,
    {
        let validator = Validator::of::<M::Params>();
        let handler = Arc::new(handler);
        let handler: Handler = Box::new(move |context, caller, raw| {
            let params = validator.parse::<M::Params>(M::NAME, raw)?;
            let (context, caller, handler) = (context.clone(), caller.clone(), handler.clone());
            Ok(guarded(async move {
                let within = context.clone();
                let errand = async move { handler(within, caller, params).await };
                match context.errands.run(errand).await {
                    Ok(Ok((first, then))) => Reply {
                        answer: Ok(first.into_json()).into(),
                        then: Some(guarded(then.map(|answer| Reply { answer, then: None }))),
                    },
                    Ok(Err(MethodError(error))) => Err(error).into(),
                    Err(interrupted) => Err(MethodError::from(interrupted).into_shape()).into(),
                }
            }))
        });
        self.insert::<M>(handler)
    }

    fn insert<M: Method>(mut self, handler: Handler) -> Self {
        if self
            .by_name
            .insert(M::NAME, Route::new(M::SCOPE, handler))
            .is_some()
        {
            self.twice.push(M::NAME);
        }
        self
    }

    /// Puts the parameters of a method right before anything else looks at them.
    fn prepared<M: Method>(mut self, _method: M, prepare: fn(&mut Value)) -> Self {
        if let Some(route) = self.by_name.get_mut(M::NAME) {
            let plain =
                std::mem::replace(&mut route.handler, Box::new(|_, _, _| Err(String::new())));
            route.handler = Box::new(move |context, caller, raw| {
                let prepared = serde_json::from_str(raw).map(|mut value| {
                    prepare(&mut value);
                    value.to_string()
                });
                // What is no JSON is refused where everything else is.
                plain(context, caller, prepared.as_deref().unwrap_or(raw))
            });
        }
        self
    }

    fn complete(mut self) -> Result<Self, Misrouted> {
        let mut missing = Vec::new();
        for method in method::all() {
            match method.availability {
                Availability::Works if self.by_name.contains_key(method.name) => {}
                Availability::Works => missing.push(method.name),
                Availability::Planned(why) => {
                    self.plan(method.name, method.scope, why, method.params_schema)
                }
            }
        }
        if self.twice.is_empty() && missing.is_empty() {
            Ok(self)
        } else {
            Err(Misrouted {
                twice: self.twice,
                missing,
            })
        }
    }

    /// A method that checks its caller and its parameters, and then says why it does nothing.
    fn plan(
        &mut self,
        name: &'static str,
        scope: Scope,
        why: &'static str,
        schema: fn() -> schemars::Schema,
    ) {
        let validator = Validator::new(schema);
        let handler: Handler = Box::new(move |_, _, raw| {
            validator.check(name, raw)?;
            let error = ErrorShape::unavailable(format!("{name} is not available yet: {why}"));
            let answer: Answer = Err(Box::new(error));
            Ok(Box::pin(std::future::ready(answer.into())))
        });
        if self
            .by_name
            .insert(name, Route::new(scope, handler))
            .is_some()
        {
            self.twice.push(name);
        }
    }

    /// The requests for each method, and for those that there are not.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = (&'static str, &Tally)> {
        let known = self
            .by_name
            .iter()
            .map(|(name, route)| (*name, &*route.tally));
        known.chain([("other", &*self.unknown)])
    }

    /// Checks a request and starts its handler, and says where the request counts.
    pub(crate) fn call_counted(
        &self,
        context: &Arc<Context>,
        caller: &Arc<Caller>,
        request: &Request<'_>,
    ) -> (&SharedTally, Called) {
        let route = self.by_name.get(&*request.method);
        let tally = route.map_or(&self.unknown, |route| &route.tally);
        (tally, Self::start(route, context, caller, request))
    }

    /// Checks a request and starts its handler. The scope is looked at before the parameters are.
    pub(crate) fn call(
        &self,
        context: &Arc<Context>,
        caller: &Arc<Caller>,
        request: &Request<'_>,
    ) -> Called {
        Self::start(self.by_name.get(&*request.method), context, caller, request)
    }

    fn start(
        route: Option<&Route>,
        context: &Arc<Context>,
        caller: &Arc<Caller>,
        request: &Request<'_>,
    ) -> Called {
        let refuse = |message: String| {
            tracing::debug!(
                target: "gateway/ws",
                conn = %caller.link,
                method = shown(&request.method),
                error = message,
                "refused a request"
            );
            Called::Answered(Err(Box::new(ErrorShape::invalid_request(message))))
        };
        let name = &*request.method;
        if name == "connect" {
            return refuse("connect is only valid as the first request".to_owned());
        }
        if let Err(denied) = caller
            .rights
            .check(route.map_or(Scope::Admin, |route| route.scope))
        {
            return refuse(denied.to_string());
        }
        let Some(route) = route else {
            return refuse(format!("unknown method: {}", shown(name)));
        };
        let raw = match request.params.map(|params| params.get()) {
            None | Some("null") => "{}",
            Some(raw) => raw,
        };
        match (route.handler)(context, caller, raw) {
            Ok(answering) => Called::Started(answering),
            Err(message) => refuse(message),
        }
    }
}

/// A panic costs one answer.
fn guarded(replying: impl Future<Output = Reply> + 'static) -> Answering {
    Box::pin(AssertUnwindSafe(replying).catch_unwind().map(|outcome| {
        // The panic hook has already said where.
        outcome.unwrap_or_else(|_| Err(Box::new(ErrorShape::unavailable("internal error"))).into())
    }))
}

/// A client's text as far as it is worth repeating.
fn shown(name: &str) -> String {
    const LONGEST: usize = 128;
    name.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openclaw_shared::protocol::connect::ConnectParams;
    use openclaw_shared::protocol::error::ErrorCode;
    use openclaw_shared::protocol::frame::Request;
    use openclaw_shared::protocol::method;
    use openclaw_shared::protocol::method::system::Health;
    use openclaw_shared::protocol::params::health::{HealthParams, HealthSummary};
    use openclaw_shared::protocol::scope::{Rights, Role, Scope};

    use super::{Called, MethodError, Routes, routes, system};
    use crate::connection::link::LinkId;
    use crate::connection::{Caller, Outgoing};
    use crate::context::Context;
    use crate::testing::{Gateway, connect};

    #[test]
    fn every_declared_method_has_one_handler() {
        assert!(routes().is_ok());
    }

    #[test]
    fn a_method_registered_twice_or_not_at_all_is_an_error() {
        let twice = Routes::default()
            .on(Health, system::health)
            .on(Health, system::health);
        let misrouted = twice.complete().unwrap_err();
        assert_eq!(misrouted.twice, ["health"]);
        assert!(misrouted.missing.contains(&"status"));
    }

    fn caller(role: Role, scopes: &[&str]) -> Arc<Caller> {
        let params: ConnectParams = serde_json::from_value(connect()).unwrap();
        Arc::new(Caller {
            link: LinkId(1),
            rights: Rights::new(role, scopes.iter().copied()),
            device: None,
            agent: None,
            client: params.client,
            presence_key: None,
        })
    }

    #[tokio::test(flavor = "local")]
    async fn rights_are_looked_at_before_parameters_for_every_method_and_role() {
        let gateway = Gateway::start().await;
        let routes = routes().unwrap();
        let names = method::all().map(|method| (method.name, Some(method.scope)));
        for (name, scope) in names.chain([("no.such.method", None), ("constructor", None)]) {
            for (role, scopes) in [
                (Role::Operator, &["operator.admin"][..]),
                (Role::Operator, &["operator.read"]),
                (Role::Operator, &["operator.write"]),
                (Role::Operator, &["operator.pairing", "operator.approvals"]),
                (Role::Operator, &["operator.*", "OPERATOR.ADMIN"]),
                (Role::Node, &["operator.admin"]),
            ] {
                let frame =
                    format!(r#"{{"type":"req","id":"1","method":"{name}","params":["nonsense"]}}"#);
                let request = Request::parse(&frame).unwrap();
                let caller = caller(role, scopes);
                let Called::Answered(Err(error)) = routes.call(&gateway.context, &caller, &request)
                else {
                    panic!("nonsense is never accepted")
                };
                let expected = match caller.rights.check(scope.unwrap_or(Scope::Admin)) {
                    Err(denied) => denied.to_string(),
                    Ok(()) if scope.is_none() => format!("unknown method: {name}"),
                    Ok(()) => format!("invalid {name} params: must be object"),
                };
                assert_eq!(error.message, expected, "{name} {role} {scopes:?}");
            }
        }
    }

    async fn trips(_: &Context, _: &Caller, _: HealthParams) -> Result<HealthSummary, MethodError> {
        panic!("a handler trips over its own feet")
    }

    #[tokio::test(flavor = "local")]
    async fn a_panic_costs_one_request() {
        let gateway = Gateway::start().await;
        let routes = Routes::default().on(Health, trips);
        let request = Request::parse(r#"{"type":"req","id":"1","method":"health"}"#).unwrap();
        let caller = caller(Role::Operator, &["operator.admin"]);
        let Called::Started(answering) = routes.call(&gateway.context, &caller, &request) else {
            panic!("a good request is started")
        };
        let Outgoing::Plain(Err(error)) = answering.await.answer else {
            panic!("a panic is no answer")
        };
        assert_eq!(error.code, ErrorCode::Unavailable);
    }
}
