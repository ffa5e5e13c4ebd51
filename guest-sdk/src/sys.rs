//! The other side of the host functions: the same raw functions, three times. `wasm` imports them,
//! `mock` plays the host for tests, `absent` stands in where there is neither (the crate still
//! builds for a board, so that an engine which shares code with a guest does).

#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "the boundary itself: imports, exports, allocator")]
mod wasm;
#[cfg(target_arch = "wasm32")]
pub use wasm::*;

#[cfg(not(any(target_arch = "wasm32", target_os = "none")))]
mod mock;
#[cfg(not(any(target_arch = "wasm32", target_os = "none")))]
pub(crate) use mock::*;

#[cfg(all(target_os = "none", not(target_arch = "wasm32")))]
mod absent;
#[cfg(all(target_os = "none", not(target_arch = "wasm32")))]
pub(crate) use absent::*;

/// Off wasm32 nothing is put into a module.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
pub struct DataSlot;

#[cfg(not(target_arch = "wasm32"))]
impl DataSlot {
    /// Nothing has been put in.
    #[expect(clippy::new_without_default, reason = "only the macro makes one, in a static")]
    pub const fn new() -> Self {
        DataSlot
    }

    /// The data: none.
    pub fn get(&'static self) -> &'static [u8] {
        &[]
    }
}
