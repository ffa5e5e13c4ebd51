//! JSON in chunks (RFC 8259): every leaf is an argument `json.a.0.b`, every key an argument name.

use alloc::vec::Vec;

use super::{Growing, Malformed, Sink};
use crate::transform::hex;
use crate::variable::Variable;

/// Deepest nesting that is followed; a deeper body is malformed.
const MAX_DEPTH: usize = 128;
/// Longest name of a leaf, in bytes; what is deeper or longer is cut.
const MAX_NAME: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Value,
    /// A value or `]`.
    FirstElement,
    /// A key or `}`.
    FirstKey,
    Key,
    Colon,
    CommaOrEnd,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lexeme {
    None,
    String,
    /// Behind a backslash.
    Escape,
    /// In `\uXXXX`: digits so far and their value.
    Unicode(u8, u16),
    /// A number, `true`, `false` or `null`.
    Word,
}

#[derive(Clone, Copy, Debug)]
struct Container {
    /// Index of the next element; `None` in an object.
    index: Option<u32>,
    /// Length of the name outside this container.
    name_len: usize,
}

/// A JSON text, read as far as it has come.
#[derive(Debug)]
pub(crate) struct Json {
    expect: Expect,
    lexeme: Lexeme,
    stack: Vec<Container>,
    name: Vec<u8>,
    text: Growing,
    surrogate: Option<u16>,
}

impl Default for Json {
    fn default() -> Self {
        Json {
            expect: Expect::Value,
            lexeme: Lexeme::None,
            stack: Vec::new(),
            name: b"json".to_vec(),
            text: Growing::default(),
            surrogate: None,
        }
    }
}

