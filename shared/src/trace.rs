//! One id for everything that a request causes, in whichever process: W3C trace context.
//!
//! A request brings an id along (`traceparent`) or gets one. While anything is done for it, that id is the *current* one of this
//! thread, and the log writes it into every record ([`crate::log`]). It crosses a process boundary in the same header, or in a field of
//! a control message.
//!
//! Invariant: an id is made when somebody asks for it and not before, so that a request which causes no record costs nothing.
//!
//! Invariant: an id is 32 hexadecimal digits, whoever sent it, and can be written anywhere. It is a name and no proof of anything.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::instance::Environment;

/// The header by which a request names its trace.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header by which an answer does.
pub const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

thread_local! {
    /// What this thread works for at the moment.
    static CURRENT: Cell<Trace> = const { Cell::new(Trace::None) };
}

/// The name of a trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// A new one; none when the system gives no random numbers.
    #[must_use]
    pub fn random() -> Option<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        Self::new(bytes)
    }

    /// Zero is no id.
    fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// Reads 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(digits: &str) -> Option<Self> {
        Self::new(hex(digits)?)
    }

    /// Reads a `traceparent` of this version of the standard, or of a later one as far as it is known.
    #[must_use]
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let (version, rest) = text.split_at_checked(2)?;
        let version = hex::<1>(version)?;
        let [trace, parent, flags, more @ ..] =
            &rest.strip_prefix('-')?.splitn(4, '-').collect::<Vec<_>>()[..]
        else {
            return None;
        };
        let parent = hex::<8>(parent)?;
        hex::<1>(flags)?;
        let is_known = version != [0xff] && (version != [0] || more.is_empty());
        (is_known && parent != [0; 8])
            .then(|| Self::parse(trace))
            .flatten()
    }

    /// The header that names it to somebody else, with a step of its own.
    #[must_use]
    pub fn traceparent(self) -> HeaderValue {
        let mut step = [0; 8];
        // Zero is no step, and without random numbers any other will do.
        if getrandom::fill(&mut step).is_err() || step == [0; 8] {
            step = [1; 8];
        }
        let text = format!("00-{self}-{:016x}-01", u64::from_be_bytes(step));
        HeaderValue::from_str(&text).expect("digits and dashes can be in a header")
    }
}

/// Lower-case hexadecimal digits, exactly two for each byte.
fn hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The text is no trace id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a trace id is 32 lower-case hexadecimal digits, not all of them zero")]
pub struct NoTraceId;

impl FromStr for TraceId {
    type Err = NoTraceId;

    /// Reads an id, or the header that holds one.
    fn from_str(text: &str) -> Result<Self, NoTraceId> {
        Self::parse(text)
            .or_else(|| Self::from_traceparent(text))
            .ok_or(NoTraceId)
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(NoTraceId))
    }
}

/// What something is done for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trace {
    /// Nothing that has a name.
    #[default]
    None,
    /// A request to which nobody has given a name yet; it gets one when it is needed.
    Unnamed,
    /// This.
    Named(TraceId),
}

impl From<Option<TraceId>> for Trace {
    /// What was sent, or a new one.
    fn from(sent: Option<TraceId>) -> Self {
        sent.map_or(Self::Unnamed, Self::Named)
    }
}

impl Trace {
    /// The trace that a request names, or a new one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut sent = headers.get_all(TRACEPARENT).iter();
        let (Some(one), None) = (sent.next(), sent.next()) else {
            return Self::Unnamed;
        };
        let id = one.to_str().ok().and_then(TraceId::from_traceparent);
        id.into()
    }

    /// What this thread works for at the moment.
    #[must_use]
    pub fn current() -> Self {
        CURRENT.get()
    }

    /// Its name, made if need be; none for what has none.
    #[must_use]
    pub fn id(&mut self) -> Option<TraceId> {
        if *self == Self::Unnamed {
            *self = TraceId::random().map_or(Self::None, Self::Named);
        }
        match self {
            Self::Named(id) => Some(*id),
            Self::None | Self::Unnamed => None,
        }
    }

    /// Does something for it.
    pub fn within<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let entered = Entered {
            before: CURRENT.replace(*self),
            trace: self,
        };
        let done = work();
        drop(entered);
        done
    }
}

/// The name of what this thread works for, made if need be.
#[must_use]
pub fn current() -> Option<TraceId> {
    let mut trace = CURRENT.get();
    let id = trace.id();
    CURRENT.set(trace);
    id
}

/// Ends what is done for a trace, also when it panicked, and keeps the name that it was given meanwhile.
struct Entered<'a> {
    before: Trace,
    trace: &'a mut Trace,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        *self.trace = CURRENT.replace(self.before);
    }
}

