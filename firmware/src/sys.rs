//! The board: heap, stack, UARTs, timer, loader. All unsafe code of the firmware is here.
//!
//! Arm's MPS2 with the AN500 image: a Cortex-M7 at 25 MHz, whose peripherals are those of Arm's
//! CMSDK (DDI 0479). One core, no interrupt handler: nothing runs beside the main loop.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use embedded_alloc::LlffHeap;

// ----------------------------------------------------------------------------------------- memory

// `memcpy` and `memset`.
core::arch::global_asm!(include_str!("mem.s"), options(raw));

// ------------------------------------------------------------------------------------------- heap

/// Bytes of the heap. What is left of the board's RAM below is the stack's.
pub const HEAP_LEN: usize = 480 * 1024;

/// The memory that the heap is made of. Not initialised: what was never used can be told from it.
#[repr(align(8))]
struct Arena(UnsafeCell<[MaybeUninit<u8>; HEAP_LEN]>);

// SAFETY: only `Heap::begin` reaches it, once, before anything is allocated.
unsafe impl Sync for Arena {}

#[unsafe(link_section = ".uninit.heap")]
static ARENA: Arena = Arena(UnsafeCell::new([MaybeUninit::uninit(); HEAP_LEN]));

/// Bytes of the part that long blocks are taken from: linear memories. Where they and what lives on
/// (translated code) lie side by side, the room of an instance that is gone is soon in pieces.
const LONG_LEN: usize = 136 * 1024;
/// What a long block is.
const LONG: usize = 64 * 1024;

/// The allocator, with a count of what is in use, what was at most, and how often it was called.
pub struct Heap {
    short: LlffHeap,
    long: LlffHeap,
    used: AtomicUsize,
    peak: AtomicUsize,
    calls: AtomicUsize,
}

#[global_allocator]
static HEAP: Heap = Heap {
    short: LlffHeap::empty(),
    long: LlffHeap::empty(),
    used: AtomicUsize::new(0),
    peak: AtomicUsize::new(0),
    calls: AtomicUsize::new(0),
};

impl Heap {
    fn grown(&self, bytes: usize) {
        let used = self.used.load(Ordering::Relaxed) + bytes;
        self.used.store(used, Ordering::Relaxed);
        self.calls.store(self.calls.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        if used > self.peak.load(Ordering::Relaxed) {
            self.peak.store(used, Ordering::Relaxed);
        }
    }

    fn shrunk(&self, bytes: usize) {
        self.used.store(self.used.load(Ordering::Relaxed) - bytes, Ordering::Relaxed);
    }
}

/// What a block of that layout takes of the heap: it is handed out in pieces of two words.
const fn block(layout: Layout) -> usize {
    let len = if layout.size() < 8 { 8 } else { layout.size() };
    len.next_multiple_of(8)
}

// SAFETY: both parts keep the contract of `GlobalAlloc`; everything is passed on as it comes.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let [first, second] =
            if layout.size() < LONG { [&self.short, &self.long] } else { [&self.long, &self.short] };
        // SAFETY: the caller's.
        let mut ptr = unsafe { first.alloc(layout) };
        if ptr.is_null() {
            // SAFETY: the caller's.
            ptr = unsafe { second.alloc(layout) };
        }
        if !ptr.is_null() {
            self.grown(block(layout));
        }
        ptr
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        self.shrunk(block(layout));
        let part = if (ptr as usize) < ARENA.0.get() as usize + LONG_LEN { &self.long } else { &self.short };
        // SAFETY: the caller's; a block goes back to the part that its address lies in.
        unsafe { part.dealloc(ptr, layout) }
    }
}

/// What the heap has come to.
#[derive(Clone, Copy)]
pub struct HeapUse {
    /// Bytes in use.
    pub used: usize,
    /// Bytes that were in use at most.
    pub peak: usize,
    /// Allocations so far.
    pub calls: usize,
}

/// How much of the heap is in use.
pub fn heap_use() -> HeapUse {
    HeapUse {
        used: HEAP.used.load(Ordering::Relaxed),
        peak: HEAP.peak.load(Ordering::Relaxed),
        calls: HEAP.calls.load(Ordering::Relaxed),
    }
}

