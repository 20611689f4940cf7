//! Small PDFs, decent and hostile ones, byte by byte.

/// The objects of a PDF, from number 1 on; the first is the catalogue.
fn of_objects(objects: &[Vec<u8>], trailer: &str) -> Vec<u8> {
    let mut pdf = b"%PDF-1.4\n".to_vec();
    let mut places = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        places.push(pdf.len());
        pdf.extend(format!("{} 0 obj\n", at + 1).bytes());
        pdf.extend(object);
        pdf.extend(b"\nendobj\n");
    }
    let table = pdf.len();
    let size = objects.len() + 1;
    pdf.extend(format!("xref\n0 {size}\n0000000000 65535 f \n").bytes());
    for place in places {
        pdf.extend(format!("{place:010} 00000 n \n").bytes());
    }
    let trailer = trailer.replace("TABLE", &table.to_string());
    pdf.extend(format!("trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\n").bytes());
    pdf.extend(format!("startxref\n{table}\n%%EOF\n").bytes());
    pdf
}

fn stream(keys: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = format!("<< /Length {} {keys} >>\nstream\n", bytes.len()).into_bytes();
    stream.extend(bytes);
    stream.extend(b"\nendstream");
    stream
}

const CATALOGUE: &[u8] = b"<< /Type /Catalog /Pages 2 0 R >>";
const FONT: &[u8] =
    b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>";

/// One object after another: catalogue, tree of pages, font, and a page and its content for each text.
#[must_use]
pub fn of_pages(texts: &[&str]) -> Vec<u8> {
    let kids: Vec<String> = (0..texts.len())
        .map(|at| format!("{} 0 R", 4 + 2 * at))
        .collect();
    let tree = format!(
        "<< /Type /Pages /Kids [{}] /Count {} /MediaBox [0 0 612 792] >>",
        kids.join(" "),
        texts.len()
    );
    let mut objects = vec![CATALOGUE.to_vec(), tree.into_bytes(), FONT.to_vec()];
    for (at, text) in texts.iter().enumerate() {
        let content = 5 + 2 * at;
        objects.push(
            format!(
                "<< /Type /Page /Parent 2 0 R /Resources << /Font << /F1 3 0 R >> >> /Contents {content} 0 R >>"
            )
            .into_bytes(),
        );
        let escaped = text
            .replace('\\', "\\\\")
            .replace('(', "\\(")
            .replace(')', "\\)");
        let drawn = if text.is_empty() {
            String::new()
        } else {
            format!("BT /F1 12 Tf 72 720 Td ({escaped}) Tj ET")
        };
        objects.push(stream("", drawn.as_bytes()));
    }
    of_objects(&objects, "")
}

/// A PDF of one page with this content and these further objects, from number 5 on.
fn of_content(resources: &str, content: Vec<u8>, more: &[Vec<u8>]) -> Vec<u8> {
    let page = format!(
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << {resources} >> /Contents 4 0 R >>"
    );
    let mut objects = vec![
        CATALOGUE.to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        page.into_bytes(),
        content,
    ];
    objects.extend_from_slice(more);
    of_objects(&objects, "")
}

/// One that says that it opens with a password, which is not the empty one.
#[must_use]
pub fn encrypted() -> Vec<u8> {
    let nothing = "00".repeat(32);
    let key = "5a".repeat(32);
    let page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>".to_vec();
    let tree = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec();
    let lock = format!("<< /Filter /Standard /V 1 /R 2 /O <{key}> /U <{nothing}> /P -4 >>");
    of_objects(
        &[CATALOGUE.to_vec(), tree, page, lock.into_bytes()],
        "/Encrypt 4 0 R /ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]",
    )
}

/// Those that ask more of whoever reads them than there is, by what they do.
#[must_use]
pub fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let tree = |kids: &str| {
        let tree = format!("<< /Type /Pages /Kids [{kids}] /Count 1 /Parent 2 0 R >>");
        of_objects(&[CATALOGUE.to_vec(), tree.into_bytes()], "")
    };
    let form = |calls: &str| {
        stream(
            "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 5 0 R >> >>",
            calls.as_bytes(),
        )
    };
    let drawing = |calls: &str| {
        let resources = "/XObject << /X 5 0 R >>";
        of_content(resources, stream("", b"/X Do"), &[form(calls)])
    };
    let table = of_objects(&[CATALOGUE.to_vec(), b"null".to_vec()], "/Prev TABLE");
    let bomb = stream("/Filter [/FlateDecode /FlateDecode]", &twice_deflated());
    let nested = "[".repeat(200_000);
    vec![
        ("a tree of pages that contains itself", tree("2 0 R 2 0 R")),
        ("a drawing that draws itself", drawing("/X Do")),
        ("a drawing that draws itself twice", drawing("/X Do /X Do")),
        ("a table that comes after itself", table),
        (
            "a little that becomes a gigabyte",
            of_content("", bomb, &[]),
        ),
        (
            "brackets within brackets",
            of_content("", stream("", nested.as_bytes()), &[]),
        ),
        (
            "an object of brackets",
            of_content("", nested.into_bytes(), &[]),
        ),
    ]
}

/// Bits, the least significant first, as deflate has them.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, bit: bool) {
        if self.used.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let (true, Some(last)) = (bit, self.bytes.last_mut()) {
            *last |= 1 << (self.used % 8);
        }
        self.used += 1;
    }

    /// A code of the fixed table, which begins with its most significant bit.
    fn code(&mut self, code: u16, length: u32) {
        for at in (0..length).rev() {
            self.put(code >> at & 1 == 1);
        }
    }

    /// What every stream begins with: the head of zlib, and one last block with the fixed table.
    fn begin() -> Self {
        let mut bits = Self {
            bytes: vec![0x78, 0x01],
            used: 16,
        };
        for bit in [true, true, false] {
            bits.put(bit);
        }
        bits
    }

    fn literal(&mut self, byte: u8) {
        let byte = u16::from(byte);
        if byte < 144 {
            self.code(0x30 + byte, 8);
        } else {
            self.code(0x190 + byte - 144, 9);
        }
    }

    /// 258 bytes again, as they stood so far back: this code for the distance, and so many zeros behind it.
    fn again(&mut self, distance: u16, zeros: u32) {
        self.code(0b1100_0101, 8);
        self.code(distance, 5);
        self.code(0, zeros);
    }
}

/// About 900 MB of blanks, compressed twice. What says the same blank again and again is the same 13 bytes again and again.
fn twice_deflated() -> Vec<u8> {
    let mut inner = Bits::begin();
    inner.literal(b' ');
    for _ in 0..32 {
        inner.again(0, 0);
    }
    let mut outer = Bits::begin();
    for byte in inner.bytes.iter().take(4 + 13) {
        outer.literal(*byte);
    }
    for _ in 0..22_000 {
        outer.again(7, 2);
    }
    outer.code(0, 7);
    outer.bytes
}
