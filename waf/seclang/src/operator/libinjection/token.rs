//! A value as tokens of SQL.

use super::{kind, words};

/// How many bytes of a token's text are kept; no word that means something is longer.
pub(super) const KEPT: usize = 31;

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// One of [`kind`].
    pub kind: u8,
    /// The quote that a string opens with (0: it started before the value; `u`, `q`, `$`: a
    /// dialect's own), and the one that it ends with (0: none).
    pub open: u8,
    pub close: u8,
    /// The start of what it stands for, without quotes.
    pub text: &'a [u8],
    /// A word that is not listed: it is a name, whatever stands beside it.
    pub plain: bool,
}

impl<'a> Token<'a> {
    pub const NONE: Self = Self { kind: kind::NONE, open: 0, close: 0, text: b"", plain: false };

    pub fn new(kind: u8, text: &'a [u8]) -> Self {
        Self { kind, open: 0, close: 0, text: text.get(..KEPT).unwrap_or(text), plain: false }
    }

    /// The first byte of the text.
    pub fn first(&self) -> u8 {
        self.text.first().copied().unwrap_or(0)
    }

    pub fn is(&self, kinds: &[u8]) -> bool {
        kinds.contains(&self.kind)
    }

    pub fn is_word(&self, word: &[u8]) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }

    pub fn is_unary(&self) -> bool {
        self.kind == kind::OPERATOR
            && match self.text {
                [b'+' | b'-' | b'!' | b'~'] | [b'!', b'!'] => true,
                text => text.eq_ignore_ascii_case(b"not"),
            }
    }

    pub fn is_arithmetic(&self) -> bool {
        self.kind == kind::OPERATOR && matches!(self.text, [b'*' | b'/' | b'-' | b'+' | b'%'])
    }
}

/// How the value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// MySQL's comments and names instead of ANSI's.
    pub mysql: bool,
    /// The quote within which the value starts, or 0.
    pub quote: u8,
}

/// Cuts a value to tokens.
pub(super) struct Tokens<'a> {
    value: &'a [u8],
    at: usize,
    dialect: Dialect,
    /// How many there have been.
    pub count: usize,
    /// MySQL would have read something otherwise: a `#`, or a `--` without white space after it.
    pub ambiguous: bool,
}

impl<'a> Tokens<'a> {
    pub fn new(value: &'a [u8], dialect: Dialect) -> Self {
        Self { value, at: 0, dialect, count: 0, ambiguous: false }
    }

