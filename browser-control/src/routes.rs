//! Every documented route, and what this release does with it.                           (pure)

use http::Method;

/// What is to be done about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// `GET /`.
    Status,
    /// `GET /profiles`.
    Profiles,
    /// Documented, and not part of this release.
    Later,
    /// The path exists, for these methods.
    OtherMethod(&'static str),
    /// Nothing is there.
    Unknown,
}

/// The methods that a route of a later release has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Get,
    Post,
    Delete,
}

/// Routes that come with the DevTools protocol. A part that begins with a colon stands for any name.
const LATER: [(Takes, &str); 43] = [
    (Takes::Post, "/profiles/create"),
    (Takes::Delete, "/profiles/:name"),
    (Takes::Post, "/reset-profile"),
    (Takes::Post, "/start"),
    (Takes::Post, "/stop"),
    (Takes::Get, "/tabs"),
    (Takes::Post, "/tabs/open"),
    (Takes::Post, "/tabs/focus"),
    (Takes::Delete, "/tabs/:targetId"),
    (Takes::Post, "/tabs/action"),
    (Takes::Post, "/navigate"),
    (Takes::Get, "/snapshot"),
    (Takes::Post, "/screenshot"),
    (Takes::Post, "/pdf"),
    (Takes::Post, "/act"),
    (Takes::Post, "/hooks/dialog"),
    (Takes::Post, "/hooks/file-chooser"),
    (Takes::Get, "/console"),
    (Takes::Get, "/errors"),
    (Takes::Get, "/requests"),
    (Takes::Post, "/response/body"),
    (Takes::Post, "/highlight"),
    (Takes::Post, "/trace/start"),
    (Takes::Post, "/trace/stop"),
    (Takes::Post, "/download"),
    (Takes::Post, "/wait/download"),
    (Takes::Get, "/cookies"),
    (Takes::Post, "/cookies/set"),
    (Takes::Post, "/cookies/clear"),
    (Takes::Get, "/storage/local"),
    (Takes::Get, "/storage/session"),
    (Takes::Post, "/storage/local/set"),
    (Takes::Post, "/storage/session/set"),
    (Takes::Post, "/storage/local/clear"),
    (Takes::Post, "/storage/session/clear"),
    (Takes::Post, "/set/offline"),
    (Takes::Post, "/set/headers"),
    (Takes::Post, "/set/credentials"),
    (Takes::Post, "/set/geolocation"),
    (Takes::Post, "/set/media"),
    (Takes::Post, "/set/timezone"),
    (Takes::Post, "/set/locale"),
    (Takes::Post, "/set/device"),
];

/// Finds the route of a request. Paths are compared as they are written, without decoding.
pub(crate) fn route(method: &Method, path: &str) -> Route {
    let own = match path {
        "/" => Some(Route::Status),
        "/profiles" => Some(Route::Profiles),
        _ => None,
    };
    if let Some(own) = own {
        return if *method == Method::GET {
            own
        } else {
            Route::OtherMethod("GET")
        };
    }
    let mut takes = LATER
        .iter()
        .filter(|(_, pattern)| matches(pattern, path))
        .map(|(one, _)| *one);
    match takes.next() {
        None => Route::Unknown,
        Some(one) if one.is(method) || takes.any(|other| other.is(method)) => Route::Later,
        Some(one) => Route::OtherMethod(one.name()),
    }
}

impl Takes {
    const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }

    fn is(self, method: &Method) -> bool {
        method.as_str() == self.name()
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    let all = pattern.split('/').all(|expected| {
        let part = parts.next();
        part.is_some_and(|part| {
            if expected.starts_with(':') {
                !part.is_empty()
            } else {
                part == expected
            }
        })
    });
    all && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, path: &str, expected: Route) {
        assert_eq!(
            route(&method.parse().unwrap(), path),
            expected,
            "{method} {path}"
        );
    }

    #[test]
    fn what_works_what_comes_and_what_does_not_exist_are_told_apart() {
        check("GET", "/", Route::Status);
        check("GET", "/profiles", Route::Profiles);
        check("POST", "/", Route::OtherMethod("GET"));
        check("HEAD", "/", Route::OtherMethod("GET"));
        check("OPTIONS", "/tabs", Route::OtherMethod("GET"));
        check("GET", "/act", Route::OtherMethod("POST"));
        check("POST", "/act", Route::Later);
        check("GET", "/tabs", Route::Later);
        check("DELETE", "/tabs/A2EE", Route::Later);
        check("DELETE", "/profiles/work", Route::Later);
        check("POST", "/profiles/create", Route::Later);
        check("POST", "/tabs/open", Route::Later);
        check("GET", "/storage/local", Route::Later);
        for path in [
            "",
            "//",
            "/Tabs",
            "/tabs/",
            "/tabs//",
            "/x",
            "/storage/other",
            "/act/x",
            "/%61ct",
        ] {
            check("POST", path, Route::Unknown);
        }
    }
}
