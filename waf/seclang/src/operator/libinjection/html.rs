//! HTML as browsers read it, as far as it matters where script may hide: the tokenizer of the HTML
//! standard, with what old browsers do differently.

/// Where in a page the value is taken to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// In text.
    Data,
    /// In an element, before an attribute.
    Unquoted,
    /// In an attribute's value, in this kind of quotes.
    Quoted(u8),
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Data,
    /// The name of an element.
    TagName,
    /// The `>` of a start tag.
    TagNameClose,
    /// `/>`.
    TagNameSelfClose,
    /// The name in an end tag.
    TagClose,
    /// The name of an attribute.
    AttributeName,
    /// The value of an attribute.
    AttributeValue,
    /// A comment, or what browsers take for one.
    Comment,
    /// A document type.
    Doctype,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Data,
    TagOpen,
    TagNameClose,
    BeforeAttributeName,
    AfterAttributeName,
    BeforeAttributeValue,
    AttributeValue(u8),
    AfterAttributeValue,
    SelfClosing,
    End,
}

/// Reads tokens.
pub struct Parser<'a> {
    value: &'a [u8],
    at: usize,
    state: State,
    /// In an end tag.
    closing: bool,
}

type Token<'a> = Option<(Kind, &'a [u8])>;

impl<'a> Parser<'a> {
    /// A parser of the value in that context.
    pub fn new(value: &'a [u8], context: Context) -> Self {
        let state = match context {
            Context::Data => State::Data,
            Context::Unquoted => State::BeforeAttributeName,
            Context::Quoted(quote) => State::AttributeValue(quote),
        };
        Self { value, at: 0, state, closing: false }
    }

    /// The next token; none at the end, and where the value breaks off.
    pub fn next_token(&mut self) -> Option<(Kind, &'a [u8])> {
        match self.state {
            State::Data => self.data(),
            State::TagOpen => self.tag_open(),
            State::TagNameClose => self.tag_name_close(),
            State::BeforeAttributeName => self.before_attribute_name(),
            State::AfterAttributeName => self.after_attribute_name(),
            State::BeforeAttributeValue => self.before_attribute_value(),
            State::AttributeValue(quote) => self.quoted_value(quote),
            State::AfterAttributeValue => self.after_attribute_value(),
            State::SelfClosing => self.self_closing(),
            State::End => None,
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.value.get(self.at..).unwrap_or_default()
    }

    fn byte(&self) -> Option<u8> {
        self.value.get(self.at).copied()
    }

    /// Takes `len` bytes as a token, then `skip` more, then goes on in `state`.
    fn take(&mut self, kind: Kind, len: usize, skip: usize, state: State) -> Token<'a> {
        let text = self.rest().get(..len).unwrap_or(self.rest());
        self.at += len + skip;
        self.state = state;
        Some((kind, text))
    }

