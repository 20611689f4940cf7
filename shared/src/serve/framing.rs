//! Finds the request heads in a stream of bytes, to catch framing that is ambiguous.    (pure)
//!
//! hyper follows the letter of HTTP and lets `Transfer-Encoding` win over `Content-Length`,
//! dropping the loser before a handler could see it. A proxy in front of us may decide the other
//! way round and would then take the rest of the body for a request of its own (request
//! smuggling). So the raw bytes are watched on their way to hyper, and a head that carries both
//! is reported.
//!
//! This is no HTTP parser: it only has to be right about streams that hyper accepts. Behind a
//! chunked body it stops looking, which is sound because such a request is the last one on its
//! connection.

/// Enough of a header line to tell the two names that matter, and a length of 20 digits.
const LINE_PREFIX: usize = 64;

/// Follows the requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Framing {
    place: Place,
    heads: u64,
    ambiguous: Option<u64>,
}

#[derive(Debug)]
enum Place {
    Head(Head),
    Body {
        left: u64,
    },
    /// Past the last head that can be found.
    Opaque,
}

impl Default for Place {
    fn default() -> Self {
        Self::Head(Head::default())
    }
}

/// What is known of the head that is being read.
#[derive(Debug, Default)]
struct Head {
    /// The beginning of the line that is being read, at most [`LINE_PREFIX`] bytes.
    line: Vec<u8>,
    request_line_seen: bool,
    length: Option<Length>,
    transfer_encoding: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Known(u64),
    Unreadable,
}

impl Framing {
    /// Looks at the next bytes of the stream.
    pub(super) fn observe(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.place {
                Place::Opaque => return,
                Place::Body { left } => {
                    let here = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(bytes.len());
                    bytes = &bytes[here..];
                    *left -= here as u64;
                    if *left == 0 {
                        self.place = Place::default();
                    }
                }
                Place::Head(head) => {
                    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                        head.keep(bytes);
                        return;
                    };
                    head.keep(&bytes[..end]);
                    bytes = &bytes[end + 1..];
                    if head.end_line() {
                        self.end_head();
                    }
                }
            }
        }
    }

    /// Whether the n-th request (counted from 1) claims two lengths.
    pub(super) fn is_ambiguous(&self, request: u64) -> bool {
        self.ambiguous == Some(request)
    }

    /// Whether the client has begun a request after the n-th one.
    pub(super) fn has_begun_after(&self, request: u64) -> bool {
        let in_head = match &self.place {
            Place::Head(head) => head.request_line_seen || !head.line.is_empty(),
            Place::Body { .. } | Place::Opaque => false,
        };
        in_head || self.heads > request
    }

    fn end_head(&mut self) {
        let Place::Head(head) = std::mem::replace(&mut self.place, Place::Opaque) else {
            return;
        };
        self.heads += 1;
        match (head.transfer_encoding, head.length) {
            (true, None) => {}
            (true, Some(_)) | (false, Some(Length::Unreadable)) => {
                self.ambiguous = Some(self.heads);
            }
            (false, None | Some(Length::Known(0))) => self.place = Place::default(),
            (false, Some(Length::Known(left))) => self.place = Place::Body { left },
        }
    }
}

impl Head {
    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_PREFIX.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    /// Takes the line that just ended into account; true at the empty line that ends the head.
    fn end_line(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.is_empty() {
            // Empty lines in front of a request line are skipped by every server.
            return self.request_line_seen;
        }
        if !self.request_line_seen {
            self.request_line_seen = true;
            return false;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return false;
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.transfer_encoding = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let length = read_length(value, line.len() == LINE_PREFIX);
            self.length = Some(match self.length {
                None => length,
                Some(earlier) if earlier == length => length,
                Some(_) => Length::Unreadable,
            });
        }
        false
    }
}

fn read_length(value: &[u8], cut_off: bool) -> Length {
    let digits = value.trim_ascii();
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    match std::str::from_utf8(digits)
        .ok()
        .filter(|_| all_digits && !cut_off)
    {
        Some(text) => text.parse().map_or(Length::Unreadable, Length::Known),
        None => Length::Unreadable,
    }
}

