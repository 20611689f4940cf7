//! Putting our script into a page.                                                     (pure)

use bytes::Bytes;

/// The bridge to the app around the page, and the live-reload client, as one script element.
const SCRIPT: &str = concat!(
    "<script>\n",
    include_str!("inject/client.js"),
    "</script>\n"
);

const END_OF_BODY: &[u8] = b"</body>";

/// Inserts the script just before the last `</body>`, or at the end of a page that has none.
pub(crate) fn inject(page: &[u8]) -> Bytes {
    let place = page
        .windows(END_OF_BODY.len())
        .rposition(|window| window.eq_ignore_ascii_case(END_OF_BODY))
        .unwrap_or(page.len());
    [&page[..place], SCRIPT.as_bytes(), &page[place..]]
        .concat()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(page: &str, expected: &str) {
        let injected = inject(page.as_bytes());
        let injected = String::from_utf8(injected.to_vec()).unwrap();
        assert_eq!(injected.replace(SCRIPT, "[script]"), expected);
    }

    #[test]
    fn the_script_goes_before_the_last_end_of_the_body() {
        check("<body>a</body></html>", "<body>a[script]</body></html>");
        check("<BODY>a</BoDy>", "<BODY>a[script]</BoDy>");
        check(
            "<pre></body></pre></body>",
            "<pre></body></pre>[script]</body>",
        );
        check("no body", "no body[script]");
        check("", "[script]");
    }

    #[test]
    fn the_script_cannot_end_itself_early() {
        assert_eq!(SCRIPT.matches("</").count(), 1);
    }
}