impl Json {
    pub(crate) fn feed(&mut self, chunk: &[u8], end: bool, sink: &mut impl Sink) -> Result<(), Malformed> {
        let mut rest = chunk;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = match self.lexeme {
                Lexeme::None => self.structure(byte, rest, tail, sink)?,
                Lexeme::String => self.string(rest, sink)?,
                Lexeme::Escape => {
                    self.escape(byte, sink)?;
                    tail
                }
                Lexeme::Unicode(digits, value) => {
                    self.unicode(byte, digits, value, sink)?;
                    tail
                }
                Lexeme::Word => self.word(rest, sink)?,
            };
        }
        if !end {
            return Ok(());
        }
        if self.lexeme == Lexeme::Word {
            self.end_word(sink)?;
        }
        // No body at all is no malformed body.
        let untouched = self.expect == Expect::Value && self.stack.is_empty();
        if self.lexeme == Lexeme::None && (self.expect == Expect::Nothing || untouched) {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// The string or word that has not ended.
    pub(crate) fn unfinished(&self) -> &[u8] {
        self.text.bytes()
    }

    fn structure<'b>(
        &mut self,
        byte: u8,
        rest: &'b [u8],
        tail: &'b [u8],
        sink: &mut impl Sink,
    ) -> Result<&'b [u8], Malformed> {
        use Expect::{Colon, CommaOrEnd, FirstElement, FirstKey, Key, Nothing, Value};
        match (byte, self.expect) {
            (b' ' | b'\t' | b'\r' | b'\n', _) => {}
            (b'"', Value | FirstElement | Key | FirstKey) => {
                self.text.clear();
                self.surrogate = None;
                self.lexeme = Lexeme::String;
                // The usual string: plain, and complete in this chunk. No copy.
                let plain = tail.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
                if let Some(end) = plain.filter(|&end| tail[end] == b'"') {
                    self.lexeme = Lexeme::None;
                    self.end_string(&tail[..end], sink);
                    return Ok(&tail[end + 1..]);
                }
            }
            (b'{', Value | FirstElement) => self.open(None)?,
            (b'[', Value | FirstElement) => self.open(Some(0))?,
            (b'}', FirstKey | CommaOrEnd) if self.in_object() => self.close(),
            (b']', FirstElement | CommaOrEnd) if self.in_array() => self.close(),
            (b',', CommaOrEnd) if self.in_object() => self.expect = Key,
            (b',', CommaOrEnd) if self.in_array() => self.expect = Value,
            (b':', Colon) => self.expect = Value,
            (b'-' | b'0'..=b'9' | b't' | b'f' | b'n', Value | FirstElement) => {
                self.text.clear();
                self.lexeme = Lexeme::Word;
                return Ok(rest);
            }
            // A byte order mark before the text is forgiven, as servers forgive it.
            (0xef | 0xbb | 0xbf, Value) if self.stack.is_empty() => {}
            (_, Nothing | _) => return Err(Malformed),
        }
        Ok(tail)
    }

    fn in_object(&self) -> bool {
        self.stack.last().is_some_and(|container| container.index.is_none())
    }

    fn in_array(&self) -> bool {
        self.stack.last().is_some_and(|container| container.index.is_some())
    }

    fn open(&mut self, index: Option<u32>) -> Result<(), Malformed> {
        if self.stack.len() == MAX_DEPTH {
            return Err(Malformed);
        }
        self.begin_element();
        self.stack.push(Container { index, name_len: self.name.len() });
        self.expect = if index.is_some() { Expect::FirstElement } else { Expect::FirstKey };
        Ok(())
    }

    fn close(&mut self) {
        if let Some(container) = self.stack.pop() {
            self.name.truncate(container.name_len);
        }
        self.end_element();
    }

    /// In an array the name of an element is its index.
    fn begin_element(&mut self) {
        let Some(Container { index: Some(index), name_len }) = self.stack.last_mut() else { return };
        let (number, name_len) = (*index, *name_len);
        *index += 1;
        self.name.truncate(name_len);
        if self.name.len() < MAX_NAME {
            self.name.push(b'.');
            crate::request::push_decimal(&mut self.name, number);
        }
    }

    /// Leaves the element's own part of the name: the key, or the index.
    fn end_element(&mut self) {
        match self.stack.last() {
            Some(container) => {
                self.name.truncate(container.name_len);
                self.expect = Expect::CommaOrEnd;
            }
            None => self.expect = Expect::Nothing,
        }
    }

    fn is_key(&self) -> bool {
        matches!(self.expect, Expect::Key | Expect::FirstKey)
    }

    fn end_string(&mut self, text: &[u8], sink: &mut impl Sink) {
        if self.is_key() {
            sink.value(Variable::ArgsNames, text, text);
            if self.name.len() < MAX_NAME {
                self.name.push(b'.');
                let room = MAX_NAME.saturating_sub(self.name.len());
                self.name.extend_from_slice(&text[..text.len().min(room)]);
            }
            self.expect = Expect::Colon;
        } else {
            self.leaf(text, sink);
        }
    }

    fn leaf(&mut self, text: &[u8], sink: &mut impl Sink) {
        self.begin_element();
        sink.value(Variable::Args, &self.name, text);
        self.end_element();
    }

    fn string<'b>(&mut self, rest: &'b [u8], sink: &mut impl Sink) -> Result<&'b [u8], Malformed> {
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len());
        let (plain, tail) = rest.split_at(end);
        if !plain.is_empty() {
            self.flush_surrogate(sink);
            self.push(plain, sink);
        }
        match tail.split_first() {
            None => Ok(tail),
            Some((b'"', tail)) => {
                self.flush_surrogate(sink);
                self.lexeme = Lexeme::None;
                let text = core::mem::take(&mut self.text);
                self.end_string(text.bytes(), sink);
                self.text = text;
                Ok(tail)
            }
            Some((b'\\', tail)) => {
                self.lexeme = Lexeme::Escape;
                Ok(tail)
            }
            Some(_) => Err(Malformed),
        }
    }

    fn push(&mut self, bytes: &[u8], sink: &mut impl Sink) {
        let (variable, name) =
            if self.is_key() { (Variable::ArgsNames, &[][..]) } else { (Variable::Args, &self.name[..]) };
        self.text.push(bytes, sink, variable, name);
    }

    fn escape(&mut self, byte: u8, sink: &mut impl Sink) -> Result<(), Malformed> {
        self.lexeme = Lexeme::String;
        let plain = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.lexeme = Lexeme::Unicode(0, 0);
                return Ok(());
            }
            _ => return Err(Malformed),
        };
        self.flush_surrogate(sink);
        self.push(&[plain], sink);
        Ok(())
    }

    fn unicode(&mut self, byte: u8, digits: u8, value: u16, sink: &mut impl Sink) -> Result<(), Malformed> {
        let value = value << 4 | u16::from(hex(byte).ok_or(Malformed)?);
        if digits < 3 {
            self.lexeme = Lexeme::Unicode(digits + 1, value);
            return Ok(());
        }
        self.lexeme = Lexeme::String;
        match (self.surrogate.take(), value) {
            (None, 0xd800..=0xdbff) => self.surrogate = Some(value),
            (Some(high), 0xdc00..=0xdfff) => {
                let code = 0x1_0000 + ((u32::from(high) & 0x3ff) << 10) + (u32::from(value) & 0x3ff);
                self.push_char(char::from_u32(code), sink);
            }
            (Some(_), _) => {
                self.push_char(None, sink);
                self.push_char(char::from_u32(value.into()), sink);
            }
            (None, _) => self.push_char(char::from_u32(value.into()), sink),
        }
        Ok(())
    }

    fn push_char(&mut self, decoded: Option<char>, sink: &mut impl Sink) {
        let mut utf8 = [0; 4];
        let text = decoded.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut utf8);
        self.push(text.as_bytes(), sink);
    }

    /// A high surrogate that nothing followed.
    fn flush_surrogate(&mut self, sink: &mut impl Sink) {
        if self.surrogate.take().is_some() {
            self.push_char(None, sink);
        }
    }

    fn word<'b>(&mut self, rest: &'b [u8], sink: &mut impl Sink) -> Result<&'b [u8], Malformed> {
        let end = rest
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.'))
            .unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        self.push(word, sink);
        if !tail.is_empty() {
            self.end_word(sink)?;
        }
        Ok(tail)
    }

    fn end_word(&mut self, sink: &mut impl Sink) -> Result<(), Malformed> {
        self.lexeme = Lexeme::None;
        let text = core::mem::take(&mut self.text);
        let word = text.bytes();
        if !is_number(word) && !matches!(word, b"true" | b"false" | b"null") {
            return Err(Malformed);
        }
        self.leaf(word, sink);
        self.text = text;
        Ok(())
    }
}

/// RFC 8259, section 6.
fn is_number(word: &[u8]) -> bool {
    fn digits(text: &[u8]) -> Option<&[u8]> {
        let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then(|| &text[count..])
    }
    fn parse(word: &[u8]) -> Option<&[u8]> {
        let unsigned = word.strip_prefix(b"-").unwrap_or(word);
        let mut rest = match unsigned.strip_prefix(b"0") {
            Some(rest) => rest,
            None => digits(unsigned)?,
        };
        if let Some(fraction) = rest.strip_prefix(b".") {
            rest = digits(fraction)?;
        }
        if let [b'e' | b'E', exponent @ ..] = rest {
            let unsigned = match exponent {
                [b'+' | b'-', unsigned @ ..] => unsigned,
                unsigned => unsigned,
            };
            rest = digits(unsigned)?;
        }
        Some(rest)
    }
    parse(word).is_some_and(<[u8]>::is_empty)
}
