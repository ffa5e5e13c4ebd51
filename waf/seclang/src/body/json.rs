//! JSON, flattened to arguments: `{"a": [1, {"b": "x"}]}` is `json.a.0` = `1` and `json.a.1.b` = `x`.
//!
//! RFC 8259, with what ModSecurity's parser adds: vertical tabs and form feeds are white space, an empty key is
//! called `empty-key`. Numbers are reported as they are written, `null` as an empty value; an empty container
//! reports nothing. Stricter than ModSecurity: UTF-8 must be valid (no overlong forms), and a high surrogate
//! followed by anything but a low one does not swallow it: it becomes `?`, and what follows is decoded by itself.

use alloc::vec::Vec;

use super::swar::find_special;
use super::{Budget, Fault, Limits, Processor, Scratch, Sink, decimal};
use crate::request::hex;

/// In place of an index: the container is an object.
const OBJECT: u32 = u32::MAX;

/// Why a string is cut off, wherever it ends.
const UNENDED: &str = "The body ends inside a string";

/// Reads JSON. An empty body is read as nothing at all.
///
/// # Errors
/// When it is not JSON, is nested too deeply, or a limit is exceeded. What came before is reported.
pub fn json(body: &[u8], limits: &Limits, scratch: &mut Scratch, sink: &mut dyn Sink) -> Result<(), Fault> {
    if body.is_empty() {
        return Ok(());
    }
    scratch.stack.clear();
    scratch.name.clear();
    scratch.name.extend_from_slice(b"json");
    let mut reader = Reader { body, at: 0 };
    reader
        .document(limits, scratch, sink)
        .map_err(|reason| Fault::new(Processor::Json, reader.at.min(body.len()), reason))
}

struct Reader<'a> {
    body: &'a [u8],
    at: usize,
}

type Read<T> = Result<T, &'static str>;

impl<'a> Reader<'a> {
    /// The next byte that is not white space; zero, which is nowhere valid, at the end.
    fn token(&mut self) -> u8 {
        loop {
            match self.body.get(self.at) {
                Some(b' ' | b'\t'..=b'\r') => self.at += 1,
                Some(byte) => return *byte,
                None => return 0,
            }
        }
    }

    /// Like [`token`](Reader::token), and past it.
    fn take(&mut self) -> u8 {
        let token = self.token();
        self.at += 1;
        token
    }

    fn document(&mut self, limits: &Limits, scratch: &mut Scratch, sink: &mut dyn Sink) -> Read<()> {
        let Scratch { name, value, stack, .. } = scratch;
        let mut budget = Budget::new(limits);
        loop {
            // A value, whose name is in `name`.
            let token = self.token();
            match token {
                b'"' => {
                    self.at += 1;
                    let text = self.string(value)?;
                    budget.arg(sink, name, text)?;
                }
                b'{' | b'[' => {
                    self.at += 1;
                    if stack.len() >= limits.depth {
                        return Err("Parsing depth limit exceeded");
                    }
                    let object = token == b'{';
                    let depth = name.len() as u32;
                    // `]` and `}` are two after `[` and `{`.
                    if self.token() == token + 2 {
                        self.at += 1;
                    } else if object {
                        stack.push((depth, OBJECT));
                        self.key(name, value)?;
                        continue;
                    } else {
                        stack.push((depth, 0));
                        name.extend_from_slice(b".0");
                        continue;
                    }
                }
                b't' => budget.arg(sink, name, self.word(b"true")?)?,
                b'f' => budget.arg(sink, name, self.word(b"false")?)?,
                b'n' => {
                    self.word(b"null")?;
                    budget.arg(sink, name, b"")?;
                }
                b'-' | b'0'..=b'9' => budget.arg(sink, name, self.number()?)?,
                0 => return Err("The body ends before a value"),
                _ => return Err("A value expected"),
            }
            // What follows a value: the ends of containers, then the name of the next one.
            loop {
                let Some((depth, index)) = stack.last_mut() else {
                    self.token();
                    return if self.at < self.body.len() { Err("Trailing garbage") } else { Ok(()) };
                };
                name.truncate(*depth as usize);
                let object = *index == OBJECT;
                match (self.take(), object) {
                    (b',', true) => {
                        self.key(name, value)?;
                        break;
                    }
                    (b',', false) => {
                        *index += 1;
                        name.push(b'.');
                        decimal(*index as usize, name);
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        stack.pop();
                    }
                    _ => {
                        self.at -= 1;
                        return Err(match (self.at < self.body.len(), object) {
                            (false, _) => "The body ends inside a container",
                            (true, true) => "Neither ',' nor '}' after a value",
                            (true, false) => "Neither ',' nor ']' after a value",
                        });
                    }
                }
            }
        }
    }

