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