// ------------------------------------------------------------------------------------------ stack

/// What untouched stack is filled with.
const PAINT: u32 = 0xb1e55ed5;
/// Below the stack pointer, left alone while painting: the frame of whoever paints.
const MARGIN: usize = 256;

unsafe extern "C" {
    // The linker script's (cortex-m-rt): the stack goes down from one to the other.
    static mut _stack_start: u32;
    static mut __euninit: u32;
    // Where static data begin and end, and where their first values lie in flash.
    static __sdata: u32;
    static __edata: u32;
    static __ebss: u32;
    static __sidata: u32;
}

fn stack_bounds() -> (usize, usize) {
    ((&raw const __euninit) as usize, (&raw const _stack_start) as usize)
}

fn paint_stack() {
    let (low, _) = stack_bounds();
    let here = cortex_m::register::msp::read() as usize - MARGIN;
    let mut at = low.next_multiple_of(4);
    while at < here {
        // SAFETY: between the last static and the stack pointer less a margin is memory that nobody uses.
        unsafe { (at as *mut u32).write_volatile(PAINT) };
        at += 4;
    }
}

/// The most that the stack has been, in bytes.
pub fn stack_peak() -> usize {
    let (low, high) = stack_bounds();
    let mut at = low.next_multiple_of(4);
    // SAFETY: aligned and within the stack's memory; only read.
    while at < high && unsafe { (at as *const u32).read_volatile() } == PAINT {
        at += 4;
    }
    high - at
}

// ------------------------------------------------------------------------------------ peripherals

/// A register of a peripheral.
#[derive(Clone, Copy)]
struct Register(usize);

impl Register {
    fn read(self) -> u32 {
        // SAFETY: every `Register` below is one of the board's, and reading it has no effect that Rust
        // could see.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    fn write(self, value: u32) {
        // SAFETY: as above; none of the registers makes the peripheral touch memory.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }
}

/// A UART, polled.
#[derive(Clone, Copy)]
pub struct Uart {
    data: Register,
    state: Register,
    control: Register,
    divider: Register,
}

/// The transport's.
pub const LINK: Uart = Uart::at(0x4000_4000);
/// That of the logs.
const LOG: Uart = Uart::at(0x4000_5000);

impl Uart {
    const fn at(base: usize) -> Self {
        Uart {
            data: Register(base),
            state: Register(base + 4),
            control: Register(base + 8),
            divider: Register(base + 16),
        }
    }

    fn enable(self) {
        // The fastest that the hardware has: 16 ticks a bit.
        self.divider.write(16);
        self.control.write(0b11);
    }

    /// Sends a byte, when the last one is out.
    pub fn send(self, byte: u8) {
        while self.state.read() & 1 != 0 {}
        self.data.write(u32::from(byte));
    }

    /// Whether a byte has arrived.
    pub fn is_ready(self) -> bool {
        self.state.read() & 2 != 0
    }

    /// The byte that has arrived.
    pub fn receive(self) -> u8 {
        self.data.read() as u8
    }
}

/// The timer: 32 bits, counts down at the clock of the processor.
const TIMER_CONTROL: Register = Register(0x4000_0000);
const TIMER_VALUE: Register = Register(0x4000_0004);
const TIMER_RELOAD: Register = Register(0x4000_0008);
/// Ticks in a microsecond.
const TICKS_PER_US: u64 = 25;

/// Times that the timer has come round, in the high half; where it stood last, in the low one.
static ROUNDS: AtomicU32 = AtomicU32::new(0);
static LAST: AtomicU32 = AtomicU32::new(0);

/// Ticks since the firmware began. To be called every 171 seconds at least: the timer comes round.
pub fn ticks() -> u64 {
    let now = u32::MAX - TIMER_VALUE.read();
    let rounds = ROUNDS.load(Ordering::Relaxed) + u32::from(now < LAST.load(Ordering::Relaxed));
    ROUNDS.store(rounds, Ordering::Relaxed);
    LAST.store(now, Ordering::Relaxed);
    u64::from(rounds) << 32 | u64::from(now)
}

/// Microseconds since the firmware began.
pub fn micros() -> u64 {
    ticks() / TICKS_PER_US
}

/// A word behind the stack that survives a reset, or that a debugger or QEMU has written: how the
/// firmware is to start.
const BOOT: Register = Register(0x2007_fff0);

/// How the firmware is to start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Boot {
    /// A new instance for each transaction.
    pub fresh: bool,
    /// All functions are translated when the module is loaded.
    pub eager: bool,
    /// Without the module of the image: for modules that come over the line, which then have the memory.
    pub bare: bool,
}

