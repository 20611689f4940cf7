//! Which web pages may make requests to us, and connect sockets.                       (pure)
//!
//! A page of any site can send a simple POST or open a WebSocket to a local port. The browser says
//! in `Origin`, `Sec-Fetch-Site` and `Referer` who is asking; programs that are not browsers send
//! none of them and are judged by their credentials alone.

use http::{HeaderMap, Method, header};
use thiserror::Error;

use super::host::{Host, HostName};

/// A web origin: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    name: HostName,
    port: u16,
}

/// The schemes a page that talks to us can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS, ended by a proxy in front of us.
    Https,
}

impl Scheme {
    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Origin {
    /// Reads `http://host[:port]` or `https://host[:port]`: no path, no user, nothing after it.
    /// Everything else (`null`, `file://`, an extension) is no origin we could allow.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        Some(Self::of(scheme, &Host::parse(rest)?))
    }

    /// The origin of a page that was loaded from `host`.
    #[must_use]
    pub fn of(scheme: Scheme, host: &Host) -> Self {
        let port = host.port().unwrap_or(scheme.default_port());
        Self {
            scheme,
            name: host.name().clone(),
            port,
        }
    }

    /// Whether both mean the same place. All spellings of loopback on one port are one origin.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let same_name =
            self.name == other.name || (self.name.is_loopback() && other.name.is_loopback());
        same_name && self.scheme == other.scheme && self.port == other.port
    }
}

/// Whom the `Origin` header says a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// No `Origin`: a program, an app, or a plain navigation.
    NoPage,
    /// A page that we served.
    OwnPage,
    /// A page of an origin the owner allowed.
    AllowedPage,
    /// `Origin: null`: a sandboxed page, ours or anybody's.
    OpaquePage,
    /// Any other page.
    ForeignPage,
}

/// Tells who is asking. `host` is the request's `Host`, already found to be ours.
#[must_use]
pub fn asker(origin: Option<&str>, scheme: Scheme, host: &Host, allowed: &[Origin]) -> Asker {
    let Some(text) = origin else {
        return Asker::NoPage;
    };
    if text == "null" {
        return Asker::OpaquePage;
    }
    match Origin::parse(text) {
        Some(origin) if origin.is_same(&Origin::of(scheme, host)) => Asker::OwnPage,
        Some(origin) if allowed.contains(&origin) => Asker::AllowedPage,
        Some(_) | None => Asker::ForeignPage,
    }
}

/// Whether a request with this `Origin` may go on: it has none, or its own, or an allowed one.
#[must_use]
pub fn origin_allowed(
    origin: Option<&str>,
    scheme: Scheme,
    host: &Host,
    allowed: &[Origin],
) -> bool {
    match asker(origin, scheme, host, allowed) {
        Asker::NoPage | Asker::OwnPage | Asker::AllowedPage => true,
        Asker::OpaquePage | Asker::ForeignPage => false,
    }
}

/// What gave a request away as coming from somebody else's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CrossSite {
    /// Its `Origin`, or more than one of them.
    #[error("accept the Origin header")]
    Origin,
    /// The browser's own word about it.
    #[error("accept the Sec-Fetch-Site header")]
    FetchSite,
    /// Its `Referer`.
    #[error("accept the Referer header")]
    Referer,
    /// A body in one of the types that a form can send without asking first.
    #[error("accept a form as a request body")]
    Form,
}

/// Refuses what a foreign page could make a browser send. For routes that have effects, or answer
/// what a page must not read, and that take JSON; to be asked before the body is read.
///
/// # Errors
/// Names the header that gave the request away.
pub fn refuse_cross_site(
    method: &Method,
    headers: &HeaderMap,
    scheme: Scheme,
    host: &Host,
    allowed: &[Origin],
) -> Result<(), CrossSite> {
    if sends_form(method, headers) {
        return Err(CrossSite::Form);
    }
    match only(headers, header::ORIGIN) {
        Some(Some(origin)) if origin_allowed(Some(origin), scheme, host, allowed) => return Ok(()),
        Some(_) => return Err(CrossSite::Origin),
        None => {}
    }
    match only(headers, "sec-fetch-site") {
        None | Some(Some("same-origin" | "none")) => {}
        // "same-site" is no better than "cross-site": every port of localhost is the same site.
        Some(_) => return Err(CrossSite::FetchSite),
    }
    match only(headers, header::REFERER) {
        None => Ok(()),
        Some(Some(url)) if origin_allowed(Some(origin_of(url)), scheme, host, allowed) => Ok(()),
        Some(_) => Err(CrossSite::Referer),
    }
}

/// The value of a header that may occur once: absent, unusable (`Some(None)`), or its text.
fn only(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<Option<&str>> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    Some(if values.next().is_some() {
        None
    } else {
        value.to_str().ok()
    })
}