    /// Reads a key and its colon, and appends it to `name`.
    fn key(&mut self, name: &mut Vec<u8>, buffer: &mut Vec<u8>) -> Read<()> {
        if self.token() != b'"' {
            return Err("An object's key (a string) expected");
        }
        self.at += 1;
        let key = self.string(buffer)?;
        name.push(b'.');
        name.extend_from_slice(if key.is_empty() { b"empty-key" } else { key });
        if self.token() != b':' {
            return Err("No ':' after an object's key");
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &'static [u8]) -> Read<&'static [u8]> {
        let end = self.at + word.len();
        if self.body.get(self.at..end) != Some(word) {
            return Err("A value expected");
        }
        self.at = end;
        Ok(word)
    }

    fn digits(&mut self) -> Read<()> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let count = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        self.at += count;
        if count == 0 { Err("A digit expected") } else { Ok(()) }
    }

    fn number(&mut self) -> Read<&'a [u8]> {
        let start = self.at;
        let next = |reader: &Reader<'_>| reader.body.get(reader.at).copied().unwrap_or(0);
        if next(self) == b'-' {
            self.at += 1;
        }
        if next(self) == b'0' {
            // A further digit is found to be neither a comma nor an end.
            self.at += 1;
        } else {
            self.digits()?;
        }
        if next(self) == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(next(self), b'e' | b'E') {
            self.at += 1;
            if matches!(next(self), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(self.body.get(start..self.at).unwrap_or_default())
    }

    /// Reads a string after its opening quote; decoded into `buffer` only if it has escapes.
    fn string<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Read<&'b [u8]>
    where
        'a: 'b,
    {
        let body = self.body;
        let mut plain = self.at;
        let mut escaped = false;
        buffer.clear();
        loop {
            let Some(found) = find_special(body, self.at) else {
                self.at = body.len();
                return Err(UNENDED);
            };
            self.at = found;
            let text = body.get(plain..found).unwrap_or_default();
            match body.get(found) {
                Some(b'"') => {
                    self.at += 1;
                    if !escaped {
                        return Ok(text);
                    }
                    buffer.extend_from_slice(text);
                    return Ok(buffer);
                }
                Some(b'\\') => {
                    buffer.extend_from_slice(text);
                    escaped = true;
                    self.escape(buffer)?;
                    plain = self.at;
                }
                Some(0x80..) => self.wide()?,
                _ => return Err("A control character inside a string"),
            }
        }
    }

    /// Goes past a run of bytes that are not ASCII, if they are UTF-8.
    fn wide(&mut self) -> Read<()> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let count = rest.iter().position(u8::is_ascii).unwrap_or(rest.len());
        match core::str::from_utf8(rest.get(..count).unwrap_or_default()) {
            Ok(_) => {
                self.at += count;
                Ok(())
            }
            Err(error) => {
                self.at += error.valid_up_to();
                Err("Invalid UTF-8 inside a string")
            }
        }
    }

    /// Decodes an escape, whose backslash is next.
    fn escape(&mut self, out: &mut Vec<u8>) -> Read<()> {
        let byte = match self.body.get(self.at + 1) {
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => return self.code_point(out),
            Some(_) => return Err("An unknown escape inside a string"),
            None => return Err(UNENDED),
        };
        self.at += 2;
        out.push(byte);
        Ok(())
    }

    /// The four digits of the `\uXXXX` at `at`.
    fn unit(&self, at: usize) -> Option<u32> {
        match self.body.get(at..at + 6)? {
            [b'\\', b'u', digits @ ..] => {
                digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | u32::from(hex(*digit)?)))
            }
            _ => None,
        }
    }

    fn code_point(&mut self, out: &mut Vec<u8>) -> Read<()> {
        let high = self.unit(self.at).ok_or("Not four hexadecimal digits after '\\u'")?;
        self.at += 6;
        let code = match high {
            0xd800..0xdc00 => match self.unit(self.at) {
                Some(low @ 0xdc00..0xe000) => {
                    self.at += 6;
                    0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00))
                }
                _ => u32::from(b'?'),
            },
            code => code,
        };
        match char::from_u32(code) {
            Some(char) => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            // A low surrogate by itself: its bytes as if it were a character.
            None => {
                out.extend_from_slice(&[0xed, 0x80 | (code >> 6 & 0x3f) as u8, 0x80 | (code & 0x3f) as u8])
            }
        }
        Ok(())
    }
}
