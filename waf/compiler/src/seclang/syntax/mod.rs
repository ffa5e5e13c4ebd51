//! # SecLang syntax
//!
//! ```text
//! files ─ loader, parser (includes, limits) ─▶ lex (comments, lines, quotes) ─▶ directives
//! directives ─ target, operator, action, control, settings, template ─▶ raw rules
//! raw rules ─ resolve (chains, updates, removals, inheritance, markers) ─▶ Configuration
//! ```
//!
//! ModSecurity 3 (libmodsecurity 3.0) is the language's reference; `docs/seclang.md` lists what is
//! there and where this differs. A rule that is not understood is left out whole, with its chain,
//! and a [`Diagnostic`] says so.

mod action;
mod ast;
mod control;
mod digest;
mod lex;
mod loader;
mod operator;
mod parser;
mod pattern;
mod resolve;
mod settings;
mod target;
mod template;

#[cfg(test)]
mod tests;

pub use ast::{
    Action, AllowScope, AuditMode, AuditParts, BodyProcessor, Configuration, Control, DataFile, Diagnostic,
    Directives, Disruption, EngineMode, Item, Level, LimitAction, Link, Marker, Matching, Operator, Phase,
    Place, Rule, Selector, SetOperation, Severity, SourceFile, Target, TargetMode, Variable,
};
pub use loader::{FileSystem, Loader, Memory};
pub use operator::OperatorKind;
pub use parser::{
    Error, MAX_DEPTH, MAX_FILE, MAX_FILES, MAX_RULES, MAX_TOTAL, MAX_UPDATES, parse_files, parse_str,
};
pub use pattern::TextMatcher;
pub use template::{Piece, Template};
