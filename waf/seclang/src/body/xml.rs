//! XML 1.0: its text in one value (`XML:/*`) and each attribute's value (`XML://@*`).
//!
//! The document must be well-formed. Entities of the internal subset are expanded where they are plain text, within
//! bounds; external ones are never loaded and stand for nothing; `xmlns` declarations are not attributes. Values
//! that a document type declares for attributes are reported like attributes, as they take part in the document.
//!
//! Stricter than ModSecurity's libxml2: only UTF-8 and ISO-8859-1, and no markup in entities.

use alloc::vec::Vec;

use super::{Budget, Fault, Limits, Processor, Scratch, Sink, TOO_MUCH};
use crate::request::space;

/// Levels of elements at most, as in libxml2.
const DEPTH: usize = 256;

/// Attributes of one element at most: each is compared with the ones before it.
const ATTRIBUTES: usize = 128;

/// Entities a document may declare.
const ENTITIES: usize = 64;

/// Levels of entities in entities.
const NESTED: usize = 8;

const UNENDED: &str = "The document ends early";

/// Reads XML.
///
/// # Errors
/// When it is not well-formed, or a limit is exceeded. What came before is reported.
pub fn xml(body: &[u8], limits: &Limits, scratch: &mut Scratch, sink: &mut dyn Sink) -> Result<(), Fault> {
    let Scratch { value: text, other: attribute, stack, .. } = scratch;
    text.clear();
    stack.clear();
    let mut reader = Reader {
        body,
        at: 0,
        latin: false,
        undeclared: false,
        left: limits.parts,
        budget: Budget::new(limits),
        entities: Vec::new(),
    };
    let depth = limits.depth.min(DEPTH);
    let result = reader.document(depth, text, attribute, stack, sink);
    if result.is_ok() || !text.is_empty() {
        sink.xml_text(text);
    }
    result.map_err(|reason| Fault::new(Processor::Xml, reader.at.min(body.len()), reason))
}

type Read<T> = Result<T, &'static str>;

/// An entity of the internal subset; without a value if it is external.
struct Entity<'a> {
    name: &'a [u8],
    value: Option<&'a [u8]>,
}