/// A door for the fuzz target: the first byte says where the rest is cut, and any cut must give the same verdict.
#[cfg(fuzzing)]
pub fn fuzz(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else {
        return;
    };
    let watch = |pieces: &[&[u8]]| {
        let mut framing = Framing::default();
        for piece in pieces {
            framing.observe(piece);
        }
        let begun: Vec<bool> = (0..4)
            .map(|request| framing.has_begun_after(request))
            .collect();
        (framing.heads, framing.ambiguous, begun)
    };
    let whole = watch(&[bytes]);
    let (front, back) = bytes.split_at(usize::from(*cut).min(bytes.len()));
    assert_eq!(whole, watch(&[front, back]));
    let drip: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(whole, watch(&drip));
    assert!(whole.0 <= bytes.iter().filter(|byte| **byte == b'\n').count() as u64);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn watch(pieces: &[&[u8]]) -> Framing {
        let mut framing = Framing::default();
        for piece in pieces {
            framing.observe(piece);
        }
        framing
    }

    #[track_caller]
    fn check(stream: &str, heads: u64, ambiguous: Option<u64>) {
        let bytes = stream.replace('\n', "\r\n");
        let whole = watch(&[bytes.as_bytes()]);
        assert_eq!(
            (whole.heads, whole.ambiguous),
            (heads, ambiguous),
            "in one piece: {stream:?}"
        );
        let single: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
        let drip = watch(&single);
        assert_eq!(
            (drip.heads, drip.ambiguous),
            (heads, ambiguous),
            "byte by byte: {stream:?}"
        );
    }

    #[test]
    fn heads_are_found_and_two_lengths_are_reported() {
        check("GET / HTTP/1.1\nHost: a\n\n", 1, None);
        check("\n\nGET / HTTP/1.1\n\nGET / HTTP/1.1\n\n", 2, None);
        check(
            "POST / HTTP/1.1\nContent-Length: 4\n\nab\n\nGET / HTTP/1.1\n\n",
            2,
            None,
        );
        check(
            "POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n0\n\nGET / HTTP/1.1\n\n",
            1,
            None,
        );
        check(
            "POST / HTTP/1.1\ncontent-length: 4\ntransfer-ENCODING: chunked\n\n",
            1,
            Some(1),
        );
        check(
            "POST / HTTP/1.1\nTransfer-Encoding: chunked\nContent-Length: 4\n\n",
            1,
            Some(1),
        );
        check(
            "POST / HTTP/1.1\nContent-Length: 4\nContent-Length: 5\n\n",
            1,
            Some(1),
        );
        check(
            "POST / HTTP/1.1\nContent-Length: 4\nContent-Length: 4\n\n",
            1,
            None,
        );
        check("POST / HTTP/1.1\nContent-Length: +4\n\n", 1, Some(1));
        check(
            "GET / HTTP/1.1\n\nPOST / HTTP/1.1\nContent-Length: 0\nTransfer-Encoding: chunked\n\n",
            2,
            Some(2),
        );
    }

    #[test]
    fn text_in_a_body_is_not_a_header() {
        check(
            "POST / HTTP/1.1\nContent-Length: 28\n\nTransfer-Encoding: chunked\n\nGET / HTTP/1.1\n\n",
            2,
            None,
        );
    }

    proptest! {
        #[test]
        fn any_cut_of_any_stream_gives_the_same_verdict(
            stream in "(GET / HTTP/1.1\r\n|Content-Length: [0-9]{1,2}\r\n|\
                       Transfer-Encoding: chunked\r\n|\r\n|[a-z\r\n]{0,9}){0,12}",
            cut in 0usize..200,
        ) {
            let bytes = stream.as_bytes();
            let cut = cut.min(bytes.len());
            let whole = watch(&[bytes]);
            let halves = watch(&[&bytes[..cut], &bytes[cut..]]);
            prop_assert_eq!(whole.heads, halves.heads);
            prop_assert_eq!(whole.ambiguous, halves.ambiguous);
        }
    }
}
