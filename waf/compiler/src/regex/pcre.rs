//! PCRE's syntax in the words of `regex-syntax`.
//!
//! The two agree on most patterns and differ where it hurts: in a bracketed class PCRE knows neither
//! nested classes nor set operations, it takes any escaped sign for itself, a brace that is no
//! quantifier for a brace, `\v` and `\h` for classes. So every literal is written anew as a byte.

use super::Error;

/// A pattern in `regex-syntax`'s words.
pub(super) struct Rewritten {
    pub(super) text: String,
    /// The place in the original of every byte of `text`.
    places: Vec<usize>,
}

impl Rewritten {
    /// An error of `regex-syntax`, placed in the original.
    pub(super) fn error(&self, error: &regex_syntax::Error) -> Error {
        let (at, message) = match error {
            regex_syntax::Error::Parse(error) => (error.span().start.offset, error.kind().to_string()),
            regex_syntax::Error::Translate(error) => (error.span().start.offset, error.kind().to_string()),
            _ => (0, "no regular expression".into()),
        };
        let offset = self.places.get(at).or(self.places.last()).copied().unwrap_or(0);
        Error::Syntax { offset, message }
    }
}

struct Rewriter<'p> {
    pattern: &'p [u8],
    at: usize,
    /// Where the element in hand begins.
    from: usize,
    out: Rewritten,
    /// Whether white space is layout, for each open group.
    extended: Vec<bool>,
}

/// Rewrites a pattern.
pub(super) fn rewrite(pattern: &str) -> Result<Rewritten, Error> {
    let mut rewriter = Rewriter {
        pattern: pattern.as_bytes(),
        at: 0,
        from: 0,
        out: Rewritten { text: String::with_capacity(pattern.len() * 2), places: Vec::new() },
        extended: vec![false],
    };
    rewriter.run()?;
    Ok(rewriter.out)
}

/// An escape that is one byte, or a class.
enum Escape {
    Byte(u8),
    /// Items for the inside of a bracketed class, and whether they stand for all other bytes.
    Class(&'static str, bool),
}

impl Rewriter<'_> {
    fn peek(&self) -> Option<u8> {
        self.pattern.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.pattern.get(self.at..).unwrap_or(&[])
    }

    fn take_if(&mut self, text: &[u8]) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn emit(&mut self, text: &str) {
        self.out.text.push_str(text);
        self.out.places.resize(self.out.text.len(), self.from);
    }

    fn emit_byte(&mut self, byte: u8) {
        if byte.is_ascii_alphanumeric() {
            self.emit(char::from(byte).encode_utf8(&mut [0; 4]));
        } else {
            self.emit(&format!("\\x{byte:02X}"));
        }
    }

    fn unsupported(&self, what: &'static str) -> Error {
        Error::Unsupported { offset: self.from, what }
    }

    fn syntax(&self, message: &str) -> Error {
        Error::Syntax { offset: self.from, message: message.into() }
    }

    fn is_extended(&self) -> bool {
        self.extended.last().copied().unwrap_or(false)
    }

    fn run(&mut self) -> Result<(), Error> {
        while let Some(byte) = self.peek() {
            self.from = self.at;
            self.at += 1;
            match byte {
                b'\\' => self.escape_outside()?,
                b'[' => self.class()?,
                b'(' => self.open()?,
                b')' => {
                    // One too many is found by the parser.
                    if self.extended.len() > 1 {
                        self.extended.pop();
                    }
                    self.emit(")");
                }
                b'.' | b'|' | b'^' | b'$' => self.emit(char::from(byte).encode_utf8(&mut [0; 4])),
                b'*' | b'+' | b'?' => {
                    self.emit(char::from(byte).encode_utf8(&mut [0; 4]));
                    self.after_quantifier()?;
                }
                b'{' => match self.counted() {
                    Some(text) => {
                        self.emit(&text);
                        self.after_quantifier()?;
                    }
                    None => self.emit_byte(byte),
                },
                b'#' if self.is_extended() => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                _ if self.is_extended() && (byte.is_ascii_whitespace() || byte == 0x0b) => {}
                _ => self.emit_byte(byte),
            }
        }
        Ok(())
    }

