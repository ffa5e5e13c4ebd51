//! What the fuzz targets share.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod bodies;
mod engine;
mod http;
mod naive;

pub use bodies::{Report, Told, limits};
pub use engine::{Memory, RICH, Seen, blob, chosen, drive};
pub use http::{Exchange, Fields, chunks};
pub use naive::{contains, fold};

/// A small generator of numbers, from an input: the same for the same input.
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator for `data`.
    #[must_use]
    pub fn of(data: &[u8]) -> Random {
        let hash = data.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        Random(hash | 1)
    }

    /// A number below `limit`; 0 if there is none.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }
}
