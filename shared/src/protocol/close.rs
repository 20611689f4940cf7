//! How a connection ends: the close codes of the gateway, and what each means.

/// One close code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseInfo {
    /// The code.
    pub code: u16,
    /// When it is sent, for people; reasons are quoted.
    pub doc: &'static str,
}

macro_rules! close_codes {
    ($( $(#[doc = $doc:literal])+ $name:ident = $code:literal; )+) => {
        $( $(#[doc = $doc])+ pub const $name: u16 = $code; )+

        /// Every close code, in ascending order.
        pub const ALL: &[CloseInfo] = &[ $( CloseInfo { code: $code, doc: concat!($($doc, "\n"),+) } ),+ ];
    };
}

close_codes! {
    /// An ordinary end. Also when nothing came within the time for the handshake, or when the first message is no JSON; without a
    /// reason then.
    NORMAL = 1000;
    /// The other side does not speak the protocol: `protocol mismatch`, or what came are no WebSocket frames.
    PROTOCOL = 1002;
    /// A text message that is no UTF-8.
    NOT_TEXT = 1007;
    /// A rule of the gateway: `invalid request frame`, the message of the error that refused `connect` (cut to 120 bytes),
    /// `slow consumer`, or a right that was taken away.
    POLICY = 1008;
    /// A message above `policy.maxPayload`, or too much before `connect`.
    TOO_LARGE = 1009;
    /// This life of the gateway ends, and another may take over: `service restart`. It follows the `shutdown` event.
    RESTART = 1012;
}
