//! Who asks over HTTP.
//!
//! The secret of the instance comes as a bearer, as token or as password. An identity that Tailscale Serve vouches for counts
//! too, but only for requests that no page of another site has made: Serve adds it to whatever a browser sends.
//!
//! Only wrong guesses wait for their answer, and only so many at one time: more are turned away at once, so that guessing in
//! parallel is no faster, and does not take up every connection.

use http::{HeaderMap, StatusCode, header};
use openclaw_shared::clock::Moment;
use openclaw_shared::protocol::connect::ConnectAuth;
use openclaw_shared::serve::Peer;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::api::{Asked, Failure};
use super::{client, upgrade};
use crate::auth;
use crate::auth::throttle::Source;

/// Wrong guesses that wait for their answer at one time.
const MOST_WAITING: usize = 64;

/// Where wrong guesses wait.
#[derive(Debug)]
pub(super) struct Penalties(Semaphore);

impl Default for Penalties {
    fn default() -> Self {
        Self(Semaphore::new(MOST_WAITING))
    }
}

/// Lets a client in that may ask for everything.
///
/// # Errors
/// When it has not shown that it may.
pub(super) async fn admit(asked: &Asked) -> Result<(), Failure> {
    let presented = bearer(&asked.headers);
    let auth = ConnectAuth {
        token: presented.map(str::to_owned),
        password: presented.map(str::to_owned),
    };
    let admittance = asked.context.admittance();
    let refused = match auth::check(admittance.credentials.as_deref(), &auth) {
        Ok(()) => return Ok(()),
        Err(refused) => refused,
    };
    if is_of_tailnet(asked).await {
        return Ok(());
    }
    Err(refuse(asked, refused.is_guess()).await)
}

/// What a client hears that has not shown who it is, late if it has guessed.
pub(super) async fn refuse(asked: &Asked, is_guess: bool) -> Failure {
    if !is_guess {
        return Failure::unauthorized();
    }
    let Ok(_place) = asked.penalties.0.try_acquire() else {
        let message = "too many wrong guesses are being answered";
        return Failure::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message);
    };
    let peer = match asked.peer {
        Peer::Tcp(address) => Some(address.ip()),
        Peer::Local => None,
    };
    let settings = asked.context.settings();
    let client = client::resolve(peer, &asked.headers, &asked.host, &settings.trusted_proxies);
    let origin = asked.headers.get(header::ORIGIN);
    let place = Source::Place {
        address: client.address,
        origin: origin.map(|origin| String::from_utf8_lossy(origin.as_bytes()).into_owned()),
    };
    let delay = asked
        .context
        .throttle(|throttle| throttle.wrong_guess(Moment::now(), [place]));
    if !delay.is_zero() {
        sleep(delay).await;
    }
    if let Some(left_out) = asked.context.may_log_stranger() {
        tracing::info!(target: "gateway/http", left_out, "refused a request with a wrong secret");
    }
    Failure::unauthorized()
}

/// The one bearer of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    const SCHEME: &str = "bearer ";
    let mut written = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (written.next()?.to_str().ok()?, written.next()) else {
        return None;
    };
    let scheme = value.get(..SCHEME.len())?;
    let presented = &value[SCHEME.len()..];
    (scheme.eq_ignore_ascii_case(SCHEME) && !presented.is_empty()).then_some(presented)
}

async fn is_of_tailnet(asked: &Asked) -> bool {
    if !asked.context.believes_tailnet() {
        return false;
    }
    let cross_site = asked.headers.get("sec-fetch-site");
    if cross_site.is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none")) {
        return false;
    }
    let arrival = upgrade::arrival(&asked.context, asked.peer, &asked.host, &asked.headers);
    match arrival.ok().and_then(|arrival| arrival.tailnet) {
        Some(Ok(claim)) => asked.context.tailnet.confirm(&claim).await.is_ok(),
        Some(Err(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::bearer;

    #[test]
    fn one_bearer_and_nothing_else_is_a_secret() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("authorization", value.parse().unwrap());
            }
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(read(&["Bearer x"]).as_deref(), Some("x"));
        assert_eq!(read(&["bEARER x y"]).as_deref(), Some("x y"));
        assert_eq!(read(&["Bearer  x"]).as_deref(), Some(" x"));
        for nothing in [
            &["Basic x"][..],
            &["x"],
            &["Bearer"],
            &["Bearer "],
            &[],
            &["Bearer x", "Bearer x"],
            &["Bearerx x"],
        ] {
            assert_eq!(read(nothing), None, "{nothing:?}");
        }
    }
}
