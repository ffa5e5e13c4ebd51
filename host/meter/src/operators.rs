//! What operators cost, and what they do to the operand stack.

use wasmparser::{Operator, for_each_operator};

/// Fuel for an operator, apart from what it charges by length: the default of wasmtime's
/// `OperatorCost` (`wasmtime-environ`, `tunables.rs`).
pub(crate) fn cost(operator: &Operator<'_>) -> i64 {
    match operator {
        Operator::Nop
        | Operator::Drop
        | Operator::Block { .. }
        | Operator::Loop { .. }
        | Operator::Unreachable
        | Operator::Return
        | Operator::Else
        | Operator::End => 0,
        _ => 1,
    }
}

/// Operators that charge by the length on top of the operand stack.
pub(crate) fn bulk(operator: &Operator<'_>) -> Option<Bulk> {
    match operator {
        Operator::MemoryCopy { .. }
        | Operator::MemoryFill { .. }
        | Operator::MemoryInit { .. }
        | Operator::TableCopy { .. }
        | Operator::TableFill { .. }
        | Operator::TableInit { .. }
        | Operator::TableGrow { .. } => Some(Bulk::ByLength),
        // A page costs nothing: how far memory grows is a limit of its own.
        Operator::MemoryGrow { .. } => Some(Bulk::Free),
        _ => None,
    }
}

/// How a bulk operation is charged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bulk {
    /// One a byte or element.
    ByLength,
    /// Nothing, but the counter is looked at.
    Free,
}

/// Values an operator takes from the operand stack and puts there; `None` for one that has no price
/// here. Control flow and calls are the caller's business: they depend on types.
pub(crate) fn effect(operator: &Operator<'_>) -> Option<(u32, u32)> {
    macro_rules! arity {
        (load $($rest:tt)*) => {
            Some((1, 1))
        };
        (store $($rest:tt)*) => {
            Some((2, 0))
        };
        (test $($rest:tt)*) => {
            Some((1, 1))
        };
        (unary $($rest:tt)*) => {
            Some((1, 1))
        };
        (binary $($rest:tt)*) => {
            Some((2, 1))
        };
        (cmp $($rest:tt)*) => {
            Some((2, 1))
        };
        (conversion $($rest:tt)*) => {
            Some((1, 1))
        };
        (push $($rest:tt)*) => {
            Some((0, 1))
        };
        (arity $pop:literal -> $push:literal) => {
            Some(($pop, $push))
        };
        ($($control:tt)*) => {
            Some((0, 0))
        };
    }
    macro_rules! priced {
        (@mvp $($ann:tt)*) => { arity!($($ann)*) };
        (@sign_extension $($ann:tt)*) => { arity!($($ann)*) };
        (@saturating_float_to_int $($ann:tt)*) => { arity!($($ann)*) };
        (@bulk_memory $($ann:tt)*) => { arity!($($ann)*) };
        (@reference_types $($ann:tt)*) => { arity!($($ann)*) };
        (@$other:ident $($ann:tt)*) => { None };
    }
    macro_rules! table {
        ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
            match operator {
                $( Operator::$op { .. } => priced!(@$proposal $($ann)*), )*
                _ => None,
            }
        };
    }
    for_each_operator!(table)
}