fn origin_of(url: &str) -> &str {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url;
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    &url[..scheme.len() + "://".len() + end]
}

fn sends_form(method: &Method, headers: &HeaderMap) -> bool {
    const FORM_TYPES: [&str; 3] = [
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/plain",
    ];
    if *method == Method::GET || *method == Method::HEAD {
        return false;
    }
    headers.get_all(header::CONTENT_TYPE).iter().any(|value| {
        let text = value.to_str().unwrap_or_default();
        let essence = text.split(';').next().unwrap_or_default().trim();
        FORM_TYPES
            .iter()
            .any(|form| essence.eq_ignore_ascii_case(form))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(origin: Option<&str>, expected: Asker) {
        let host = Host::parse("127.0.0.1:18789").unwrap();
        let allowed = [Origin::parse("https://panel.example:8443").unwrap()];
        assert_eq!(
            asker(origin, Scheme::Http, &host, &allowed),
            expected,
            "{origin:?}"
        );
    }

    #[test]
    fn rule_07_pages_are_told_apart_by_scheme_host_and_port() {
        check(None, Asker::NoPage);
        check(Some("http://127.0.0.1:18789"), Asker::OwnPage);
        check(Some("http://localhost:18789"), Asker::OwnPage);
        check(Some("http://[::1]:18789"), Asker::OwnPage);
        check(Some("https://panel.example:8443"), Asker::AllowedPage);
        check(Some("null"), Asker::OpaquePage);
        for foreign in [
            "",
            "https://evil.example",
            "file://",
            "chrome-extension://abcdef",
            "http://127.0.0.1",
            "http://127.0.0.1:18790",
            "https://127.0.0.1:18789",
            "http://127.0.0.1:18789/",
            "http://127.0.0.1:18789.evil.example",
            "http://127.0.0.1:18789@evil.example",
            "http://localhost.evil.example:18789",
            "https://panel.example",
            "https://panel.example:84430",
            "https://xpanel.example:8443",
            "http://panel.example:8443",
            "NULL",
        ] {
            check(Some(foreign), Asker::ForeignPage);
        }
        let host = Host::parse("gw.example:1").unwrap();
        for (origin, expected) in [
            ("http://gw.example:1", Asker::OwnPage),
            ("http://gw.example.evil.example:1", Asker::ForeignPage),
            ("http://my.gw.example:1", Asker::ForeignPage),
        ] {
            assert_eq!(
                asker(Some(origin), Scheme::Http, &host, &[]),
                expected,
                "{origin}"
            );
        }
    }

    #[track_caller]
    fn check_request(
        method: &str,
        headers: &[(&'static str, &str)],
        verdict: Result<(), CrossSite>,
    ) {
        let host = Host::parse("127.0.0.1:18791").unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let method = method.parse().unwrap();
        let outcome = refuse_cross_site(&method, &map, Scheme::Http, &host, &[]);
        assert_eq!(outcome, verdict, "{method} {headers:?}");
    }

    #[test]
    fn rules_09_94_programs_and_own_pages_pass_and_foreign_pages_do_not() {
        let own = "http://127.0.0.1:18791";
        check_request("POST", &[], Ok(()));
        check_request("POST", &[("content-type", "application/json")], Ok(()));
        check_request("POST", &[("origin", own)], Ok(()));
        check_request("GET", &[("sec-fetch-site", "none")], Ok(()));
        check_request(
            "POST",
            &[("origin", own), ("sec-fetch-site", "cross-site")],
            Ok(()),
        );
        check_request("GET", &[("referer", "http://localhost:18791/a?b")], Ok(()));
        check_request(
            "POST",
            &[("origin", "https://evil.example")],
            Err(CrossSite::Origin),
        );
        check_request("POST", &[("origin", "null")], Err(CrossSite::Origin));
        check_request(
            "POST",
            &[("origin", own), ("origin", own)],
            Err(CrossSite::Origin),
        );
        check_request(
            "GET",
            &[("sec-fetch-site", "cross-site")],
            Err(CrossSite::FetchSite),
        );
        check_request(
            "GET",
            &[("sec-fetch-site", "same-site")],
            Err(CrossSite::FetchSite),
        );
        check_request(
            "GET",
            &[("referer", "http://evil.example/")],
            Err(CrossSite::Referer),
        );
        let look_alike = "http://127.0.0.1:18791.evil.example/";
        check_request("GET", &[("referer", look_alike)], Err(CrossSite::Referer));
        check_request(
            "POST",
            &[("content-type", "Text/Plain; a=b")],
            Err(CrossSite::Form),
        );
        check_request(
            "DELETE",
            &[("content-type", "multipart/form-data")],
            Err(CrossSite::Form),
        );
    }
}