    /// The rest of a quantifier in braces; `None` if the brace is a brace.
    fn counted(&mut self) -> Option<String> {
        let close = self.rest().iter().position(|&byte| byte == b'}')?;
        let inner = std::str::from_utf8(&self.rest()[..close]).ok()?;
        let (low, high) = inner.split_once(',').unwrap_or((inner, inner));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(low) || !(high.is_empty() || is_number(high)) {
            return None;
        }
        let text = format!("{{{inner}}}");
        self.at += close + 1;
        Some(text)
    }

    fn after_quantifier(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(b'?') => {
                self.at += 1;
                self.emit("?");
            }
            Some(b'+') => {
                self.from = self.at;
                self.at += 1;
                // Giving nothing back makes no difference where nothing follows.
                if self.at != self.pattern.len() {
                    return Err(self.unsupported("a possessive quantifier"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), Error> {
        let extended = self.is_extended();
        if self.peek() == Some(b'*') {
            return Err(self.unsupported("a verb"));
        }
        if !self.take_if(b"?") {
            self.extended.push(extended);
            self.emit("(");
            return Ok(());
        }
        for (text, what) in [
            (&b"<="[..], "look-behind"),
            (b"<!", "look-behind"),
            (b"=", "look-ahead"),
            (b"!", "look-ahead"),
            (b">", "an atomic group"),
            (b"|", "a branch-reset group"),
            (b"(", "a conditional group"),
            (b"R", "recursion"),
            (b"&", "recursion"),
            (b"P>", "recursion"),
            (b"P=", "a back-reference"),
            (b"+", "recursion"),
            (b"C", "a callout"),
        ] {
            if self.rest().starts_with(text) {
                return Err(self.unsupported(what));
            }
        }
        if self.take_if(b"#") {
            let Some(close) = self.rest().iter().position(|&byte| byte == b')') else {
                return Err(self.syntax("a comment without an end"));
            };
            self.at += close + 1;
            return Ok(());
        }
        for (open, close) in [(&b"P<"[..], b'>'), (b"<", b'>'), (b"'", b'\'')] {
            if self.take_if(open) {
                let Some(len) = self.rest().iter().position(|&byte| byte == close) else {
                    return Err(self.syntax("a group name without an end"));
                };
                // Names are of no use to rules: a plain group.
                self.at += len + 1;
                self.extended.push(extended);
                self.emit("(");
                return Ok(());
            }
        }
        // Flags. White space is dealt with here, so that one does not go on.
        let mut on = String::new();
        let mut off = String::new();
        let mut negated = false;
        let mut now = extended;
        loop {
            let Some(byte) = self.peek() else { return Err(self.syntax("a group without an end")) };
            self.at += 1;
            match byte {
                b'i' | b'm' | b's' | b'U' if negated => off.push(char::from(byte)),
                b'i' | b'm' | b's' | b'U' => on.push(char::from(byte)),
                b'x' => now = !negated,
                b'-' if !negated => negated = true,
                b'^' if on.is_empty() && !negated => {
                    off.push_str("ims");
                    now = false;
                }
                b'0'..=b'9' => return Err(self.unsupported("recursion")),
                b':' | b')' => {
                    let is_group = byte == b':';
                    off.retain(|flag| !on.contains(flag));
                    let flags = if off.is_empty() { on } else { format!("{on}-{off}") };
                    if is_group {
                        self.extended.push(now);
                        self.emit(&format!("(?{flags}:"));
                    } else {
                        if let Some(last) = self.extended.last_mut() {
                            *last = now;
                        }
                        if !flags.is_empty() {
                            self.emit(&format!("(?{flags})"));
                        }
                    }
                    return Ok(());
                }
                _ => return Err(self.syntax("an unknown flag")),
            }
        }
    }

    /// The escape that begins after a backslash, as far as it means the same inside a bracketed class.
    fn escape(&mut self) -> Result<Escape, Error> {
        let Some(byte) = self.peek() else { return Err(self.syntax("a backslash at the end")) };
        self.at += 1;
        Ok(match byte {
            b'a' => Escape::Byte(7),
            b'e' => Escape::Byte(0x1b),
            b'f' => Escape::Byte(0x0c),
            b'n' => Escape::Byte(b'\n'),
            b'r' => Escape::Byte(b'\r'),
            b't' => Escape::Byte(b'\t'),
            b'c' => {
                let Some(control) = self.peek() else { return Err(self.syntax("a backslash at the end")) };
                self.at += 1;
                Escape::Byte(control.to_ascii_uppercase() ^ 0x40)
            }
            b'x' => Escape::Byte(self.hexadecimal()?),
            b'o' if self.peek() == Some(b'{') => {
                self.at += 1;
                Escape::Byte(self.braced(8)?)
            }
            b'0' => {
                self.at -= 1;
                Escape::Byte(self.octal())
            }
            b'd' => Escape::Class("0-9", false),
            b'D' => Escape::Class("0-9", true),
            b's' => Escape::Class("\\x09-\\x0D\\x20", false),
            b'S' => Escape::Class("\\x09-\\x0D\\x20", true),
            b'w' => Escape::Class("0-9A-Za-z_", false),
            b'W' => Escape::Class("0-9A-Za-z_", true),
            b'h' => Escape::Class("\\x09\\x20\\xA0", false),
            b'H' => Escape::Class("\\x09\\x20\\xA0", true),
            b'v' => Escape::Class("\\x0A-\\x0D\\x85", false),
            b'V' => Escape::Class("\\x0A-\\x0D\\x85", true),
            b'N' => Escape::Class("\\x0A", true),
            b'p' | b'P' => return Err(self.unsupported("a Unicode class")),
            _ if byte.is_ascii_alphanumeric() => return Err(self.syntax("an unknown escape")),
            _ => Escape::Byte(byte),
        })
    }

    fn hexadecimal(&mut self) -> Result<u8, Error> {
        if self.peek() == Some(b'{') {
            self.at += 1;
            return self.braced(16);
        }
        let mut value = 0;
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else { break };
            value = value * 16 + digit as u8;
            self.at += 1;
        }
        Ok(value)
    }

    fn octal(&mut self) -> u8 {
        let mut value: u8 = 0;
        for _ in 0..3 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(8)) else { break };
            value = value.wrapping_mul(8).wrapping_add(digit as u8);
            self.at += 1;
        }
        value
    }

    fn braced(&mut self, radix: u32) -> Result<u8, Error> {
        let Some(close) = self.rest().iter().position(|&byte| byte == b'}') else {
            return Err(self.syntax("a code point without an end"));
        };
        let digits = std::str::from_utf8(&self.rest()[..close]).unwrap_or("");
        let value = u32::from_str_radix(digits.trim(), radix).map_err(|_| self.syntax("no code point"))?;
        self.at += close + 1;
        u8::try_from(value).map_err(|_| self.unsupported("a code point beyond a byte"))
    }

    fn escape_outside(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(b'A') => self.assertion("\\A"),
            Some(b'z') => self.assertion("\\z"),
            // Before a last line feed: the line feed becomes part of the match.
            Some(b'Z') => self.assertion("(?:\\x0A?\\z)"),
            Some(b'b') => self.assertion("(?:\\b)"),
            Some(b'B') => self.assertion("(?:\\B)"),
            Some(b'R') => self.assertion("(?:\\x0D\\x0A|[\\x0A-\\x0D\\x85])"),
            Some(b'C') => self.assertion("(?s:.)"),
            Some(b'Q') => {
                self.at += 1;
                while self.at < self.pattern.len() && !self.take_if(b"\\E") {
                    self.from = self.at;
                    let byte = self.pattern[self.at];
                    self.at += 1;
                    self.emit_byte(byte);
                }
            }
            Some(b'E') => self.at += 1,
            Some(b'1'..=b'9' | b'g' | b'k') => return Err(self.unsupported("a back-reference")),
            Some(b'G') => return Err(self.unsupported("\\G")),
            Some(b'K') => return Err(self.unsupported("\\K")),
            Some(b'X') => return Err(self.unsupported("\\X")),
            _ => match self.escape()? {
                Escape::Byte(byte) => self.emit_byte(byte),
                Escape::Class(items, false) => self.emit(&format!("[{items}]")),
                Escape::Class(items, true) => self.emit(&format!("[^{items}]")),
            },
        }
        Ok(())
    }

