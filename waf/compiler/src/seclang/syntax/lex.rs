//! Bytes to directives: comments, continued lines, quotes.
//!
//! A directive is a name and arguments. An argument is bare, or stands in double or single quotes; a
//! `\` before the quote makes it part of the argument, any other `\` stays. A `\` at the end of a line
//! continues it, also inside quotes, where the next line's indentation is dropped. A quote that is open
//! at the end of a line goes on in the next, unless that line begins with a directive's name.

use core::ops::Range;

/// A directive as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Directive {
    /// Its name, as written.
    pub name: Vec<u8>,
    /// Its arguments without quotes.
    pub arguments: Vec<Vec<u8>>,
    /// The line it starts on, from 1.
    pub line: u32,
    /// Its bytes in the file.
    pub range: Range<usize>,
    /// What is wrong with it, if it could be read to its end nevertheless.
    pub warning: Option<&'static str>,
}

/// A directive that could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LexError {
    /// The line it starts on.
    pub line: u32,
    /// What is wrong.
    pub text: String,
    /// The name of the directive.
    pub name: Vec<u8>,
}

/// Reads a file's directives in order.
pub(super) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u32,
}

const BLANKS: &[u8] = b" \t\r\x0b\x0c";

fn is_blank(byte: u8) -> bool {
    BLANKS.contains(&byte)
}

impl<'a> Lexer<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let at = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Lexer { bytes, at, line: 1 }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    /// The length of `\`, blanks that editors leave behind it excepted, and the end of a line.
    fn continuation(&self) -> Option<usize> {
        match self.rest() {
            [b'\\', b'\n', ..] => Some(2),
            [b'\\', b'\r', b'\n', ..] => Some(3),
            _ => None,
        }
    }

    /// Whether the line from here begins with what must be a new directive.
    fn at_directive(&self) -> bool {
        let rest = self.rest();
        let start = rest.iter().position(|byte| !is_blank(*byte)).unwrap_or(rest.len());
        let rest = rest.get(start..).unwrap_or_default();
        let length = rest.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(length);
        let named = name.len() > 4 && name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"Sec"))
            || name.eq_ignore_ascii_case(b"Include");
        named && behind.first().is_some_and(|byte| is_blank(*byte) || *byte == b'\n')
    }

    /// Passes over a comment, up to the end of its line: a `\` there continues nothing, as in
    /// libmodsecurity 3.0 and Coraza.
    fn comment(&mut self) {
        self.at += self.rest().iter().position(|byte| *byte == b'\n').unwrap_or(self.rest().len());
    }

    /// The next directive, or what is wrong there; reading goes on behind it.
    pub(super) fn next(&mut self) -> Option<Result<Directive, LexError>> {
        loop {
            self.skip_blanks();
            match self.peek()? {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                }
                b'#' => self.comment(),
                _ if self.continuation().is_some() => {
                    self.at += self.continuation().unwrap_or(1);
                    self.line += 1;
                }
                _ => return Some(self.directive()),
            }
        }
    }

    fn directive(&mut self) -> Result<Directive, LexError> {
        let (start, line) = (self.at, self.line);
        while self.peek().is_some_and(|byte| !is_blank(byte) && byte != b'\n')
            && self.continuation().is_none()
        {
            self.at += 1;
        }
        let name = self.bytes.get(start..self.at).unwrap_or_default().to_vec();
        let mut arguments = Vec::new();
        let mut warning = None;
        let mut end = self.at;
        loop {
            self.skip_blanks();
            if let Some(length) = self.continuation() {
                self.at += length;
                self.line += 1;
                // Lines of comment between continued lines.
                loop {
                    self.skip_blanks();
                    if self.peek() != Some(b'#') {
                        break;
                    }
                    self.comment();
                    if self.peek() == Some(b'\n') {
                        self.at += 1;
                        self.line += 1;
                    }
                }
                if self.at_directive() {
                    warning = Some("ends with a backslash, but a new directive follows");
                    break;
                }
                continue;
            }
            match self.peek() {
                None | Some(b'\n') => break,
                Some(b'#') if !arguments.is_empty() => {
                    self.comment();
                    break;
                }
                Some(quote @ (b'"' | b'\'')) => match self.quoted(quote) {
                    Some(argument) => arguments.push(argument),
                    None => {
                        let text = format!("the quote {} is never closed", char::from(quote));
                        return Err(LexError { line, text, name });
                    }
                },
                Some(_) => arguments.push(self.bare()),
            }
            end = self.at;
        }
        Ok(Directive { name, arguments, line, range: start..end, warning })
    }

    /// An argument in quotes; `None` if they are not closed. Reading then goes on at the directive
    /// that is in the way, or at the end.
    fn quoted(&mut self, quote: u8) -> Option<Vec<u8>> {
        self.at += 1;
        let mut argument = Vec::new();
        loop {
            if let Some(length) = self.continuation() {
                self.at += length;
                self.line += 1;
                if self.at_directive() {
                    return None;
                }
                self.skip_blanks();
                continue;
            }
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'\\' => match self.peek() {
                    Some(next) if next == quote => {
                        argument.push(next);
                        self.at += 1;
                    }
                    // A pair: the second one does not escape what follows.
                    Some(b'\\') if self.bytes.get(self.at + 1) != Some(&b'\n') => {
                        argument.extend_from_slice(b"\\\\");
                        self.at += 1;
                    }
                    _ => argument.push(byte),
                },
                b'\n' => {
                    self.line += 1;
                    if self.at_directive() {
                        return None;
                    }
                    argument.push(byte);
                }
                _ if byte == quote => return Some(argument),
                _ => argument.push(byte),
            }
        }
    }

    /// An argument without quotes around it: up to a blank that is not in single quotes behind `:` or
    /// `=`.
    fn bare(&mut self) -> Vec<u8> {
        let start = self.at;
        let mut before = 0;
        // A quote without its other half is looked for once.
        let mut closed = true;
        while let Some(byte) = self.peek() {
            if is_blank(byte) || byte == b'\n' || self.continuation().is_some() {
                break;
            }
            self.at += 1;
            if byte == b'\'' && matches!(before, b':' | b'=') && closed {
                match closing_quote_of_line(self.rest()) {
                    Some(length) => self.at += length + 1,
                    None => closed = false,
                }
            }
            before = byte;
        }
        self.bytes.get(start..self.at).unwrap_or_default().to_vec()
    }
}

