//! The boundary of a module: imports, the two buffers, the allocator, the panic report. All unsafe
//! code of the crate is here.
//!
//! Everything rests on two facts. A module of this target has one thread. And the host enters it
//! only from outside: while a phase runs, no other export is called.

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, RefCell, UnsafeCell};
use core::fmt::Write;
use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::ptr::{NonNull, slice_from_raw_parts};

use picket_abi::{
    AbiVersion, ActionBuf, BodyChunk, Configure, DecodeError, FailureReport, LogLevel, OutcomeBuf,
    PackedSlice, Phase, PhaseSet, RequestHead, ResponseHead, SeqBuf, TransactionLog,
};
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

use crate::filter::Filter;

#[cfg(target_feature = "atomics")]
compile_error!("a Picket guest has one thread: build it without the target feature `atomics`");

// ---------------------------------------------------------------------------------------- imports

mod import {
    #[link(wasm_import_module = "picket")]
    unsafe extern "C" {
        pub fn panic(ptr: *const u8, len: usize);
        pub fn log(level: u32, ptr: *const u8, len: usize);
        pub fn emit(name_ptr: *const u8, name_len: usize, value: i64);
        pub fn kv_get(key_ptr: *const u8, key_len: usize, out_ptr: *mut u8, out_len: usize) -> i64;
        pub fn kv_set(
            key_ptr: *const u8,
            key_len: usize,
            value_ptr: *const u8,
            value_len: usize,
            ttl_ms: i64,
        ) -> i64;
        pub fn http_fetch(
            request_ptr: *const u8,
            request_len: usize,
            out_ptr: *mut u8,
            out_len: usize,
        ) -> i64;
        pub fn now() -> i64;
        pub fn random(out_ptr: *mut u8, out_len: usize);
    }
}

pub(crate) fn log(level: LogLevel, text: &[u8]) {
    // SAFETY: the host reads `len` bytes at `ptr`; both are those of a live slice.
    unsafe { import::log(level as u32, text.as_ptr(), text.len()) }
}

pub(crate) fn emit(name: &[u8], value: i64) {
    // SAFETY: as in `log`.
    unsafe { import::emit(name.as_ptr(), name.len(), value) }
}

pub(crate) fn kv_get(key: &[u8], out: &mut [u8]) -> i64 {
    // SAFETY: as in `log`; the host writes at most `out_len` bytes at `out_ptr`, which is a slice
    // that nobody else looks at.
    unsafe { import::kv_get(key.as_ptr(), key.len(), out.as_mut_ptr(), out.len()) }
}

pub(crate) fn kv_set(key: &[u8], value: &[u8], ttl_ms: i64) -> i64 {
    // SAFETY: as in `log`.
    unsafe { import::kv_set(key.as_ptr(), key.len(), value.as_ptr(), value.len(), ttl_ms) }
}

pub(crate) fn http_fetch(request: &[u8], out: &mut [u8]) -> i64 {
    // SAFETY: as in `kv_get`.
    unsafe { import::http_fetch(request.as_ptr(), request.len(), out.as_mut_ptr(), out.len()) }
}

pub(crate) fn now() -> i64 {
    // SAFETY: takes and touches nothing.
    unsafe { import::now() }
}

pub(crate) fn random(out: &mut [u8]) {
    // SAFETY: as in `kv_get`.
    unsafe { import::random(out.as_mut_ptr(), out.len()) }
}

// ------------------------------------------------------------------------------------------ panic

/// Reports the panic to the host, if `REPORT`, and traps.
pub fn panic<const REPORT: bool>(info: &PanicInfo<'_>) -> ! {
    /// On the stack: the heap may be what failed. What does not fit is cut off.
    struct Text {
        bytes: [u8; 512],
        len: usize,
    }

    impl Write for Text {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            let room = &mut self.bytes[self.len..];
            let fits = text.floor_char_boundary(room.len());
            room[..fits].copy_from_slice(&text.as_bytes()[..fits]);
            self.len += fits;
            if fits == text.len() { Ok(()) } else { Err(core::fmt::Error) }
        }
    }

    if REPORT {
        let mut text = Text { bytes: [0; 512], len: 0 };
        // The place first: it must not be what is cut off.
        if let Some(place) = info.location() {
            let _ = write!(text, "{}:{}:{}: ", place.file(), place.line(), place.column());
        }
        let _ = write!(text, "{}", info.message());
        // SAFETY: as in `log`; `len` is at most the array's length.
        unsafe { import::panic(text.bytes.as_ptr(), text.len) }
    }
    core::arch::wasm32::unreachable()
}