struct Reader<'a> {
    body: &'a [u8],
    at: usize,
    /// The document is in ISO-8859-1.
    latin: bool,
    /// Entities may be declared elsewhere.
    undeclared: bool,
    /// Elements and attributes still allowed.
    left: usize,
    budget: Budget,
    entities: Vec<Entity<'a>>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    fn next(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    /// Goes past `token` if it is next.
    fn eat(&mut self, token: &[u8]) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Goes past white space; was there any?
    fn space(&mut self) -> bool {
        let start = self.at;
        while matches!(self.next(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.at > start
    }

    /// Goes to and past `end`; what precedes it.
    fn until(&mut self, end: &[u8]) -> Read<&'a [u8]> {
        let rest = self.rest();
        let first = end.first().copied().unwrap_or(0);
        let mut from = 0;
        while let Some(found) = super::swar::find(rest, from, first) {
            if rest.get(found..).is_some_and(|rest| rest.starts_with(end)) {
                self.at += found + end.len();
                return Ok(rest.get(..found).unwrap_or_default());
            }
            from = found + 1;
        }
        self.at = self.body.len();
        Err(UNENDED)
    }

    fn name(&mut self) -> Read<&'a [u8]> {
        let rest = self.rest();
        let len = name_len(rest);
        if len == 0 {
            return Err("A name expected");
        }
        self.at += len;
        Ok(rest.get(..len).unwrap_or_default())
    }

    fn quoted(&mut self) -> Read<&'a [u8]> {
        match self.next() {
            Some(quote @ (b'"' | b'\'')) => {
                self.at += 1;
                self.until(&[quote])
            }
            _ => Err("A quoted value expected"),
        }
    }

    fn count(&mut self) -> Read<()> {
        self.left = self.left.checked_sub(1).ok_or("More elements and attributes than allowed")?;
        Ok(())
    }

    fn document(
        &mut self,
        depth: usize,
        text: &mut Vec<u8>,
        attribute: &mut Vec<u8>,
        stack: &mut Vec<(u32, u32)>,
        sink: &mut dyn Sink,
    ) -> Read<()> {
        self.eat(b"\xef\xbb\xbf");
        self.declaration()?;
        let valid = if self.latin { Ok(()) } else { core::str::from_utf8(self.body).map(|_| ()) };
        if let Err(error) = valid {
            self.at = error.valid_up_to();
            return Err("Not UTF-8");
        }
        if let Some(at) = forbidden(self.body, self.latin) {
            self.at = at;
            return Err("A character that is not allowed");
        }
        let mut doctype = false;
        let mut root = false;
        loop {
            if stack.is_empty() {
                self.space();
                if root && self.at >= self.body.len() {
                    return Ok(());
                }
            } else {
                self.text(text)?;
            }
            let [b'<', kind, ..] = self.rest() else {
                return Err(match (self.at < self.body.len(), root) {
                    (false, _) => UNENDED,
                    (true, false) => "Text before the first element",
                    (true, true) => "Text after the last element",
                });
            };
            match kind {
                b'/' => {
                    self.at += 2;
                    let name = self.name()?;
                    let (start, end) = stack.pop().ok_or("An element ends that never began")?;
                    if self.body.get(start as usize..end as usize) != Some(name) {
                        self.at -= name.len();
                        return Err("Another element ends than the one that began last");
                    }
                    self.space();
                    if !self.eat(b">") {
                        return Err("'>' expected");
                    }
                }
                b'!' if self.eat(b"<!--") => self.comment()?,
                b'!' if !stack.is_empty() && self.eat(b"<![CDATA[") => {
                    let data = self.until(b"]]>")?;
                    if !self.budget.bytes(data.len()) {
                        return Err(TOO_MUCH);
                    }
                    self.characters(data, text);
                }
                b'!' if !root && !doctype && self.eat(b"<!DOCTYPE") => {
                    doctype = true;
                    self.doctype(attribute, sink)?;
                }
                b'!' => return Err("A declaration in the wrong place"),
                b'?' => self.instruction()?,
                _ => {
                    if root && stack.is_empty() {
                        return Err("A second root element");
                    }
                    root = true;
                    if stack.len() >= depth {
                        return Err("Nested more deeply than allowed");
                    }
                    self.element(attribute, stack, sink)?;
                }
            }
        }
    }

    /// The XML declaration, for its encoding.
    fn declaration(&mut self) -> Read<()> {
        if !self.rest().starts_with(b"<?xml") || !self.rest().get(5).is_some_and(|b| space(*b)) {
            return Ok(());
        }
        self.at += 5;
        let mut before = 0;
        loop {
            let spaced = self.space();
            if before > 0 && self.eat(b"?>") {
                return Ok(());
            }
            if !spaced {
                return Err("An invalid XML declaration");
            }
            let name = self.name()?;
            self.space();
            if !self.eat(b"=") {
                return Err("An invalid XML declaration");
            }
            self.space();
            let value = self.quoted()?;
            let order = match name {
                b"version" => 1,
                b"encoding" => 2,
                b"standalone" => 3,
                _ => 0,
            };
            if order <= before || (before == 0 && order != 1) {
                return Err("An invalid XML declaration");
            }
            before = order;
            let version = value.strip_prefix(b"1.").filter(|minor| minor.iter().all(u8::is_ascii_digit));
            if (order == 1 && version.is_none()) || (order == 3 && value != b"yes" && value != b"no") {
                return Err("An invalid XML declaration");
            }
            if order == 2 {
                let is = |name: &[u8]| value.eq_ignore_ascii_case(name);
                self.latin = is(b"iso-8859-1") || is(b"latin1") || is(b"iso-latin-1");
                if !self.latin && !is(b"utf-8") && !is(b"utf8") && !is(b"us-ascii") && !is(b"ascii") {
                    return Err("An encoding that is not supported");
                }
            }
        }
    }

    fn comment(&mut self) -> Read<()> {
        self.until(b"--")?;
        if !self.eat(b">") {
            return Err("'--' inside a comment");
        }
        Ok(())
    }

    fn instruction(&mut self) -> Read<()> {
        self.at += 2;
        let name = self.name()?;
        if name.eq_ignore_ascii_case(b"xml") {
            return Err("An XML declaration in the wrong place");
        }
        if !self.rest().starts_with(b"?>") && !self.space() {
            return Err("An invalid processing instruction");
        }
        self.until(b"?>")?;
        Ok(())
    }

    /// A start tag.
    fn element(
        &mut self,
        attribute: &mut Vec<u8>,
        stack: &mut Vec<(u32, u32)>,
        sink: &mut dyn Sink,
    ) -> Read<()> {
        self.count()?;
        self.at += 1;
        let start = self.at;
        self.name()?;
        stack.push((start as u32, self.at as u32));
        let open = stack.len();
        loop {
            let spaced = self.space();
            match self.next() {
                Some(b'>') => {
                    self.at += 1;
                    stack.truncate(open);
                    return Ok(());
                }
                Some(b'/') => {
                    self.at += 1;
                    stack.truncate(open - 1);
                    return if self.eat(b">") { Ok(()) } else { Err("'>' expected") };
                }
                Some(_) if spaced => {}
                Some(_) => return Err("White space or '>' expected"),
                None => return Err(UNENDED),
            }
            self.count()?;
            let start = self.at;
            let name = self.name()?;
            let known = stack.get(open..).unwrap_or_default();
            if known.len() >= ATTRIBUTES {
                return Err("More attributes than allowed");
            }
            if known.iter().any(|(start, end)| self.body.get(*start as usize..*end as usize) == Some(name)) {
                self.at = start;
                return Err("An attribute occurs twice");
            }
            stack.push((start as u32, self.at as u32));
            self.space();
            if !self.eat(b"=") {
                return Err("'=' expected");
            }
            self.space();
            let value = self.quoted()?;
            if value.contains(&b'<') {
                return Err("'<' inside an attribute");
            }
            attribute.clear();
            self.expand(value, true, 0, attribute)?;
            let declares = name == b"xmlns" || (name.starts_with(b"xmlns:") && name.len() > 6);
            if !declares {
                self.report(attribute, sink)?;
            }
        }
    }

    fn report(&mut self, attribute: &[u8], sink: &mut dyn Sink) -> Read<()> {
        if !self.budget.bytes(attribute.len()) {
            return Err(TOO_MUCH);
        }
        sink.xml_attribute(attribute);
        Ok(())
    }

    /// Text up to the next markup.
    fn text(&mut self, out: &mut Vec<u8>) -> Read<()> {
        let rest = self.rest();
        let end = super::swar::find(rest, 0, b'<').unwrap_or(rest.len());
        let text = rest.get(..end).unwrap_or_default();
        let bracket = super::swar::find(text, 0, b']').unwrap_or(text.len());
        if text.get(bracket..).unwrap_or_default().windows(3).any(|end| end == b"]]>") {
            return Err("']]>' in text");
        }
        let before = out.len();
        self.expand(text, false, 0, out)?;
        if !self.budget.bytes(out.len() - before) {
            return Err(TOO_MUCH);
        }
        self.at += end;
        Ok(())
    }

    /// Appends `raw` with its references replaced. White space in an `attribute` becomes spaces.
    ///
    /// Recursion is bounded by [`NESTED`], and what entities add up to by the budget.
    fn expand(&mut self, raw: &'a [u8], attribute: bool, level: usize, out: &mut Vec<u8>) -> Read<()> {
        let mut rest = raw;
        loop {
            let end = super::swar::find(rest, 0, b'&').unwrap_or(rest.len());
            let (plain, reference) = rest.split_at(end);
            let from = out.len();
            self.characters(plain, out);
            if attribute {
                for byte in out.get_mut(from..).unwrap_or_default() {
                    if matches!(byte, b'\t' | b'\n') {
                        *byte = b' ';
                    }
                }
            }
            let Some(reference) = reference.get(1..) else { return Ok(()) };
            // Names are short; without a bound, ampersands alone would make this quadratic.
            let near = reference.get(..reference.len().min(256)).unwrap_or_default();
            let end = near.iter().position(|b| *b == b';').ok_or("A reference without ';'")?;
            let name = reference.get(..end).unwrap_or_default();
            rest = reference.get(end + 1..).unwrap_or_default();
            match name {
                b"lt" => out.push(b'<'),
                b"gt" => out.push(b'>'),
                b"amp" => out.push(b'&'),
                b"quot" => out.push(b'"'),
                b"apos" => out.push(b'\''),
                [b'#', number @ ..] => character(number, out)?,
                name => match self.entities.iter().find(|entity| entity.name == name) {
                    Some(Entity { value: Some(value), .. }) => {
                        let value = *value;
                        if level >= NESTED {
                            return Err("Entities nested more deeply than allowed");
                        }
                        if !self.budget.bytes(value.len() + 1) {
                            return Err(TOO_MUCH);
                        }
                        self.expand(value, attribute, level + 1, out)?;
                    }
                    Some(_) if attribute => return Err("An external entity inside an attribute"),
                    Some(_) => {}
                    None if self.undeclared && name_len(name) == name.len() && !name.is_empty() => {}
                    None => return Err("An entity that is not declared"),
                },
            }
        }
    }

    /// Appends characters as they are, but for line endings, which become LF, and ISO-8859-1.
    fn characters(&self, plain: &[u8], out: &mut Vec<u8>) {
        if !self.latin && !plain.contains(&b'\r') {
            out.extend_from_slice(plain);
            return;
        }
        let mut bytes = plain.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\r' if bytes.peek() == Some(&b'\n') => {}
                b'\r' => out.push(b'\n'),
                0x80.. if self.latin => out.extend_from_slice(&[0xc0 | byte >> 6, 0x80 | byte & 0x3f]),
                byte => out.push(byte),
            }
        }
    }

    /// A document type declaration after its `<!DOCTYPE`.
    fn doctype(&mut self, attribute: &mut Vec<u8>, sink: &mut dyn Sink) -> Read<()> {
        const INVALID: &str = "An invalid document type declaration";
        if !self.space() {
            return Err(INVALID);
        }
        self.name()?;
        self.space();
        self.undeclared = self.external()?;
        self.space();
        if self.eat(b"[") {
            loop {
                self.space();
                if self.eat(b"]") {
                    break;
                } else if self.rest().starts_with(b"%") {
                    return Err("A reference to a parameter entity");
                } else if self.eat(b"<!--") {
                    self.comment()?;
                } else if self.eat(b"<!ENTITY") {
                    self.entity()?;
                } else if self.rest().starts_with(b"<?") {
                    self.instruction()?;
                } else if self.eat(b"<!") {
                    self.other_declaration(attribute, sink)?;
                } else {
                    return Err(if self.at < self.body.len() { INVALID } else { UNENDED });
                }
            }
            self.space();
        }
        if self.eat(b">") { Ok(()) } else { Err(INVALID) }
    }

    /// An external identifier, if there is one.
    fn external(&mut self) -> Read<bool> {
        let public = self.eat(b"PUBLIC");
        if !public && !self.eat(b"SYSTEM") {
            return Ok(false);
        }
        for _ in 0..1 + usize::from(public) {
            if !self.space() {
                return Err("An invalid external identifier");
            }
            self.quoted()?;
        }
        Ok(true)
    }

    /// An entity declaration after its `<!ENTITY`.
    fn entity(&mut self) -> Read<()> {
        const INVALID: &str = "An invalid entity declaration";
        let mut spaced = self.space();
        let parameter = self.eat(b"%");
        if parameter {
            spaced &= self.space();
        }
        let name = self.name()?;
        spaced &= self.space();
        let value = if self.external()? {
            self.space();
            if self.eat(b"NDATA") {
                spaced &= self.space();
                self.name()?;
            }
            None
        } else {
            Some(self.quoted()?)
        };
        self.space();
        if !spaced || !self.eat(b">") {
            return Err(INVALID);
        }
        // Parameter entities only matter to declarations, which mean nothing here.
        if parameter {
            return Ok(());
        }
        let markup = |value: &[u8]| value.contains(&b'<') || value.windows(2).any(|two| two == b"&#");
        if value.is_some_and(markup) {
            return Err("Markup in an entity is not supported");
        }
        if self.entities.len() >= ENTITIES {
            return Err("More entities than allowed");
        }
        self.entities.push(Entity { name, value });
        Ok(())
    }

    /// A declaration of an element, an attribute list or a notation: only its quoted values matter.
    fn other_declaration(&mut self, attribute: &mut Vec<u8>, sink: &mut dyn Sink) -> Read<()> {
        if !matches!(self.name()?, b"ELEMENT" | b"ATTLIST" | b"NOTATION") {
            return Err("An invalid declaration");
        }
        loop {
            match self.next() {
                Some(b'>') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'"' | b'\'') => {
                    self.count()?;
                    let value = self.quoted()?;
                    attribute.clear();
                    self.expand(value, true, 0, attribute)?;
                    self.report(attribute, sink)?;
                }
                Some(b'<') => return Err("An invalid declaration"),
                Some(_) => self.at += 1,
                None => return Err(UNENDED),
            }
        }
    }
}

