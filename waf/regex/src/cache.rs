//! Memory that searches share.

use alloc::vec::Vec;

use crate::lazy::Lazy;
use crate::nfa::Scratch;
use crate::pike::Threads;

/// Memory for searches, reused between calls and regexes. What it learns of a regex is kept until it
/// is full; then it starts over, so that its size stays bounded.
#[derive(Debug)]
pub struct Cache {
    pub(crate) lazy: Lazy,
    pub(crate) scratch: Scratch,
    pub(crate) current: Vec<u16>,
    pub(crate) threads: Threads,
}

impl Cache {
    /// Bytes that learnt states may take, by default.
    pub const DEFAULT_LIMIT: usize = 256 * 1024;

    /// A cache whose learnt states take at most `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Cache {
            lazy: Lazy::new(limit),
            scratch: Scratch::default(),
            current: Vec::new(),
            threads: Threads::default(),
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::with_limit(Self::DEFAULT_LIMIT)
    }
}
