//! The one way from a guest's pointer and length to bytes.

use picket_abi::PackedSlice;

/// Bytes that are proved to lie in a guest's memory.
///
/// A guest's pointer and length are an allegation; this type is the proof. It borrows the memory, so
/// that the guest cannot run while it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestSlice<'m> {
    bytes: &'m [u8],
}

/// A guest's pointer and length do not lie in its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBounds {
    /// The pointer and the length.
    pub slice: PackedSlice,
    /// Bytes of memory there are.
    pub memory: usize,
}

impl core::fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let OutOfBounds { slice, memory } = self;
        write!(f, "{} bytes at {:#x} are outside {memory} bytes of memory", slice.len, slice.ptr)
    }
}

impl core::error::Error for OutOfBounds {}

impl<'m> GuestSlice<'m> {
    /// The bytes of `memory` that `slice` names.
    ///
    /// # Errors
    /// [`OutOfBounds`] if a single byte of it lies outside.
    ///
    /// ```
    /// use picket_abi::PackedSlice;
    /// use picket_host::GuestSlice;
    /// let memory = [1, 2, 3, 4];
    /// let slice = GuestSlice::new_checked(&memory, PackedSlice { ptr: 1, len: 2 }).unwrap();
    /// assert_eq!(slice.bytes(), [2, 3]);
    /// assert!(GuestSlice::new_checked(&memory, PackedSlice { ptr: 3, len: 2 }).is_err());
    /// assert!(GuestSlice::new_checked(&memory, PackedSlice { ptr: 1, len: u32::MAX }).is_err());
    /// ```
    #[inline]
    pub fn new_checked(memory: &'m [u8], slice: PackedSlice) -> Result<Self, OutOfBounds> {
        let bytes = range(slice).and_then(|range| memory.get(range));
        bytes.map(|bytes| GuestSlice { bytes }).ok_or(OutOfBounds { slice, memory: memory.len() })
    }

    /// The bytes.
    #[inline]
    pub const fn bytes(self) -> &'m [u8] {
        self.bytes
    }
}

/// The bytes of `memory` that `slice` names, for writing.
///
/// # Errors
/// [`OutOfBounds`] if a single byte of it lies outside.
#[inline]
pub(crate) fn guest_slice_mut(memory: &mut [u8], slice: PackedSlice) -> Result<&mut [u8], OutOfBounds> {
    let len = memory.len();
    range(slice).and_then(|range| memory.get_mut(range)).ok_or(OutOfBounds { slice, memory: len })
}

/// `None` where an address does not fit the host's own.
#[inline]
fn range(slice: PackedSlice) -> Option<core::ops::Range<usize>> {
    let start = slice.ptr as usize;
    Some(start..start.checked_add(slice.len as usize)?)
}
