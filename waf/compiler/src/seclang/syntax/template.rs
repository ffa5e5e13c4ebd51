//! Text with macros: `%{tx.score} of %{TX.limit}`.

use picket_seclang::Variable;

/// Text that is put together when a rule runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Template {
    /// The parts in order; no two literals follow each other and none is empty.
    pub pieces: Vec<Piece>,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Piece {
    /// These bytes.
    Literal(Vec<u8>),
    /// The value of a variable, or nothing if it is not there.
    Macro {
        /// The variable.
        variable: Variable,
        /// The key, as written; compared without regard to ASCII case.
        key: Option<Vec<u8>>,
    },
}

impl Template {
    /// A template without macros.
    pub fn literal(text: &[u8]) -> Template {
        let pieces = if text.is_empty() { Vec::new() } else { vec![Piece::Literal(text.to_vec())] };
        Template { pieces }
    }

    /// The text, if no macro is in it.
    pub fn as_literal(&self) -> Option<&[u8]> {
        match self.pieces.as_slice() {
            [] => Some(b""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Reads a text. Macros of unknown names stay text and are returned.
    pub(super) fn parse(text: &[u8]) -> (Template, Vec<String>) {
        let mut pieces = Vec::new();
        let mut unknown = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some((&first, behind)) = rest.split_first() {
            let inside = rest.strip_prefix(b"%{");
            let length =
                inside.and_then(|inside| inside.iter().take(MAX_MACRO).position(|byte| *byte == b'}'));
            if let (Some(inside), Some(length)) = (inside, length) {
                let (body, behind) = inside.split_at(length);
                match parse_macro(body) {
                    MacroName::Known(piece) => {
                        if !literal.is_empty() {
                            pieces.push(Piece::Literal(core::mem::take(&mut literal)));
                        }
                        pieces.push(piece);
                        rest = behind.get(1..).unwrap_or_default();
                        continue;
                    }
                    MacroName::Unknown => unknown.push(String::from_utf8_lossy(body).into_owned()),
                    MacroName::Text => {}
                }
            }
            literal.push(first);
            rest = behind;
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        (Template { pieces }, unknown)
    }
}

/// Longest text between the brackets of a macro, in bytes; bounds the search for the closing one.
const MAX_MACRO: usize = 256;

enum MacroName {
    Known(Piece),
    Unknown,
    /// Not the shape of a macro: `%{2}` in a regex.
    Text,
}

fn parse_macro(body: &[u8]) -> MacroName {
    let split = body.iter().position(|byte| matches!(byte, b'.' | b':'));
    let (name, key) = match split {
        Some(at) => (body.get(..at).unwrap_or_default(), body.get(at + 1..)),
        None => (body, None),
    };
    let shaped = name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if !shaped {
        return MacroName::Text;
    }
    match (Variable::from_name(name), key) {
        (Some(variable), None) => MacroName::Known(Piece::Macro { variable, key: None }),
        (Some(variable), Some(key)) if variable.is_collection() && !key.is_empty() => {
            MacroName::Known(Piece::Macro { variable, key: Some(key.to_vec()) })
        }
        _ => MacroName::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variable: Variable, key: &str) -> Piece {
        let key = (!key.is_empty()).then(|| key.as_bytes().to_vec());
        Piece::Macro { variable, key }
    }

    fn text(text: &str) -> Piece {
        Piece::Literal(text.as_bytes().to_vec())
    }

    #[test]
    fn macros_and_text_take_turns() {
        let (template, unknown) = Template::parse(b"a%{tx.N_1}b%{MATCHED_VAR}%{request_headers.User-Agent}");
        let expected = [
            text("a"),
            of(Variable::Tx, "N_1"),
            text("b"),
            of(Variable::MatchedVar, ""),
            of(Variable::RequestHeaders, "User-Agent"),
        ];
        assert_eq!(template.pieces, expected);
        assert!(unknown.is_empty());
        assert_eq!(Template::parse(b"%{ARGS:a.b}").0.pieces, [of(Variable::Args, "a.b")]);
    }

    #[test]
    fn what_is_no_macro_stays_text() {
        for literal in ["%{2}", "%{", "100%", "%{tx.a", "%%{}", "%{ a}"] {
            let (template, unknown) = Template::parse(literal.as_bytes());
            assert_eq!(template.as_literal(), Some(literal.as_bytes()));
            assert!(unknown.is_empty(), "{literal}");
        }
        let (template, unknown) = Template::parse(b"a %{nothing.x} %{REMOTE_ADDR.x} b%{TX.1}");
        assert_eq!(template.pieces, [text("a %{nothing.x} %{REMOTE_ADDR.x} b"), of(Variable::Tx, "1")]);
        assert_eq!(unknown, ["nothing.x", "REMOTE_ADDR.x"]);
    }
}
