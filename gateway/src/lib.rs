//! # Picket
//!
//! A reverse proxy that shows every request and response to a chain of WebAssembly filters and
//! does what they say.

#![forbid(unsafe_code)]

pub mod backend;
pub mod embedded;
