//! Folding: from all tokens of a value to the five that tell its shape.

use super::{
    kind::{
        BACKSLASH, BAREWORD, COLLATE, COMMA, COMMENT, DOT, EVIL, EXPRESSION, FUNCTION, GROUP, KEYWORD,
        LEFT_BRACE, LEFT_PARENTHESIS, LOGIC, NUMBER, OPERATOR, RIGHT_BRACE, RIGHT_PARENTHESIS, SEMICOLON,
        SQL_TYPE, STRING, TSQL, UNION, VARIABLE,
    },
    token::{Token, Tokens},
    words,
};

/// How many tokens a fingerprint has at most.
pub(super) const MOST: usize = 5;

/// Bareword-like names that are functions before a parenthesis.
const FUNCTIONS: &[&[u8]] = &[
    b"user_id",
    b"user_name",
    b"database",
    b"password",
    b"user",
    b"current_user",
    b"current_date",
    b"current_time",
    b"current_timestamp",
    b"localtime",
    b"localtimestamp",
];

/// What a pair or a triple of tokens came to.
enum Step {
    /// Something was folded: look again.
    Again,
    /// Nothing: look at one token more.
    Further,
    /// What cannot be told further: the first so many tokens are the answer.
    Stop(usize),
}

/// The tokens that are left.
pub(super) struct Folder<'a> {
    /// Room for the token after the fifth, which helps to judge the fifth; a power of two.
    slots: [Token<'a>; 8],
    /// How many slots are filled.
    filled: usize,
    /// How many of them are settled.
    left: usize,
    more: bool,
    /// The comment since the last other token.
    comment: Token<'a>,
}