    fn assertion(&mut self, text: &str) {
        self.at += 1;
        self.emit(text);
    }

    /// A bracketed class.
    fn class(&mut self) -> Result<(), Error> {
        let negated = self.take_if(b"^");
        self.emit(if negated { "[^" } else { "[" });
        let mut first = true;
        loop {
            self.from = self.at;
            let Some(byte) = self.peek() else { return Err(self.syntax("a class without an end")) };
            self.at += 1;
            let low = match byte {
                b']' if !first => {
                    self.emit("]");
                    return Ok(());
                }
                b'[' if self.posix()? => {
                    first = false;
                    continue;
                }
                b'\\' => self.escape_inside()?,
                _ => Some(byte),
            };
            first = false;
            let Some(low) = low else { continue };
            // A range, unless the hyphen is the last of the class or a class follows it.
            if self.peek() == Some(b'-') && !matches!(self.pattern.get(self.at + 1), None | Some(b']')) {
                let hyphen = self.at;
                self.at += 1;
                let high = match self.peek() {
                    Some(b'\\') => {
                        self.at += 1;
                        let out = self.out.text.len();
                        let high = self.escape_inside()?;
                        if high.is_none() {
                            // A hyphen before a class stands for itself.
                            self.out.text.truncate(out);
                            self.out.places.truncate(out);
                        }
                        high
                    }
                    Some(b'[') if self.rest().starts_with(b"[:") => None,
                    Some(byte) => {
                        self.at += 1;
                        Some(byte)
                    }
                    None => None,
                };
                match high {
                    Some(high) if high < low => return Err(self.syntax("a range out of order")),
                    Some(high) => {
                        self.emit_byte(low);
                        self.emit("-");
                        self.emit_byte(high);
                    }
                    None => {
                        self.emit_byte(low);
                        self.emit_byte(b'-');
                        self.at = hyphen + 1;
                    }
                }
                continue;
            }
            self.emit_byte(low);
        }
    }