/// The length of the name that `text` begins with.
fn name_len(text: &[u8]) -> usize {
    let starts = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b':' | 0x80..);
    if !text.first().is_some_and(starts) {
        return 0;
    }
    let inside = |b: &u8| starts(b) || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    text.iter().position(|b| !inside(b)).unwrap_or(text.len())
}

/// The first character that XML does not allow: control characters but tabs and line endings, U+FFFE and U+FFFF.
fn forbidden(body: &[u8], latin: bool) -> Option<usize> {
    let mut at = 0;
    while let Some(control) = super::swar::find_control(body, at) {
        if !matches!(body.get(control), Some(b'\t' | b'\n' | b'\r')) {
            return Some(control);
        }
        at = control + 1;
    }
    at = 0;
    while let Some(wide) = super::swar::find(body, at, 0xef).filter(|_| !latin) {
        if matches!(body.get(wide + 1..wide + 3), Some([0xbf, 0xbe | 0xbf])) {
            return Some(wide);
        }
        at = wide + 1;
    }
    None
}

/// Appends the character of a numeric reference, `#` removed.
fn character(number: &[u8], out: &mut Vec<u8>) -> Read<()> {
    const INVALID: &str = "An invalid character reference";
    let (digits, radix) = match number {
        [b'x', digits @ ..] => (digits, 16),
        digits => (digits, 10),
    };
    let mut code = 0u32;
    for digit in digits {
        let digit = char::from(*digit).to_digit(radix).ok_or(INVALID)?;
        code = code.saturating_mul(radix).saturating_add(digit);
    }
    let allowed =
        |c: &char| !matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
    let char = char::from_u32(code).filter(allowed).filter(|_| !digits.is_empty()).ok_or(INVALID)?;
    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(())
}
