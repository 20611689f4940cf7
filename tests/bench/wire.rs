//! The client's side of the wire as plain bytes: frames made once, answers recognised by their first bytes.
//!
//! Client and server share the machine's processors, so whatever the client spends is missing from what it measures. A
//! request is masked once and written many times; of an answer only its id and `ok` are looked at. It assumes what every
//! subject does: unfragmented frames, and `type` and `id` as the first two keys.

use std::ops::Range;

/// Requests carry a number of two digits as their id, which bounds how many can be told apart on one connection.
pub(crate) const MAX_IDS: usize = 100;

const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x9e];
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
/// The length of `{"type":"res","id":"`, and of the same with `req`, which is how the echo answers.
const ID_AT: usize = 20;

/// The HTTP request that opens a WebSocket.
pub(crate) fn upgrade(port: u16) -> Vec<u8> {
    format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

/// The `connect` request, as a frame.
pub(crate) fn connect(token: &str) -> Vec<u8> {
    frame(&format!(
        r#"{{"type":"req","id":"hello","method":"connect","params":{{"minProtocol":3,"maxProtocol":3,"client":{{"id":"cli","version":"1","platform":"linux","mode":"cli"}},"role":"operator","scopes":["operator.admin"],"caps":[],"auth":{{"token":"{token}"}}}}}}"#
    ))
}

/// The request for `method` under each of the first `ids` ids, as frames.
pub(crate) fn requests(method: &str, ids: usize) -> Vec<Vec<u8>> {
    assert!(ids <= MAX_IDS, "an id has two digits");
    (0..ids).map(|id| request(id, method, "{}")).collect()
}

/// One request with parameters, as a frame.
pub(crate) fn request(id: usize, method: &str, params: &str) -> Vec<u8> {
    assert!(id < MAX_IDS, "an id has two digits");
    frame(&format!(
        r#"{{"type":"req","id":"{id:02}","method":"{method}","params":{params}}}"#
    ))
}

/// One masked text frame.
fn frame(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x80 | TEXT];
    push_masked_length(&mut bytes, text.len());
    bytes.extend(MASK);
    bytes.extend(
        text.bytes()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// How a message is cut into frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// Its beginning.
    First,
    /// What follows the beginning; there is always more to come.
    Further,
}

/// The header of a masked text frame whose payload is sent as it is: the mask is zero.
pub(crate) fn plain_header(part: Part, length: usize) -> Vec<u8> {
    let mut bytes = vec![match part {
        Part::Whole => 0x80 | TEXT,
        Part::First => TEXT,
        Part::Further => 0,
    }];
    push_masked_length(&mut bytes, length);
    bytes.extend([0; 4]);
    bytes
}

fn push_masked_length(bytes: &mut Vec<u8>, length: usize) {
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => bytes.push(0x80 | short),
        (_, Ok(medium)) => {
            bytes.push(0x80 | 126);
            bytes.extend(medium.to_be_bytes());
        }
        (_, Err(_)) => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
}

/// What a frame of the server means to the bench.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// The answer to `connect`.
    Hello,
    /// An answer to the request with this id; `ok` is false when it is an error.
    Answer { id: usize, ok: bool },
    /// An event, or a frame that is neither event nor answer.
    Other,
    /// The server closes the connection with this code.
    Closed(u16),
}

/// The length of the HTTP answer at the beginning of `bytes`, once it is complete, and whether it is a 101.
pub(crate) fn upgraded(bytes: &[u8]) -> Option<(usize, bool)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    Some((end, bytes.starts_with(b"HTTP/1.1 101")))
}

/// The first frame in `bytes`: what it means, and where its payload lies, at the end of which it ends. `None` while it is
/// incomplete.
pub(crate) fn read(bytes: &[u8]) -> Option<(Incoming, Range<usize>)> {
    let payload = payload(bytes)?;
    let text = &bytes[payload.clone()];
    let incoming = match bytes[0] & 0x0f {
        TEXT => meaning(text),
        CLOSE => Incoming::Closed(
            text.first_chunk()
                .map_or(1005, |code| u16::from_be_bytes(*code)),
        ),
        _ => Incoming::Other,
    };
    Some((incoming, payload))
}

fn payload(bytes: &[u8]) -> Option<Range<usize>> {
    let (start, length) = match *bytes.get(1)? {
        126 => (
            4,
            usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        ),
        127 => {
            let length = u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
            (
                10,
                usize::try_from(length).expect("a server's answer fits into memory"),
            )
        }
        length => (2, usize::from(length)),
    };
    (bytes.len() >= start + length).then_some(start..start + length)
}

fn meaning(text: &[u8]) -> Incoming {
    if !text.starts_with(br#"{"type":"re"#) {
        return Incoming::Other;
    }
    match text.get(ID_AT..) {
        Some([tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'"', rest @ ..]) => {
            let id = usize::from(tens - b'0') * 10 + usize::from(ones - b'0');
            Incoming::Answer {
                id,
                ok: !rest.starts_with(br#","ok":false"#),
            }
        }
        Some(rest) if rest.starts_with(br#"hello","ok":true"#) => Incoming::Hello,
        _ => Incoming::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80 | opcode];
        if payload.len() < 126 {
            bytes.push(u8::try_from(payload.len()).unwrap());
        } else {
            bytes.push(126);
            bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
        bytes.extend(payload);
        bytes
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: Incoming) {
        let (incoming, payload) = read(bytes).unwrap();
        assert_eq!(incoming, expected);
        assert_eq!(payload.end, bytes.len());
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn answers_are_matched_by_their_id() {
        check(
            &served(TEXT, br#"{"type":"res","id":"07","ok":true,"payload":{}}"#),
            Incoming::Answer { id: 7, ok: true },
        );
        check(
            &served(TEXT, br#"{"type":"res","id":"15","ok":false,"error":{}}"#),
            Incoming::Answer { id: 15, ok: false },
        );
        check(
            &served(
                TEXT,
                br#"{"type":"req","id":"99","method":"status","params":{}}"#,
            ),
            Incoming::Answer { id: 99, ok: true },
        );
    }

    #[test]
    fn long_frames_events_and_closes_are_told_apart() {
        let long = format!(
            r#"{{"type":"res","id":"00","ok":true,"payload":"{}"}}"#,
            "x".repeat(300)
        );
        check(
            &served(TEXT, long.as_bytes()),
            Incoming::Answer { id: 0, ok: true },
        );
        check(
            &served(TEXT, br#"{"type":"event","event":"tick"}"#),
            Incoming::Other,
        );
        check(
            &served(TEXT, br#"{"type":"res","id":"hello","ok":true}"#),
            Incoming::Hello,
        );
        check(
            &served(TEXT, br#"{"type":"res","id":"hello","ok":false}"#),
            Incoming::Other,
        );
        check(
            &served(CLOSE, &1012_u16.to_be_bytes()),
            Incoming::Closed(1012),
        );
        check(&served(CLOSE, b""), Incoming::Closed(1005));
    }

    #[test]
    fn a_request_is_masked_and_says_its_length() {
        let frame = &requests("status", 1)[0];
        let masked = &frame[6..];
        let text: Vec<u8> = masked
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(b, m)| b ^ m)
            .collect();
        assert_eq!(
            text,
            br#"{"type":"req","id":"00","method":"status","params":{}}"#
        );
        assert_eq!(usize::from(frame[1] & 0x7f), text.len());
    }
}