impl Boot {
    /// Tells the word from what the RAM happens to hold.
    const MAGIC: u32 = 0x7069_6300;

    /// As the word says, if it is one.
    pub fn mode() -> Self {
        let word = BOOT.read();
        let flags = if word & !0xff == Self::MAGIC { word & 0xff } else { 0 };
        Boot { fresh: flags & 1 != 0, eager: flags & 2 != 0, bare: flags & 4 != 0 }
    }
}

/// Bytes of static data, without the heap.
pub fn static_len() -> usize {
    (&raw const __ebss) as usize - (&raw const __sdata) as usize
}

/// Bytes of flash that are used.
pub fn flash_len() -> usize {
    (&raw const __sidata) as usize + ((&raw const __edata) as usize - (&raw const __sdata) as usize)
}

/// Sets the board up. First of all, and once.
pub fn begin() {
    let arena = ARENA.0.get() as usize;
    // SAFETY: the arena is nobody else's, the two parts of it do not overlap, and this is the only call.
    unsafe {
        HEAP.long.init(arena, LONG_LEN);
        HEAP.short.init(arena + LONG_LEN, HEAP_LEN - LONG_LEN);
    }
    paint_stack();
    LINK.enable();
    LOG.enable();
    TIMER_RELOAD.write(u32::MAX);
    TIMER_VALUE.write(u32::MAX);
    TIMER_CONTROL.write(1);
}

// ------------------------------------------------------------------------------------------- logs

/// `defmt` over the second UART.
#[defmt::global_logger]
struct Logger;

static LOGGING: AtomicBool = AtomicBool::new(false);

/// The encoder of the frame that is being written.
struct Encoder(UnsafeCell<defmt::Encoder>);

// SAFETY: used between `acquire` and `release` only, which let one in at a time.
unsafe impl Sync for Encoder {}

static ENCODER: Encoder = Encoder(UnsafeCell::new(defmt::Encoder::new()));

fn put(bytes: &[u8]) {
    bytes.iter().for_each(|&byte| LOG.send(byte));
}

// SAFETY: there is one thread and no interrupt handler, so nobody comes between `acquire` and
// `release`; a log within a log is told by the flag.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        assert!(!LOGGING.swap(true, Ordering::Relaxed), "a log within a log");
        // SAFETY: see above.
        unsafe { (*ENCODER.0.get()).start_frame(put) }
    }

    unsafe fn flush() {}

    unsafe fn release() {
        // SAFETY: the caller has acquired it.
        unsafe { (*ENCODER.0.get()).end_frame(put) }
        LOGGING.store(false, Ordering::Relaxed);
    }

    unsafe fn write(bytes: &[u8]) {
        // SAFETY: the caller has acquired it.
        unsafe { (*ENCODER.0.get()).write(bytes, put) }
    }
}

// ---------------------------------------------------------------------------------------- modules

/// Makes a module of bytes that are valid.
#[cfg(not(feature = "validate"))]
pub fn load(engine: &wasmi::Engine, wasm: &[u8]) -> Result<wasmi::Module, wasmi::Error> {
    // SAFETY: `picket_host` without `validate` passes on only modules whose digest this build trusts:
    // the build has validated them (`cargo xtask firmware build`) with the features that the engine has.
    unsafe { wasmi::Module::new_unchecked(engine, wasm) }
}

/// Stands still: what guards a box must not go on with a state that it does not understand. A watchdog
/// or the box resets it.
pub fn halt() -> ! {
    cortex_m::interrupt::disable();
    loop {
        cortex_m::asm::wfi();
    }
}