/// Where the single quote stands that ends the text; a `\` before one makes it part of the text.
pub(super) fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'\'' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The same, if it stands in the first line.
fn closing_quote_of_line(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'\'' => return Some(at),
            b'\n' => return None,
            // A backslash that ends the line escapes nothing.
            b'\\' if text.get(at + 1) != Some(&b'\n') => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, arguments and line, or a line and what is wrong there.
    type Read = Result<(String, Vec<String>, u32), String>;

    fn all(text: &str) -> Vec<Read> {
        let mut lexer = Lexer::new(text.as_bytes());
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        core::iter::from_fn(|| lexer.next())
            .map(|directive| match directive {
                Ok(it) => Ok((text(&it.name), it.arguments.iter().map(text).collect(), it.line)),
                Err(error) => Err(format!("{}: {}", error.line, error.text)),
            })
            .collect()
    }

    fn one(text: &str) -> Vec<String> {
        let mut found = all(text);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0).unwrap().1
    }

    #[test]
    fn arguments_are_bare_or_quoted() {
        assert_eq!(one("SecRule ARGS \"@rx a b\" 'id:1'"), ["ARGS", "@rx a b", "id:1"]);
        assert_eq!(one("SecRule  ARGS:'a b'|TX:x\t\"y\"\r\n"), ["ARGS:'a b'|TX:x", "y"]);
        assert_eq!(one("SecAction id:1,msg:'a b',pass"), ["id:1,msg:'a b',pass"]);
        assert_eq!(one("SecRuleEngine On # for now"), ["On"]);
    }

    #[test]
    fn only_the_own_quote_is_escaped() {
        assert_eq!(one(r#"S "a\"b\d\\" 'c\'d"'"#), [r#"a"b\d\\"#, "c'd\""]);
        assert_eq!(one(r#"S "a\\\"b""#), [r#"a\\"b"#]);
    }

    #[test]
    fn lines_are_continued() {
        assert_eq!(one("SecRule A \\\n  \"b\" \\\r\n  \"id:1,\\\n   pass\""), ["A", "b", "id:1,pass"]);
        assert_eq!(one("SecRule A \"b\" \\\n # note\n  \"id:1\""), ["A", "b", "id:1"]);
        assert_eq!(one("SecAction \"id:1,\n  pass\""), ["id:1,\n  pass"]);
    }

    #[test]
    fn lines_are_counted() {
        let found = all("# one\n\nSecA b \\\n c\n\n SecB \"x\ny\"\nSecC");
        let lines: Vec<_> = found.into_iter().map(|it| it.unwrap()).map(|it| (it.0, it.2)).collect();
        assert_eq!(lines, [("SecA".into(), 3), ("SecB".into(), 6), ("SecC".into(), 8)]);
    }

    #[test]
    fn a_comment_is_one_line() {
        let found = all("# a \\\nSecX 1\n  # b\nSecY 2");
        assert_eq!(found.iter().filter_map(|it| it.as_ref().ok()).map(|it| it.2).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn an_open_quote_ends_before_the_next_directive() {
        let found = all("SecRule ARGS \"a\nSecRuleEngine On\nSecRule B \"x");
        assert!(found[0].as_ref().unwrap_err().contains("never closed"));
        assert_eq!(found[1].as_ref().unwrap().1, ["On"]);
        assert!(found[2].is_err());
        let found = all("SecRule A \"b\" \\\nSecAction \"id:1\"");
        assert_eq!((found.len(), &found[0].as_ref().unwrap().1[..]), (2, &["A".into(), "b".into()][..]));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_name() {
        assert_eq!(all("\u{feff}SecX 1")[0].as_ref().unwrap().0, "SecX");
    }
}