impl<'a> Folder<'a> {
    /// Folds all tokens; the result has at most [`MOST`], or one more if that is evil. With `hasty`,
    /// for values without a start of [`EVIL`], ends where no fingerprint of an attack can come out.
    #[inline(never)]
    pub fn fold(tokens: &mut Tokens<'a>, hasty: bool) -> ([Token<'a>; 8], usize) {
        let mut this = Self { slots: [Token::NONE; 8], filled: 0, left: 0, more: true, comment: Token::NONE };
        // Comments, opening parentheses, types and signs at the start say nothing.
        loop {
            match tokens.next() {
                None => return (this.slots, 0),
                Some(token) => {
                    if !token.is(&[COMMENT, LEFT_PARENTHESIS, SQL_TYPE]) && !token.is_unary() {
                        this.slots[0] = token;
                        this.filled = 1;
                        break;
                    }
                }
            }
        }
        let mut count = loop {
            if this.filled >= MOST {
                this.shorten();
            }
            if !this.more || this.left >= MOST {
                break this.filled;
            }
            if !this.fill(tokens, 2) {
                continue;
            }
            // A name after a name or after a string is never folded away, and no fingerprint starts
            // so. This is where prose ends.
            if hasty
                && this.left == 0
                && this.slots[1].plain
                && (this.slots[0].plain || this.slots[0].kind == STRING)
            {
                return (this.slots, 2);
            }
            match this.pair() {
                Step::Again => continue,
                Step::Stop(count) => return (this.slots, count),
                Step::Further => {}
            }
            if !this.fill(tokens, 3) {
                continue;
            }
            if !this.triple() {
                this.left += 1;
            }
        };
        if count < MOST && this.comment.kind == COMMENT {
            this.slots[count & 7] = this.comment;
            count += 1;
        }
        (this.slots, count.min(MOST))
    }

    fn at(&self, offset: usize) -> &Token<'a> {
        &self.slots[(self.left + offset) & 7]
    }

    fn set(&mut self, offset: usize, token: Token<'a>) {
        self.slots[(self.left + offset) & 7] = token;
    }

    fn set_kind(&mut self, offset: usize, kind: u8) {
        self.slots[(self.left + offset) & 7].kind = kind;
    }

    /// Drops the last `count` tokens and starts over.
    fn drop(&mut self, count: usize) {
        self.filled = self.filled.saturating_sub(count);
        self.left = 0;
    }

    /// Reads until `wanted` tokens are unsettled; false (all are settled then) if there are no more.
    fn fill(&mut self, tokens: &mut Tokens<'a>, wanted: usize) -> bool {
        while self.more && self.filled <= MOST && self.filled - self.left < wanted {
            match tokens.next() {
                None => self.more = false,
                Some(token) if token.kind == COMMENT => self.comment = token,
                Some(token) => {
                    self.comment.kind = 0;
                    self.slots[self.filled & 7] = token;
                    self.filled += 1;
                }
            }
        }
        let enough = self.filled - self.left >= wanted;
        if !enough {
            self.left = self.filled;
        }
        enough
    }

    /// Some expressions of five tokens are no more than a value: `1,(1)`, `a=(b)`.
    fn shorten(&mut self) {
        let [a, b, c, d, e, next, ..] = &self.slots;
        let harmless = matches!(
            [a.kind, b.kind, c.kind, d.kind, e.kind],
            [NUMBER, OPERATOR | COMMA, LEFT_PARENTHESIS, NUMBER, RIGHT_PARENTHESIS]
                | [BAREWORD, OPERATOR, LEFT_PARENTHESIS, BAREWORD | NUMBER, RIGHT_PARENTHESIS]
                | [NUMBER, RIGHT_PARENTHESIS, COMMA, LEFT_PARENTHESIS, NUMBER]
                | [BAREWORD, RIGHT_PARENTHESIS, OPERATOR, LEFT_PARENTHESIS, BAREWORD]
        );
        if harmless {
            if self.filled > MOST {
                self.slots[1] = *next;
                self.filled = 2;
            } else {
                self.filled = 1;
            }
            self.left = 0;
        }
    }

    /// Rules for two tokens, the first that applies.
    fn pair(&mut self) -> Step {
        let (a, b) = (*self.at(0), *self.at(1));
        let back = self.left.saturating_sub(1);
        match (a.kind, b.kind) {
            // Adjacent strings are one, as are semicolons.
            (STRING, STRING) | (SEMICOLON, SEMICOLON) => {
                self.filled -= 1;
                return Step::Again;
            }
            (OPERATOR | LOGIC, _) if b.is_unary() || b.kind == SQL_TYPE => {
                self.drop(1);
                return Step::Again;
            }
            (LEFT_PARENTHESIS, _) if b.is_unary() => {
                self.filled -= 1;
                self.left = back;
                return Step::Again;
            }
            _ => {}
        }
        if let Some(joined) = join(&a, &b) {
            self.set(0, joined);
            self.filled -= 1;
            self.left = back;
            return Step::Again;
        }
        match (a.kind, b.kind) {
            (SEMICOLON, FUNCTION) if matches!(b.text, [b'i' | b'I', b'f' | b'F', ..]) => {
                self.set_kind(1, TSQL);
            }
            (BAREWORD | VARIABLE, LEFT_PARENTHESIS) if FUNCTIONS.iter().any(|name| a.is_word(name)) => {
                self.set_kind(0, FUNCTION);
            }
            (KEYWORD, _) if a.is_word(b"in") || a.is_word(b"not in") => {
                self.set_kind(0, if b.kind == LEFT_PARENTHESIS { OPERATOR } else { BAREWORD });
            }
            (OPERATOR, _) if a.is_word(b"like") || a.is_word(b"not like") => {
                if b.kind == LEFT_PARENTHESIS {
                    self.set_kind(0, FUNCTION);
                }
                return Step::Further;
            }
            (SQL_TYPE, BAREWORD | NUMBER | SQL_TYPE | LEFT_PARENTHESIS | FUNCTION | VARIABLE | STRING) => {
                self.set(0, b);
                self.drop(1);
            }
            (COLLATE, BAREWORD) => {
                if b.text.iter().take_while(|c| **c != 0).any(|c| *c == b'_') {
                    self.set_kind(1, SQL_TYPE);
                    self.left = 0;
                }
                return Step::Further;
            }
            // `\%1` is `0 % 1` to Transact-SQL, and `\1` is `1`.
            (BACKSLASH, _) if b.is_arithmetic() => {
                self.set_kind(0, NUMBER);
                self.left = 0;
            }
            (BACKSLASH, _) => {
                self.set(0, b);
                self.drop(1);
            }
            (LEFT_PARENTHESIS, LEFT_PARENTHESIS) | (RIGHT_PARENTHESIS, RIGHT_PARENTHESIS) => self.drop(1),
            // MySQL takes names without letters here, and only here.
            (LEFT_BRACE, BAREWORD) if b.text.is_empty() => {
                self.set_kind(1, EVIL);
                return Step::Stop(self.left + 2);
            }
            (LEFT_BRACE, BAREWORD) => self.drop(2),
            (_, RIGHT_BRACE) => self.drop(1),
            _ => return Step::Further,
        }
        Step::Again
    }

    /// Rules for three tokens, the first that applies; false if none does.
    fn triple(&mut self) -> bool {
        let (a, b, c) = (*self.at(0), *self.at(1), *self.at(2));
        match (a.kind, b.kind, c.kind) {
            (NUMBER, OPERATOR, NUMBER)
            | (LOGIC, _, LOGIC)
            | (VARIABLE, OPERATOR, VARIABLE | NUMBER | BAREWORD)
            | (BAREWORD | NUMBER, OPERATOR, NUMBER | BAREWORD)
            | (BAREWORD | NUMBER | STRING | VARIABLE, COMMA, NUMBER | BAREWORD | STRING | VARIABLE)
            | (BAREWORD, DOT, BAREWORD) => self.drop(2),
            (OPERATOR, _, OPERATOR) if b.kind != LEFT_PARENTHESIS => self.drop(2),
            (BAREWORD | NUMBER | VARIABLE | STRING, OPERATOR, SQL_TYPE) if b.text == b"::" => self.drop(2),
            (EXPRESSION | GROUP | COMMA, _, LEFT_PARENTHESIS) if b.is_unary() => {
                self.set(1, c);
                self.drop(1);
            }
            (KEYWORD | EXPRESSION | GROUP, _, NUMBER | BAREWORD | VARIABLE | STRING | FUNCTION)
                if b.is_unary() =>
            {
                self.set(1, c);
                self.drop(1);
            }
            // `1,-1` is `1`: the token before the comma goes back to be folded.
            (COMMA, _, NUMBER | BAREWORD | VARIABLE | STRING) if b.is_unary() => {
                self.set(1, c);
                self.drop(3);
            }
            (COMMA, _, FUNCTION) if b.is_unary() => {
                self.set(1, c);
                self.drop(1);
            }
            (EXPRESSION, DOT, BAREWORD) => {
                self.set(1, c);
                self.drop(1);
            }
            (FUNCTION, LEFT_PARENTHESIS, _) if c.kind != RIGHT_PARENTHESIS => {
                // The function has no arguments, so this is none.
                if a.is_word(b"user") {
                    self.set_kind(0, BAREWORD);
                }
                return false;
            }
            _ => return false,
        }
        true
    }
}

/// Two words that mean something together: `UNION ALL`.
fn join(a: &Token<'_>, b: &Token<'_>) -> Option<Token<'static>> {
    const WORDS: &[u8] = &[KEYWORD, BAREWORD, OPERATOR, UNION, FUNCTION, EXPRESSION, TSQL, SQL_TYPE];
    if !a.is(WORDS) || !(b.is(WORDS) || b.kind == LOGIC) {
        return None;
    }
    let mut both = [b' '; 31];
    let len = a.text.len() + 1 + b.text.len();
    both.get_mut(..a.text.len())?.copy_from_slice(a.text);
    both.get_mut(a.text.len() + 1..len)?.copy_from_slice(b.text);
    let (kind, text) = words::lookup(both.get(..len)?)?;
    Some(Token::new(kind, text))
}
