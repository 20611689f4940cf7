//! What a conditional or partial request gets of a file.                               (pure)

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, header};

/// By what a client recognises the version of a file it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Validators {
    /// A strong entity tag, with its quotes.
    pub(crate) tag: String,
    pub(crate) modified: SystemTime,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// All of it: 200.
    Whole,
    /// The bytes from `start` up to, not including, `end`: 206.
    Part { start: u64, end: u64 },
    /// The client has it: 304.
    Unchanged,
    /// No byte of it was asked for: 416.
    Nothing,
}

/// Decides by the headers of a GET or HEAD request.
pub(crate) fn share(headers: &HeaderMap, validators: &Validators, length: u64) -> Share {
    if is_unchanged(headers, validators) {
        return Share::Unchanged;
    }
    match text(headers, header::RANGE) {
        Some(range) if range_applies(headers, validators) => part(range, length),
        Some(_) | None => Share::Whole,
    }
}

fn is_unchanged(headers: &HeaderMap, validators: &Validators) -> bool {
    if headers.contains_key(header::IF_NONE_MATCH) {
        // The tags are compared by weak comparison, and the date is then not looked at.
        let strong = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == validators.tag;
        let mut lists = headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .flat_map(|one| one.to_str());
        return lists.any(|list| {
            list.split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || strong(tag))
        });
    }
    text(headers, header::IF_MODIFIED_SINCE)
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .is_some_and(|since| seconds(validators.modified) <= seconds(since))
}

/// A range is meant for one version of the file; of any other, all of it is sent.
fn range_applies(headers: &HeaderMap, validators: &Validators) -> bool {
    match text(headers, header::IF_RANGE) {
        None => !headers.contains_key(header::IF_RANGE),
        // A date is too coarse to tell two versions of a second apart.
        Some(version) => version == validators.tag,
    }
}

/// One range is served; several, or units we do not know, get the whole file, as HTTP allows.
fn part(range: &str, length: u64) -> Share {
    let Some((first, last)) = range
        .strip_prefix("bytes=")
        .and_then(|one| one.split_once('-'))
    else {
        return Share::Whole;
    };
    let (start, end) = match (number(first), number(last)) {
        (Some(start), Some(last)) if start <= last => (start, last.saturating_add(1).min(length)),
        (Some(start), None) if last.is_empty() => (start, length),
        (None, Some(tail)) if first.is_empty() => (length.saturating_sub(tail), length),
        _ => return Share::Whole,
    };
    if start < end {
        Share::Part { start, end }
    } else {
        Share::Nothing
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DATE: &str = "Sun, 22 Nov 2026 07:12:07 GMT";

    #[track_caller]
    fn check(headers: &[(HeaderName, &str)], expected: Share) {
        let modified = httpdate::parse_http_date(DATE).unwrap() + Duration::from_millis(400);
        let validators = Validators {
            tag: "\"v1\"".to_owned(),
            modified,
        };
        let map = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()));
        assert_eq!(
            share(&map.collect(), &validators, 100),
            expected,
            "{headers:?}"
        );
    }

    #[test]
    fn a_known_version_is_not_sent_again() {
        check(&[(header::IF_NONE_MATCH, "\"v1\"")], Share::Unchanged);
        check(
            &[(header::IF_NONE_MATCH, "\"v0\", W/\"v1\"")],
            Share::Unchanged,
        );
        check(&[(header::IF_NONE_MATCH, "*")], Share::Unchanged);
        check(&[(header::IF_NONE_MATCH, "\"v0\"")], Share::Whole);
        check(&[(header::IF_MODIFIED_SINCE, DATE)], Share::Unchanged);
        check(
            &[(header::IF_MODIFIED_SINCE, "Sun, 22 Nov 2026 07:12:06 GMT")],
            Share::Whole,
        );
        check(&[(header::IF_MODIFIED_SINCE, "yesterday")], Share::Whole);
        let tag_wins = [
            (header::IF_NONE_MATCH, "\"v0\""),
            (header::IF_MODIFIED_SINCE, DATE),
        ];
        check(&tag_wins, Share::Whole);
        check(
            &[
                (header::IF_NONE_MATCH, "\"v1\""),
                (header::RANGE, "bytes=0-1"),
            ],
            Share::Unchanged,
        );
    }

    #[test]
    fn one_range_is_cut_out() {
        let range = |text, expected| check(&[(header::RANGE, text)], expected);
        range("bytes=0-9", Share::Part { start: 0, end: 10 });
        range(
            "bytes=90-",
            Share::Part {
                start: 90,
                end: 100,
            },
        );
        range(
            "bytes=-10",
            Share::Part {
                start: 90,
                end: 100,
            },
        );
        range("bytes=-1000", Share::Part { start: 0, end: 100 });
        range(
            "bytes=50-1000",
            Share::Part {
                start: 50,
                end: 100,
            },
        );
        range(
            "bytes=0-18446744073709551615",
            Share::Part { start: 0, end: 100 },
        );
        range("bytes=100-", Share::Nothing);
        range("bytes=-0", Share::Nothing);
        range("bytes=9-0", Share::Whole);
        range("bytes=0-1,5-6", Share::Whole);
        range("bytes=-", Share::Whole);
        range("bytes=+1-2", Share::Whole);
        range("bytes=0-18446744073709551616", Share::Whole);
        range("pages=1-2", Share::Whole);
    }

    #[test]
    fn a_range_of_another_version_is_not_cut_out() {
        let range = (header::RANGE, "bytes=0-9");
        let part = Share::Part { start: 0, end: 10 };
        check(&[range.clone(), (header::IF_RANGE, "\"v1\"")], part);
        check(&[range.clone(), (header::IF_RANGE, "\"v0\"")], Share::Whole);
        check(&[range, (header::IF_RANGE, DATE)], Share::Whole);
    }
}
