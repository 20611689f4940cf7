//! Who may ask: whoever shows the instance's secret, on loopback like anywhere else.      (pure)

use http::{HeaderMap, header};
use openclaw_shared::credentials::Credentials;
use openclaw_shared::secret::constant_time_eq;

/// Whether the request carries the active secret as `Authorization: Bearer …`, once. Without a secret
/// nobody is let in.
pub(crate) fn is_authorised(headers: &HeaderMap, credentials: Option<&Credentials>) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Some(presented) = bearer(value.as_bytes()) else {
        return false;
    };
    let expected = credentials.and_then(Credentials::active);
    expected.is_some_and(|secret| {
        !secret.expose().is_empty() && constant_time_eq(presented, secret.expose().as_bytes())
    })
}

/// The scheme is compared without regard to case, as HTTP wants it; the secret is taken as it is.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, secret) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(secret)
}

#[cfg(test)]
mod tests {
    use openclaw_shared::credentials::AuthMode;
    use openclaw_shared::secret::Secret;

    use super::*;

    fn credentials(mode: AuthMode) -> Credentials {
        let secret = |text: &str| Some(Secret::new(text.to_owned()));
        Credentials {
            mode,
            token: secret("tokén"),
            password: secret("pass word"),
        }
    }

    #[track_caller]
    fn check(mode: AuthMode, values: &[&str], expected: bool) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.as_bytes().try_into().unwrap());
        }
        assert_eq!(
            is_authorised(&headers, Some(&credentials(mode))),
            expected,
            "{values:?}"
        );
        assert!(
            !is_authorised(&headers, None),
            "nobody is let in without a secret"
        );
    }

    #[test]
    fn rule_94_only_the_active_secret_opens() {
        check(AuthMode::Token, &["Bearer tokén"], true);
        check(AuthMode::Token, &["bearer tokén"], true);
        check(AuthMode::Password, &["Bearer pass word"], true);
        for near_miss in [
            "",
            "Bearer",
            "Bearer ",
            "tokén",
            "Bearer token",
            "Bearer toké",
            "Bearer tokénx",
            "Bearer Tokén",
            "Bearer  tokén",
            "Bearer tokén ",
            "Basic tokén",
            "Bearer pass word",
        ] {
            check(AuthMode::Token, &[near_miss], false);
        }
        check(AuthMode::Token, &[], false);
        check(AuthMode::Token, &["Bearer tokén", "Bearer tokén"], false);
    }

    #[test]
    fn an_empty_secret_is_none() {
        let empty = Credentials {
            mode: AuthMode::Token,
            token: Some(Secret::new(String::new())),
            password: None,
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Bearer ".parse().unwrap());
        assert!(!is_authorised(&headers, Some(&empty)));
    }
}