// ---------------------------------------------------------------------------------------- buffers

/// Beyond this the guest refuses: the host's own limit is below it.
const MAX_INPUT: u32 = 16 * 1024 * 1024;

/// Length of the buffer that a module of these phases begins with. It is part of the module's zeroed
/// memory, so the usual transaction needs no allocation for its input: nearly every head fits, and
/// where there are body phases, a chunk of 16 KiB with room to spare.
pub const fn first_input_len(phases: PhaseSet) -> usize {
    if phases.contains(Phase::RequestBody) || phases.contains(Phase::ResponseBody) {
        32 * 1024
    } else {
        8 * 1024
    }
}

/// The first input buffer. A static of its own, all zeroes: beside a value that is not zero it would
/// be written out in the module.
pub struct FirstInput<const N: usize>(UnsafeCell<[u8; N]>);

// SAFETY: a module of this target has one thread.
unsafe impl<const N: usize> Sync for FirstInput<N> {}

impl<const N: usize> FirstInput<N> {
    /// `N` zeroes.
    #[expect(clippy::new_without_default, reason = "only the macro makes one, in a static")]
    pub const fn new() -> Self {
        FirstInput(UnsafeCell::new([0; N]))
    }
}

/// Where the host writes.
struct Input {
    /// In place of the first one, if the host wanted more.
    grown: RefCell<Vec<u8>>,
    ptr: Cell<*mut u8>,
    capacity: Cell<usize>,
}

impl Input {
    #[cold]
    fn grow(&self, len: u32) -> u32 {
        let mut more = Vec::new();
        // A refusal changes nothing: the host may go on with the buffer it has, so that one stays
        // until there is a new one.
        if len > MAX_INPUT || more.try_reserve_exact(len as usize).is_err() {
            return 0;
        }
        self.ptr.set(more.as_mut_ptr());
        self.capacity.set(more.capacity());
        *self.grown.borrow_mut() = more;
        self.ptr.get() as u32
    }

    /// The message that the host has written.
    #[inline]
    fn message(&self, len: u32) -> &[u8] {
        let len = len as usize;
        assert!(len <= self.capacity.get(), "the host sent more than it had asked room for");
        // SAFETY: `ptr` has `capacity` bytes: those of a static or of `grown`. The host has written
        // the first `len` of them. It writes again, and lets `grow` free them, only after the phase
        // has returned; no caller in this module lets the slice outlive the phase. It is never
        // written to from inside the module.
        unsafe { &*slice_from_raw_parts(self.ptr.get(), len) }
    }
}

// ------------------------------------------------------------------------------------------- data

/// Where a host says what it has put into the module's initial memory: an address and a length.
#[repr(C)]
pub struct DataSlot([Cell<u32>; 2]);

// SAFETY: a module of this target has one thread.
unsafe impl Sync for DataSlot {}

impl DataSlot {
    /// Nothing has been put in.
    #[expect(clippy::new_without_default, reason = "only the macro makes one, in a static")]
    pub const fn new() -> Self {
        DataSlot([const { Cell::new(0) }; 2])
    }

    /// The data; empty where there are none.
    pub fn get(&'static self) -> &'static [u8] {
        // SAFETY: reads a live static. Volatile, because it is the host that writes it, before the
        // module runs.
        let [ptr, len] = [0, 1].map(|word| unsafe { self.0[word].as_ptr().read_volatile() });
        if len == 0 {
            return &[];
        }
        // SAFETY: the host put `len` bytes there, behind everything that the linker laid out, before
        // the module ran; the allocator starts below and grows above them, so nobody writes to them.
        unsafe { &*slice_from_raw_parts(ptr as *const u8, len as usize) }
    }
}

// ----------------------------------------------------------------------------------------- phases

/// `picket_abi`
pub fn abi_version() -> u32 {
    AbiVersion::CURRENT.pack()
}

/// The filter of this module, and its two buffers.
pub struct Runtime<F> {
    input: Input,
    state: RefCell<State<F>>,
}

struct State<F> {
    filter: Option<F>,
    output: Vec<u8>,
}

// SAFETY: a module of this target has one thread.
unsafe impl<F> Sync for Runtime<F> {}

impl<F: Filter> Runtime<F> {
    /// Not configured yet.
    pub const fn new<const N: usize>(first: &'static FirstInput<N>) -> Self {
        Runtime {
            input: Input {
                grown: RefCell::new(Vec::new()),
                ptr: Cell::new(first.0.get().cast()),
                capacity: Cell::new(N),
            },
            state: RefCell::new(State { filter: None, output: Vec::new() }),
        }
    }

