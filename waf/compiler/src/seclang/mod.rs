//! (being built)
pub mod phrases;
pub mod scan;
pub mod syntax;