    /// Takes all that is left.
    fn take_all(&mut self, kind: Kind) -> Token<'a> {
        self.take(kind, self.rest().len(), 0, State::End)
    }

    fn skip_white(&mut self) {
        self.at += self.rest().iter().take_while(|b| is_white(**b)).count();
    }

    fn data(&mut self) -> Token<'a> {
        match find(self.rest(), b'<') {
            None if self.rest().is_empty() => None,
            None => self.take_all(Kind::Data),
            Some(0) => {
                self.at += 1;
                self.tag_open()
            }
            Some(len) => self.take(Kind::Data, len, 1, State::TagOpen),
        }
    }

    fn tag_open(&mut self) -> Token<'a> {
        match self.byte()? {
            b'!' => {
                self.at += 1;
                self.declaration()
            }
            b'/' => {
                self.at += 1;
                self.closing = true;
                match self.byte()? {
                    b'>' => self.data(),
                    b'a'..=b'z' | b'A'..=b'Z' => self.tag_name(),
                    _ => {
                        self.closing = false;
                        self.bogus_comment()
                    }
                }
            }
            b'?' => {
                self.at += 1;
                self.bogus_comment()
            }
            // Another kind of comment to old browsers.
            b'%' => {
                self.at += 1;
                self.comment_until(b"%>")
            }
            // Some ignore NUL.
            b'a'..=b'z' | b'A'..=b'Z' | 0 => self.tag_name(),
            _ => {
                // Not a tag: the `<` is text.
                self.at -= 1;
                self.take(Kind::Data, 1, 0, State::Data)
            }
        }
    }

    fn declaration(&mut self) -> Token<'a> {
        let rest = self.rest();
        if rest.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"doctype")) {
            let len = find(rest, b'>');
            match len {
                Some(len) => self.take(Kind::Doctype, len, 1, State::Data),
                None => self.take_all(Kind::Doctype),
            }
        } else if rest.starts_with(b"[CDATA[") {
            self.at += 7;
            match self.rest().windows(3).position(|end| end == b"]]>") {
                Some(len) => self.take(Kind::Data, len, 3, State::Data),
                None => self.take_all(Kind::Data),
            }
        } else if rest.starts_with(b"--") {
            self.at += 2;
            self.comment()
        } else {
            self.bogus_comment()
        }
    }

    fn bogus_comment(&mut self) -> Token<'a> {
        match find(self.rest(), b'>') {
            Some(len) => self.take(Kind::Comment, len, 1, State::Data),
            None => self.take_all(Kind::Comment),
        }
    }

    fn comment_until(&mut self, end: &[u8; 2]) -> Token<'a> {
        match self.rest().windows(2).position(|w| w == end) {
            Some(len) => self.take(Kind::Comment, len, 2, State::Data),
            None => self.take_all(Kind::Comment),
        }
    }

    /// Up to `-->` or `-!>`, with any number of NUL after the first dash.
    fn comment(&mut self) -> Token<'a> {
        let rest = self.rest();
        let mut from = 0;
        while let Some(dash) = rest.get(from..).and_then(|r| find(r, b'-')).map(|at| from + at) {
            // Too close to the end.
            let Some(after) = rest.get(dash + 1..).filter(|after| after.len() >= 2) else { break };
            let nuls = after.iter().take_while(|b| **b == 0).count();
            match after.get(nuls..) {
                Some([b'-' | b'!', b'>', ..]) => {
                    return self.take(Kind::Comment, dash, nuls + 3, State::Data);
                }
                Some([] | [b'-' | b'!']) | None => break,
                _ => from = dash + 1,
            }
        }
        self.take_all(Kind::Comment)
    }

    fn tag_name(&mut self) -> Token<'a> {
        let rest = self.rest();
        let end = rest.iter().position(|b| *b != 0 && (is_white(*b) || matches!(b, b'/' | b'>')));
        let Some(len) = end else { return self.take_all(Kind::TagName) };
        match rest.get(len) {
            Some(b'/') => self.take(Kind::TagName, len, 1, State::SelfClosing),
            Some(b'>') if self.closing => {
                self.closing = false;
                self.take(Kind::TagClose, len, 1, State::Data)
            }
            Some(b'>') => self.take(Kind::TagName, len, 0, State::TagNameClose),
            _ => self.take(Kind::TagName, len, 1, State::BeforeAttributeName),
        }
    }

    fn tag_name_close(&mut self) -> Token<'a> {
        self.closing = false;
        let state = if self.rest().len() > 1 { State::Data } else { State::End };
        self.take(Kind::TagNameClose, 1, 0, state)
    }

    fn self_closing(&mut self) -> Token<'a> {
        match self.byte()? {
            b'>' => {
                // With the slash before it.
                self.at -= 1;
                self.take(Kind::TagNameSelfClose, 2, 0, State::Data)
            }
            _ => self.before_attribute_name(),
        }
    }

    fn before_attribute_name(&mut self) -> Token<'a> {
        loop {
            self.skip_white();
            match self.byte()? {
                b'/' => {
                    self.at += 1;
                    if self.byte()? == b'>' {
                        return self.self_closing();
                    }
                }
                b'>' => return self.take(Kind::TagNameClose, 1, 0, State::Data),
                _ => return self.attribute_name(),
            }
        }
    }

    fn attribute_name(&mut self) -> Token<'a> {
        let rest = self.rest();
        // The first byte is of the name whatever it is.
        let end = rest.iter().skip(1).position(|b| is_white(*b) || matches!(b, b'/' | b'=' | b'>'));
        let Some(len) = end.map(|end| end + 1) else { return self.take_all(Kind::AttributeName) };
        let (skip, state) = match rest.get(len) {
            Some(b'/') => (1, State::SelfClosing),
            Some(b'=') => (1, State::BeforeAttributeValue),
            Some(b'>') => (0, State::TagNameClose),
            _ => (1, State::AfterAttributeName),
        };
        self.take(Kind::AttributeName, len, skip, state)
    }

    fn after_attribute_name(&mut self) -> Token<'a> {
        self.skip_white();
        match self.byte()? {
            b'/' => {
                self.at += 1;
                self.self_closing()
            }
            b'=' => {
                self.at += 1;
                self.before_attribute_value()
            }
            b'>' => self.tag_name_close(),
            _ => self.attribute_name(),
        }
    }

    fn before_attribute_value(&mut self) -> Token<'a> {
        self.skip_white();
        match self.byte()? {
            // The backquote is old browsers' own.
            quote @ (b'"' | b'\'' | b'`') => self.quoted_value(quote),
            _ => self.unquoted_value(),
        }
    }

    fn quoted_value(&mut self, quote: u8) -> Token<'a> {
        // At the start of the value the quote stands before it.
        if self.at > 0 {
            self.at += 1;
        }
        match find(self.rest(), quote) {
            Some(len) => self.take(Kind::AttributeValue, len, 1, State::AfterAttributeValue),
            None => self.take_all(Kind::AttributeValue),
        }
    }

    fn unquoted_value(&mut self) -> Token<'a> {
        let rest = self.rest();
        match rest.iter().position(|b| is_white(*b) || *b == b'>') {
            Some(len) if rest.get(len) == Some(&b'>') => {
                self.take(Kind::AttributeValue, len, 0, State::TagNameClose)
            }
            Some(len) => self.take(Kind::AttributeValue, len, 1, State::BeforeAttributeName),
            None => self.take_all(Kind::AttributeValue),
        }
    }

    fn after_attribute_value(&mut self) -> Token<'a> {
        match self.byte()? {
            b'/' => {
                self.at += 1;
                self.self_closing()
            }
            b'>' => self.take(Kind::TagNameClose, 1, 0, State::Data),
            _ => self.before_attribute_name(),
        }
    }
}

/// NUL is white space as well, but in the names of elements.
fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0)
}

fn find(haystack: &[u8], byte: u8) -> Option<usize> {
    haystack.iter().position(|b| *b == byte)
}