    /// The next token.
    #[inline(never)]
    pub fn next(&mut self) -> Option<Token<'a>> {
        if self.at == 0 && self.dialect.quote != 0 && !self.value.is_empty() {
            self.count += 1;
            let mut token = self.string(self.dialect.quote, 0);
            token.open = 0;
            return Some(token);
        }
        while let Some(rest @ [first, ..]) = self.value.get(self.at..) {
            let before = self.at;
            let token = self.token(*first, rest);
            debug_assert!(self.at > before);
            if token.kind != kind::NONE {
                self.count += 1;
                return Some(token);
            }
        }
        None
    }

    /// The token that starts at `rest`, or [`Token::NONE`].
    fn token(&mut self, first: u8, rest: &'a [u8]) -> Token<'a> {
        let quoted = |at: usize| rest.len() > at + 1 && rest.get(at) == Some(&b'\'');
        match first {
            0..=b' ' | 0x7f | 0xa0 => {
                // A run at once: it is no token.
                let white = |b: &u8| matches!(b, 0..=b' ' | 0x7f | 0xa0);
                self.at += rest.iter().position(|b| !white(b)).unwrap_or(rest.len());
                Token::NONE
            }
            b'0'..=b'9' | b'.' => self.number(rest),
            b'\'' | b'"' => self.string(first, 1),
            b'`' => self.tick(),
            b'b' | b'B' if quoted(1) => self.digits(rest, is_binary),
            b'x' | b'X' if quoted(1) => self.digits(rest, is_hex),
            b'e' | b'E' | b'n' | b'N' if quoted(1) => self.string(b'\'', 2),
            b'n' | b'N' => self.q_string(rest, 1),
            b'q' | b'Q' => self.q_string(rest, 0),
            b'u' | b'U' if matches!(rest, [_, b'&', b'\'', ..]) => {
                let mut token = self.string(b'\'', 3);
                token.open = b'u';
                if token.close == b'\'' {
                    token.close = b'u';
                }
                token
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..=0xff => self.word(rest),
            b'(' | b')' | b'{' | b'}' | b',' | b';' => self.take(first, 1),
            b'-' => self.dash(rest),
            b'/' => self.slash(rest),
            b'#' => {
                self.ambiguous = true;
                if self.dialect.mysql { self.comment_to_line_end(rest) } else { self.take(kind::OPERATOR, 1) }
            }
            b'%' | b'^' | b'+' | b'~' => self.take(kind::OPERATOR, 1),
            b'!' | b'&' | b'*' | b':' | b'<' | b'=' | b'>' | b'|' => self.operator(rest),
            b'@' => self.variable(rest),
            b'$' => self.money(rest),
            b'\\' if rest.get(1) == Some(&b'N') => self.take(kind::NUMBER, 2),
            b'\\' => self.take(kind::BACKSLASH, 1),
            // A name to Microsoft's servers.
            b'[' => {
                let end = find(rest, b']').map_or(rest.len(), |at| at + 1);
                self.take(kind::BAREWORD, end)
            }
            _ => self.take(kind::UNKNOWN, 1),
        }
    }

    /// The next `len` bytes as a token.
    fn take(&mut self, kind: u8, len: usize) -> Token<'a> {
        let text = self.value.get(self.at..self.at + len).unwrap_or_default();
        self.at += len;
        Token::new(kind, text)
    }

    /// A string in `quote`s, which starts after `skip` bytes. Backslashes and doubling escape.
    fn string(&mut self, quote: u8, skip: usize) -> Token<'a> {
        let rest = self.value.get(self.at + skip..).unwrap_or_default();
        let mut from = 0;
        let (len, close) = loop {
            let Some(end) = rest.get(from..).and_then(|r| find(r, quote)).map(|at| from + at) else {
                break (rest.len(), 0);
            };
            let escapes =
                rest.get(..end).unwrap_or_default().iter().rev().take_while(|b| **b == b'\\').count();
            if escapes % 2 == 1 {
                from = end + 1;
            } else if rest.get(end + 1) == Some(&quote) {
                from = end + 2;
            } else {
                break (end, quote);
            }
        };
        self.at += skip + len + usize::from(close != 0);
        let text = rest.get(..len).unwrap_or_default();
        Token { open: quote, close, ..Token::new(kind::STRING, text) }
    }

    /// A string whose text starts after `skip` bytes and ends before `end`.
    fn delimited(&mut self, skip: usize, end: &[u8], mark: u8) -> Token<'a> {
        let rest = self.value.get(self.at + skip..).unwrap_or_default();
        let found = find_all(rest, end);
        let len = found.unwrap_or(rest.len());
        self.at += skip + len + found.map_or(0, |_| end.len());
        let close = if found.is_some() { mark } else { 0 };
        Token { open: mark, close, ..Token::new(kind::STRING, rest.get(..len).unwrap_or_default()) }
    }

    /// Oracle's `q'(…)'`, after a prefix of `skip` bytes.
    fn q_string(&mut self, rest: &'a [u8], skip: usize) -> Token<'a> {
        match rest.get(skip..) {
            Some([b'q' | b'Q', b'\'', open @ b'!'..0x80, ..]) => {
                let close = match open {
                    b'(' => b')',
                    b'[' => b']',
                    b'{' => b'}',
                    b'<' => b'>',
                    other => *other,
                };
                self.delimited(skip + 3, &[close, b'\''], b'q')
            }
            _ => self.word(rest),
        }
    }

    /// `b'01'` or `x'0f'`.
    fn digits(&mut self, rest: &'a [u8], digit: fn(&u8) -> bool) -> Token<'a> {
        let digits = rest.get(2..).unwrap_or_default();
        let len = digits.iter().take_while(|b| digit(b)).count();
        if digits.get(len) == Some(&b'\'') { self.take(kind::NUMBER, len + 3) } else { self.word(rest) }
    }

    /// A name in backquotes.
    fn tick(&mut self) -> Token<'a> {
        let mut token = self.string(b'`', 1);
        token.kind = match words::lookup(token.text) {
            Some((kind::FUNCTION, _)) => kind::FUNCTION,
            _ => kind::BAREWORD,
        };
        token
    }

    fn word(&mut self, rest: &'a [u8]) -> Token<'a> {
        let len = rest.iter().position(|b| WORD_END.has(*b)).unwrap_or(rest.len());
        let text = rest.get(..len).unwrap_or_default();
        // `SELECT.1` and `` SELECT`name` `` are two words.
        for (at, _) in text.iter().take(KEPT).enumerate().filter(|(_, b)| matches!(b, b'.' | b'`')) {
            if let Some((kind, _)) = words::lookup(text.get(..at).unwrap_or_default())
                && kind != kind::BAREWORD
            {
                return self.take(kind, at);
            }
        }
        let known = if len <= KEPT { words::lookup(text) } else { None };
        let token = self.take(known.map_or(kind::BAREWORD, |(kind, _)| kind), len);
        Token { plain: known.is_none(), ..token }
    }

    fn comment_to_line_end(&mut self, rest: &'a [u8]) -> Token<'a> {
        let end = find(rest, b'\n');
        let token = self.take(kind::COMMENT, end.unwrap_or(rest.len()));
        self.at += usize::from(end.is_some());
        token
    }

    /// `--` is a comment to some, to MySQL only before white space.
    fn dash(&mut self, rest: &'a [u8]) -> Token<'a> {
        match rest {
            [_, b'-'] => self.comment_to_line_end(rest),
            [_, b'-', next, ..] if is_white(*next) => self.comment_to_line_end(rest),
            [_, b'-', ..] if !self.dialect.mysql => {
                self.ambiguous = true;
                self.comment_to_line_end(rest)
            }
            _ => self.take(kind::OPERATOR, 1),
        }
    }

    /// Comments; MySQL's conditional ones and nested ones are read too differently to be followed.
    fn slash(&mut self, rest: &'a [u8]) -> Token<'a> {
        let [_, b'*', body @ ..] = rest else { return self.take(kind::OPERATOR, 1) };
        let end = find_all(body, b"*/");
        let nested = end.and_then(|end| body.get(..=end)).is_some_and(|b| find_all(b, b"/*").is_some());
        let kind = if nested || body.first() == Some(&b'!') { kind::EVIL } else { kind::COMMENT };
        self.take(kind, end.map_or(rest.len(), |end| end + 4))
    }

    fn operator(&mut self, rest: &'a [u8]) -> Token<'a> {
        if rest.starts_with(b"<=>") {
            return self.take(kind::OPERATOR, 3);
        }
        if let Some((kind, _)) = rest.get(..2).and_then(words::lookup) {
            return self.take(kind, 2);
        }
        // At the end of the value even a colon counts as an operator.
        let colon = matches!(rest, [b':', _, ..]);
        self.take(if colon { kind::COLON } else { kind::OPERATOR }, 1)
    }

    /// `@name`, `@@name`, with or without quotes.
    fn variable(&mut self, rest: &'a [u8]) -> Token<'a> {
        let signs = if rest.get(1) == Some(&b'@') { 2 } else { 1 };
        self.at += signs;
        let name = rest.get(signs..).unwrap_or_default();
        match name.first() {
            Some(b'`') => Token { kind: kind::VARIABLE, ..self.tick() },
            Some(quote @ (b'\'' | b'"')) => Token { kind: kind::VARIABLE, ..self.string(*quote, 1) },
            _ => {
                let len = name.iter().position(|b| VARIABLE_END.has(*b)).unwrap_or(name.len());
                self.take(kind::VARIABLE, len)
            }
        }
    }

    /// `$1,000.00`, or PostgreSQL's `$$…$$` and `$tag$…$tag$`.
    fn money(&mut self, rest: &'a [u8]) -> Token<'a> {
        let after = rest.get(1..).unwrap_or_default();
        match after.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'.' | b',' | 0)).count() {
            0 => {}
            1 if after.first() == Some(&b'.') => return self.word(rest),
            digits => return self.take(kind::NUMBER, digits + 1),
        }
        if after.first() == Some(&b'$') {
            return self.delimited(2, b"$$", b'$');
        }
        let tag = after.iter().take_while(|b| b.is_ascii_alphabetic() || **b == 0).count() + 2;
        match rest.get(..tag) {
            Some(end @ [.., b'$']) if tag > 2 => self.delimited(tag, end, b'$'),
            _ => self.take(kind::BAREWORD, 1),
        }
    }

    fn number(&mut self, rest: &'a [u8]) -> Token<'a> {
        let digits = |from: usize| {
            rest.get(from..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count()
        };
        let radix: Option<fn(&u8) -> bool> = match rest {
            [b'0', b'x' | b'X', ..] => Some(is_hex),
            [b'0', b'b' | b'B', ..] => Some(is_binary),
            _ => None,
        };
        if let Some(digit) = radix {
            let len = rest.get(2..).unwrap_or_default().iter().take_while(|b| digit(b)).count();
            return self.take(if len == 0 { kind::BAREWORD } else { kind::NUMBER }, 2 + len);
        }
        let mut len = digits(0);
        if rest.get(len) == Some(&b'.') {
            len += 1;
            len += digits(len);
            if len == 1 {
                return self.take(kind::DOT, 1);
            }
        }
        let mut open = false;
        if matches!(rest.get(len), Some(b'e' | b'E')) {
            len += 1;
            if matches!(rest.get(len), Some(b'+' | b'-')) {
                len += 1;
            }
            let exponent = digits(len);
            len += exponent;
            open = exponent == 0;
        }
        // Oracle's suffixes, if a word does not go on; `1fUNION` is two.
        if let Some([b'd' | b'D' | b'f' | b'F', next @ ..]) = rest.get(len..)
            && next.first().is_none_or(|b| is_white(*b) || matches!(b, b';' | b'u' | b'U'))
        {
            len += 1;
        }
        // An exponent without digits is none: `1.e`.
        self.take(if open { kind::BAREWORD } else { kind::NUMBER }, len)
    }
}

/// White space after a comment's dashes and a number's suffix.
fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0xa0 | 0)
}

// As with libinjection, whose sets are C strings, NUL is of every set of digits and letters.
fn is_hex(byte: &u8) -> bool {
    byte.is_ascii_hexdigit() || *byte == 0
}

fn is_binary(byte: &u8) -> bool {
    matches!(byte, b'0' | b'1' | 0)
}

fn find(haystack: &[u8], byte: u8) -> Option<usize> {
    haystack.iter().position(|b| *b == byte)
}

/// Where `needle`, short and with a first byte that does not come again but at its end, occurs.
fn find_all(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        let at = from + find(haystack.get(from..)?, first)?;
        if haystack.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// A set of bytes.
struct Set([u64; 4]);

impl Set {
    const fn new(bytes: &[u8]) -> Self {
        let mut set = [0; 4];
        let mut i = 0;
        while i < bytes.len() {
            set[(bytes[i] >> 6) as usize] |= 1 << (bytes[i] & 63);
            i += 1;
        }
        Self(set)
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0
    }
}

/// What ends a word.
static WORD_END: Set = Set::new(b" []{}<>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r\"\xa0\0");

/// What ends the name of a variable.
static VARIABLE_END: Set = Set::new(b" <>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r'`\"\0");