    /// An escape in a bracketed class; `None` if it was a class, which is written then.
    fn escape_inside(&mut self) -> Result<Option<u8>, Error> {
        match self.peek() {
            Some(b'b') => {
                self.at += 1;
                Ok(Some(8))
            }
            Some(b'1'..=b'7') => Ok(Some(self.octal())),
            Some(b'E') => {
                self.at += 1;
                Ok(None)
            }
            Some(b'R' | b'X' | b'N' | b'B') => Err(self.syntax("an escape that no class can hold")),
            _ => Ok(match self.escape()? {
                Escape::Byte(byte) => Some(byte),
                Escape::Class(items, negated) => {
                    self.emit(&if negated { format!("[^{items}]") } else { items.to_string() });
                    None
                }
            }),
        }
    }

    /// A named class such as `[:alpha:]`, of which the bracket is taken.
    fn posix(&mut self) -> Result<bool, Error> {
        let rest = self.rest();
        let Some(name) = rest.strip_prefix(b":") else { return Ok(false) };
        let Some(len) = name.windows(2).position(|pair| pair == b":]") else { return Ok(false) };
        let name = &name[..len];
        if !name.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'^') {
            return Ok(false);
        }
        let text = format!("[:{}:]", String::from_utf8_lossy(name));
        self.emit(&text);
        self.at += len + 3;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Options, compile};
    use super::*;
    use picket_regex::{Cache, Regex};

    fn matches(pattern: &str, haystack: &[u8]) -> bool {
        let compiled = compile(pattern, &Options::default()).unwrap();
        Regex::new(&compiled.bytes).is_match(&mut Cache::default(), haystack)
    }

    #[test]
    fn signs_escaped_without_need() {
        assert!(matches(r#"^\/\"\'\<\>\%\@\&\#\:\~\`\!\=\,\;\ $"#, br#"/"'<>%@&#:~`!=,; "#));
        assert!(matches(r"^\x{c2}\xb4[\x{e2}\x80-\x82]$", b"\xc2\xb4\x81"));
        assert!(matches("^é[è]{2}$", "éè".as_bytes()));
    }

    #[test]
    fn classes_are_not_nested() {
        assert!(matches(r"^[[{]+$", b"[{["));
        assert!(matches(r"^[a&&b]+$", b"a&b"));
        assert!(matches(r"^[!--]+$", b"!+-"));
        assert!(matches(r"^[a~~]+$", b"~a"));
        assert!(matches(r"^[]a]+$", b"]a"));
        assert!(matches(r"^[^]a]+$", b"bc"));
        assert!(matches(r"^[\w-]+$", b"a-b"));
        assert!(matches(r"^[a-\d]+$", b"a-9"));
        assert!(matches(r"^[[:alpha:]_-]+$", b"ab_-"));
        assert!(matches(r"^[\b\e\1]+$", b"\x08\x1b\x01"));
        assert!(matches(r"^[^\S\n]+$", b" \t"));
        assert!(!matches(r"^[^\S\n]+$", b"\n"));
    }

    #[test]
    fn braces_that_are_no_quantifiers() {
        assert!(matches(r"^{a}{,3}x{2}$", b"{a}{,3}xx"));
        assert!(matches(r"^\{\{a$", b"{{a"));
        assert!(matches(r"a{1,", b"a{1,"));
    }

    #[test]
    fn layout_and_comments() {
        assert!(matches("(?x) ^ a [ b] # end\n c $", b"a c"));
        assert!(matches("^a(?#nothing)b$", b"ab"));
        assert!(matches("(?x: a b )c d", b"abc d"));
        assert!(matches("(?<name>a)(?P<other>b)(?'third'c)", b"abc"));
        assert!(matches(r"\Qa.b[\E.", b"a.b[!"));
    }

    #[test]
    fn flags() {
        assert!(matches("(?i)AbC", b"aBc"));
        assert!(!matches("a(?-s:.)b", b"a\nb"));
        assert!(matches("a.b", b"a\nb"));
        assert!(!matches("^b", b"a\nb"));
        assert!(matches("(?m)^b$", b"a\nb\nc"));
        assert!(!matches("a$", b"a\n"));
        assert!(matches(r"a\Z", b"a\n"));
    }

    #[test]
    fn what_no_linear_engine_does() {
        for (pattern, at, what) in [
            ("ab(?=c)", 2, "look-ahead"),
            ("ab(?!c)", 2, "look-ahead"),
            ("(?<=c)", 0, "look-behind"),
            ("(?<!c)", 0, "look-behind"),
            (r"(a)\1", 3, "a back-reference"),
            ("(?>a)", 0, "an atomic group"),
            ("a++b", 2, "a possessive quantifier"),
            (r"a\p{L}", 1, "a Unicode class"),
            (r"\x{100}", 0, "a code point beyond a byte"),
        ] {
            let error = compile(pattern, &Options::default()).unwrap_err();
            assert_eq!(error, Error::Unsupported { offset: at, what }, "{pattern}");
        }
        let error = compile(r"\/\/(a", &Options::default()).unwrap_err();
        assert!(matches!(error, Error::Syntax { offset: 4, .. }), "{error:?}");
        assert!(compile("[b-a]", &Options::default()).is_err());
        assert!(compile("a)", &Options::default()).is_err());
        assert!(compile("a\\", &Options::default()).is_err());
        assert!(compile("[a", &Options::default()).is_err());
    }
}