    /// `picket_input`: the address of at least `len` bytes, 0 if there cannot be that many.
    #[inline]
    pub fn input(&self, len: u32) -> u32 {
        if len as usize <= self.input.capacity.get() {
            self.input.ptr.get() as u32
        } else {
            self.input.grow(len)
        }
    }

    /// `picket_configure`
    pub fn configure(&self, len: u32) -> u64 {
        let config = expect(Configure::decode(self.input.message(len)));
        let state = &mut *self.state.borrow_mut();
        // The old filter goes first: two of them may not fit.
        state.filter = None;
        match F::configure(&config) {
            Ok(filter) => {
                state.filter = Some(filter);
                PackedSlice::NOTHING.pack()
            }
            Err(error) => {
                let refusal = ActionBuf::Respond {
                    status: 500,
                    headers: SeqBuf::new(),
                    body: error.message().as_bytes().to_vec(),
                };
                answer(&OutcomeBuf { action: refusal, ..OutcomeBuf::default() }, &mut state.output)
            }
        }
    }

    /// `picket_request_head`
    #[inline]
    pub fn request_head(&self, len: u32) -> u64 {
        self.run(|filter| filter.request_head(&expect(RequestHead::decode(self.input.message(len)))))
    }

    /// `picket_request_body`
    #[inline]
    pub fn request_body(&self, len: u32) -> u64 {
        self.run(|filter| filter.request_body(&expect(BodyChunk::decode(self.input.message(len)))))
    }

    /// `picket_response_head`
    #[inline]
    pub fn response_head(&self, len: u32) -> u64 {
        self.run(|filter| filter.response_head(&expect(ResponseHead::decode(self.input.message(len)))))
    }

    /// `picket_response_body`
    #[inline]
    pub fn response_body(&self, len: u32) -> u64 {
        self.run(|filter| filter.response_body(&expect(BodyChunk::decode(self.input.message(len)))))
    }

    /// `picket_error`
    pub fn error(&self, len: u32) -> u64 {
        self.run(|filter| {
            filter.error(&expect(FailureReport::decode(self.input.message(len))));
            OutcomeBuf::default()
        })
    }

    /// `picket_log`
    pub fn log(&self, len: u32) -> u64 {
        self.run(|filter| {
            let log = expect(TransactionLog::decode(self.input.message(len)));
            OutcomeBuf { verdict: filter.close(&log), ..OutcomeBuf::default() }
        })
    }

    #[inline]
    fn run(&self, phase: impl FnOnce(&mut F) -> OutcomeBuf) -> u64 {
        let state = &mut *self.state.borrow_mut();
        let filter = match &mut state.filter {
            Some(filter) => filter,
            empty => empty.insert(unconfigured()),
        };
        answer(&phase(filter), &mut state.output)
    }
}

/// A host without a configuration for this filter calls no `picket_configure`.
#[cold]
fn unconfigured<F: Filter>() -> F {
    match F::configure(&Configure::default()) {
        Ok(filter) => filter,
        Err(error) => panic!("the filter needs a configuration: {error}"),
    }
}

#[inline]
fn answer(outcome: &OutcomeBuf, output: &mut Vec<u8>) -> u64 {
    if outcome.is_silent() {
        return PackedSlice::NOTHING.pack();
    }
    outcome.encode_into(output);
    PackedSlice { ptr: output.as_ptr() as u32, len: output.len() as u32 }.pack()
}

/// The host is trusted, so this is a fault of the host and not for the filter to handle.
#[inline]
fn expect<T>(decoded: Result<T, DecodeError>) -> T {
    match decoded {
        Ok(message) => message,
        Err(error) => malformed(error),
    }
}

#[cold]
fn malformed(error: DecodeError) -> ! {
    panic!("the host sent a message that is none: {error}")
}

// ------------------------------------------------------------------------------------------- heap

/// The module's allocator: first `N` bytes of its own zeroed memory, then the unused end of the
/// memory it starts with, then pages by `memory.grow`. Nothing happens before the first allocation.
pub struct Heap<const N: usize> {
    first: UnsafeCell<[MaybeUninit<u8>; N]>,
    first_claimed: Cell<bool>,
    talc: TalcCell<Memory, WasmBinning>,
}

// SAFETY: a module of this target has one thread.
unsafe impl<const N: usize> Sync for Heap<N> {}

impl<const N: usize> Heap<N> {
    /// An allocator that has not claimed any memory yet.
    #[expect(clippy::new_without_default, reason = "only the macro makes one, in a static")]
    pub const fn new() -> Self {
        Heap {
            first: UnsafeCell::new([MaybeUninit::uninit(); N]),
            first_claimed: Cell::new(false),
            talc: TalcCell::new(Memory::None),
        }
    }