/// The name of what this thread works for, as far as it has one: what is begun on its behalf carries it on.
#[must_use]
pub fn inherited() -> Trace {
    match Trace::current() {
        Trace::None => Trace::None,
        Trace::Unnamed | Trace::Named(_) => current().map_or(Trace::None, Trace::Named),
    }
}

/// Does something for a trace, however long that takes.
pub async fn following<F: Future>(mut trace: Trace, work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|cx| trace.within(|| work.as_mut().poll(cx))).await
}

/// The trace that a program is started within, as the variable `TRACEPARENT` names it.
#[must_use]
pub fn of_environment(environment: &Environment) -> Option<TraceId> {
    TraceId::from_traceparent(environment.get("TRACEPARENT")?)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use http::HeaderMap;
    use proptest::prelude::*;

    use super::{TRACEPARENT, Trace, TraceId, current, following, inherited};

    const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[track_caller]
    fn check(header: &str, expected: Option<&str>) {
        let read = TraceId::from_traceparent(header).map(|id| id.to_string());
        assert_eq!(read.as_deref(), expected, "{header:?}");
    }

    #[test]
    fn a_header_is_read_as_the_standard_says() {
        check(SENT, Some(ID));
        check(&SENT.replace("-01", "-00"), Some(ID));
        check(&SENT.replacen("00-", "01-", 1), Some(ID));
        check(
            &format!("{}-more", SENT.replacen("00-", "cc-", 1)),
            Some(ID),
        );
        for wrong in [
            String::new(),
            "00".to_owned(),
            ID.to_owned(),
            SENT.to_uppercase(),
            format!("{SENT}-more"),
            format!("{SENT} "),
            SENT.replacen("00-", "ff-", 1),
            SENT.replacen("00-", "0-", 1),
            SENT.replace(ID, &"0".repeat(32)),
            SENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            SENT.replace(ID, &ID[1..]),
            SENT.replace("-01", "-1"),
            SENT.replace('-', "_"),
            "€€".to_owned(),
        ] {
            check(&wrong, None);
        }
    }

    #[test]
    fn what_is_sent_on_can_be_read_and_names_the_same() {
        let id = TraceId::random().unwrap();
        let sent = id.traceparent();
        assert_eq!(TraceId::from_traceparent(sent.to_str().unwrap()), Some(id));
        assert_eq!(id.to_string().parse(), Ok(id));
        let text = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<TraceId>(&text).unwrap(), id);
        assert_ne!(id.traceparent(), sent, "each step has its own number");
    }

    #[test]
    fn two_headers_name_nothing() {
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, SENT.parse().unwrap());
        assert_eq!(Trace::of(&headers), Trace::Named(ID.parse().unwrap()));
        headers.append(TRACEPARENT, SENT.parse().unwrap());
        assert_eq!(Trace::of(&headers), Trace::Unnamed);
        assert_eq!(Trace::of(&HeaderMap::new()), Trace::Unnamed);
    }

    #[test]
    fn a_name_is_made_once_and_stays() {
        assert_eq!((current(), inherited()), (None, Trace::None));
        let mut trace = Trace::Unnamed;
        trace.within(|| {});
        assert_eq!(trace, Trace::Unnamed, "nobody has asked");
        let first = trace.within(current);
        assert!(first.is_some());
        assert_eq!(trace.within(current), first);
        let mut other = Trace::Unnamed;
        let (inner, outer) = trace.within(|| (other.within(current), current()));
        assert_ne!(inner, outer);
        assert_eq!(outer, first);
        assert_eq!(current(), None);
    }

    #[test]
    fn a_panic_leaves_nothing_behind() {
        let mut trace = Trace::Unnamed;
        let tripped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            trace.within(|| panic!("a bug"));
        }));
        assert!(tripped.is_err());
        assert_eq!(current(), None);
    }

    #[tokio::test(flavor = "local")]
    async fn a_future_is_for_its_trace_and_no_other_between_its_steps() {
        let named = Trace::Named(ID.parse().unwrap());
        let seen = Cell::new(None);
        let work = following(named, async {
            tokio::task::yield_now().await;
            seen.set(current());
            let begun = tokio::task::spawn_local(following(inherited(), async { current() }));
            begun.await.unwrap()
        });
        let beside = async {
            tokio::task::yield_now().await;
            current()
        };
        let (begun, beside) = tokio::join!(work, beside);
        assert_eq!(seen.get(), Some(ID.parse().unwrap()));
        assert_eq!(begun, seen.get());
        assert_eq!(beside, None);
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_makes_it_trip(text in ".{0,80}", cut in 0..60_usize) {
            let _ = TraceId::from_traceparent(&text);
            let cut: String = SENT.chars().take(cut).collect();
            prop_assert_eq!(TraceId::from_traceparent(&cut).is_some(), cut.len() == SENT.len());
        }
    }
}
