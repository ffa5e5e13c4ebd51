//! # SecLang syntax
//!
//! ```text
//! files ─ source (includes, limits) ─▶ lines (comments, continuation, quotes) ─▶ directives
//! directives ─ target, operator, action, template ─▶ raw rules
//! raw rules ─ resolve (defaults, chains, removals, updates, markers) ─▶ Configuration
//! ```
//!
//! ModSecurity 3 (libmodsecurity 3.0) is the language's reference; `docs/seclang.md` lists what is
//! there and where this differs. A rule that is not understood is left out whole, with its chain,
//! and a [`Diagnostic`] says so.

mod ast;
mod operator;
mod template;

pub use ast::{
    Action, AllowScope, AuditMode, AuditParts, BodyProcessor, Configuration, Control, DataFile, Diagnostic,
    Directives, Disruption, EngineMode, Item, Level, LimitAction, Link, Marker, Matching, Operator, Phase,
    Place, Rule, Selector, SetOperation, Severity, SourceFile, Target, TargetMode, Variable,
};
pub use operator::OperatorKind;
pub use template::{Piece, Template};