    #[cold]
    unsafe fn begin(&self, layout: Layout) -> *mut u8 {
        if self.first_claimed.replace(true) {
            return core::ptr::null_mut();
        }
        // SAFETY: a static of the module, reached through this type only, and claimed once. It is
        // no part of the cell that lends the allocator out, so nothing aliases.
        unsafe { self.talc.claim(self.first.get().cast(), N) };
        self.talc.replace_source(Memory::Rest);
        // SAFETY: the caller's.
        unsafe { self.talc.alloc(layout) }
    }
}

// SAFETY: `TalcCell` keeps the contract of `GlobalAlloc`; everything is passed on as it comes.
unsafe impl<const N: usize> GlobalAlloc for Heap<N> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        let ptr = unsafe { self.talc.alloc(layout) };
        // SAFETY: the caller's.
        if ptr.is_null() { unsafe { self.begin(layout) } } else { ptr }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { self.talc.dealloc(ptr, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // There is something to reallocate, so the first memory has been claimed.
        // SAFETY: the caller's.
        unsafe { self.talc.realloc(ptr, layout, new_size) }
    }
}

unsafe extern "C" {
    // The linker's: where a module's own data ends, and where the memory it starts with does.
    static __heap_base: u8;
    static __heap_end: u8;
    // Where the first page of memory ends: 64 KiB, or 1 with `--page-size=1`.
    static __wasm_first_page_end: u8;
}

/// Bytes of a page of memory, as the module was linked.
#[inline]
fn page() -> usize {
    (&raw const __wasm_first_page_end) as usize
}

/// Where the allocator finds memory next.
#[derive(Debug)]
enum Memory {
    /// Before [`Heap::begin`].
    None,
    Rest,
    Pages {
        end: Option<NonNull<u8>>,
    },
}

// SAFETY: allocates nothing itself. Each piece of memory is claimed once, and nobody else uses it:
// nothing of the module lies behind `__heap_base`, and grown pages are new.
unsafe impl Source for Memory {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        if let Memory::Rest = talc.source {
            let (base, end) = ((&raw const __heap_base).cast_mut(), (&raw const __heap_end).cast_mut());
            // SAFETY: see above.
            let claimed = unsafe { talc.claim(base, end as usize - base as usize) };
            talc.source = Memory::Pages { end: claimed };
            if claimed.is_some() {
                return Ok(());
            }
        }
        let Memory::Pages { end } = talc.source else { return Err(()) };

        // What the allocator needs on top of the layout: a tag, alignment at both ends, its lists
        // if this is the first memory it gets. One KiB is more than all of that.
        let page = page();
        let pages = (layout.size().checked_add(layout.align() + 1024).ok_or(())?).div_ceil(page);
        let grown = match core::arch::wasm32::memory_grow::<0>(pages) {
            usize::MAX => return Err(()),
            old => old * page,
        };
        let (base, len) = (grown as *mut u8, pages * page);
        let end = match end {
            // SAFETY: see above; the old end is one that `claim` or `extend` returned.
            Some(end) if end.as_ptr() == base => Some(unsafe { talc.extend(end, base.wrapping_add(len)) }),
            // SAFETY: see above.
            _ => unsafe { talc.claim(base, len) },
        };
        talc.source = Memory::Pages { end };
        if end.is_some() { Ok(()) } else { Err(()) }
    }
}
