//! A sink that remembers, and the bounds that every body parser keeps.

use picket_seclang::body::{Fault, Limits, Sink};

/// One thing that a parser told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// An argument.
    Arg(Vec<u8>, Vec<u8>),
    /// A file: field, name, content.
    File(Vec<u8>, Vec<u8>, Vec<u8>),
    /// A part's name and file name.
    Part(Vec<u8>, Vec<u8>),
    /// A part's header.
    PartHeader(Vec<u8>, Vec<u8>),
    /// The text of a document.
    Text(Vec<u8>),
    /// An attribute.
    Attribute(Vec<u8>),
}

/// Everything that a parser told, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report(pub Vec<Told>);

impl Sink for Report {
    fn arg(&mut self, name: &[u8], value: &[u8]) {
        self.0.push(Told::Arg(name.into(), value.into()));
    }

    fn file(&mut self, field: &[u8], filename: &[u8], content: &[u8]) {
        self.0.push(Told::File(field.into(), filename.into(), content.into()));
    }

    fn part(&mut self, name: &[u8], filename: &[u8]) {
        self.0.push(Told::Part(name.into(), filename.into()));
    }

    fn part_header(&mut self, part: &[u8], line: &[u8]) {
        self.0.push(Told::PartHeader(part.into(), line.into()));
    }

    fn xml_text(&mut self, text: &[u8]) {
        self.0.push(Told::Text(text.into()));
    }

    fn xml_attribute(&mut self, value: &[u8]) {
        self.0.push(Told::Attribute(value.into()));
    }
}

impl Report {
    /// The arguments.
    pub fn args(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().filter_map(|told| match told {
            Told::Arg(name, value) => Some((&name[..], &value[..])),
            _ => None,
        })
    }

    /// Asserts what holds for every body, whatever its kind: no more is reported than the limits say,
    /// and a fault lies in what was read (`input`: body or content type, the longer).
    pub fn check(&self, limits: &Limits, input: usize, fault: Option<&Fault>) {
        assert!(self.args().count() <= limits.arguments, "more arguments than {limits:?}");
        let (mut bytes, mut files, mut parts, mut headers, mut attributes) = (0, 0, 0, 0, 0);
        for told in &self.0 {
            match told {
                Told::Arg(name, value) => bytes += name.len() + value.len(),
                Told::File(_, _, content) => files += content.len(),
                Told::Part(name, filename) => {
                    parts += 1;
                    bytes += name.len() + filename.len();
                }
                Told::PartHeader(part, line) => {
                    headers += 1;
                    bytes += part.len() + line.len();
                }
                // ISO-8859-1 takes twice its bytes in UTF-8.
                Told::Text(text) => bytes += text.len() / 2,
                Told::Attribute(value) => {
                    attributes += 1;
                    bytes += value.len();
                }
            }
        }
        // A part that exceeds the bytes is told to be one all the same.
        assert!(bytes <= limits.reported + 2 * input, "{bytes} bytes reported of {input}, {limits:?}");
        assert!(files <= input, "{files} bytes of files in {input}");
        assert!(parts <= limits.parts, "{parts} parts, {limits:?}");
        assert!(
            headers <= limits.parts.saturating_mul(limits.part_headers),
            "{headers} part headers, {limits:?}"
        );
        assert!(attributes <= limits.parts, "{attributes} attributes, {limits:?}");
        if let Some(fault) = fault {
            assert!(fault.offset <= input, "fault at {} of {input}: {}", fault.offset, fault.reason);
            assert!(!fault.to_string().is_empty());
        }
    }
}

/// Limits from one byte: the usual ones, or small ones.
#[must_use]
pub fn limits(choice: u8) -> Limits {
    if choice & 1 == 0 {
        return Limits::default();
    }
    Limits {
        arguments: [0, 1, 3, 50][usize::from(choice >> 1 & 3)],
        depth: [0, 1, 4, 30][usize::from(choice >> 3 & 3)],
        parts: [1, 2, 5, 40][usize::from(choice >> 5 & 3)],
        part_headers: if choice & 128 == 0 { 2 } else { 64 },
        reported: if choice & 128 == 0 { 64 } else { 4096 },
    }
}
