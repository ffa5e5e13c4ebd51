//! # Picket on a board
//!
//! A Cortex-M7 without an operating system that judges requests for whoever is at the other end of
//! its serial line.
//!
//! ```text
//! UART ─▶ picket-link ─▶ picket-host ─▶ wasmi ─▶ the firewall's module, in flash
//! UART ◀─ answers                          logs (defmt) ─▶ second UART
//! ```
//!
//! 1. **The module is part of the image.** It was validated and metered when the image was built, and
//!    the image knows its digest: nothing of that is done again on the board.
//! 2. **Memory is counted.** The heap, the stack and the static data tell what they have come to, in
//!    every status answer.
//! 3. **Unsafe code is in one file,** `sys.rs`.
#![no_std]
#![no_main]
#![deny(missing_docs)]
#![deny(unsafe_code)]

extern crate alloc;

mod line;
mod policy;
#[allow(unsafe_code, reason = "the board: registers, the heap, the stack")]
mod sys;

use alloc::sync::Arc;
use alloc::vec;

use cortex_m_rt::entry;
use picket_host::{
    Chain, Clock, ConfigureBuf, DefmtServices, Environment, Filter, ModuleDigest, Policy, Source, Trusted,
};
use picket_host_wasmi::WasmiBackend;
use picket_link::{Appliance, Device, Profile, Sha256, Shelf, Vitals};

/// Where words can be copied from.
#[repr(align(8))]
struct Aligned<T: ?Sized>(T);

/// The firewall, behind a few bytes: so its data lie as they will in the guest's memory, which is filled
/// from here word by word.
static SHIFTED: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/module")));
static WAF: &[u8] = SHIFTED.0.split_at(SHIFT).1;
const SHIFT: usize = match usize::from_str_radix(env!("PICKET_BOARD_SHIFT"), 10) {
    Ok(shift) => shift,
    Err(_) => 0,
};

/// What it is known by: the build has validated and metered it.
static TRUSTED: [ModuleDigest; 1] =
    [ModuleDigest::from_bytes(include!(concat!(env!("OUT_DIR"), "/digest.rs")))];

/// Longest message of a request: a head, or a piece of a body.
const INPUT: usize = 8 * 1024;
/// What answers pass through.
const OUTPUT: usize = 256;
struct Timer;

impl Clock for Timer {
    fn monotonic_us(&self) -> u64 {
        sys::micros()
    }
}

fn vitals() -> Vitals {
    let heap = sys::heap_use();
    // No field of the answer: it is for whoever proves that clean requests allocate nothing.
    defmt::info!("{=usize} allocations", heap.calls);
    Vitals {
        uptime_us: Some(sys::micros()),
        heap_size: Some(sys::HEAP_LEN as u64),
        heap_used: Some(heap.used as u64),
        heap_peak: Some(heap.peak as u64),
        static_bytes: Some(sys::static_len() as u64),
        stack_peak: Some(sys::stack_peak() as u64),
        flash_bytes: Some(sys::flash_len() as u64),
        cycles: Some(sys::ticks()),
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    match info.location() {
        Some(place) => defmt::error!("panic at {=str}:{=u32}", place.file(), place.line()),
        None => defmt::error!("panic"),
    }
    sys::halt()
}

/// The chain of the module that the image carries.
fn built_in(backend: &WasmiBackend, policy: Policy, environment: &Arc<Environment>) -> Shelf {
    let source = Source { id: "waf", wasm: WAF };
    let loaded = Filter::load(backend, source, policy, ConfigureBuf::default(), Arc::clone(environment));
    let filter = match loaded {
        Ok(filter) => Arc::new(filter),
        // The host has told the log why.
        Err(_) => {
            defmt::error!("the module of the image was refused");
            sys::halt()
        }
    };
    let heap = sys::heap_use();
    defmt::info!(
        "loaded: {=usize} allocations, heap {=usize}, at most {=usize}; stack {=usize}",
        heap.calls,
        heap.used,
        heap.peak,
        sys::stack_peak()
    );
    Shelf::with_chain(Chain::new(vec![Arc::clone(&filter)]), Sha256(*filter.metadata().sha256.bytes()))
}

#[entry]
fn main() -> ! {
    sys::begin();
    let boot = sys::Boot::mode();
    defmt::info!("picket {=str}; module of {=usize} bytes", env!("CARGO_PKG_VERSION"), WAF.len());

    #[cfg(feature = "validate")]
    let backend = WasmiBackend::new();
    #[cfg(not(feature = "validate"))]
    let backend = WasmiBackend::with_loader(sys::load);
    let backend = backend.with_image(WAF);
    let backend = if boot.eager { backend } else { backend.lazy() };
    let environment = Environment::new(Arc::new(DefmtServices), Arc::new(Timer));
    let environment = Arc::new(environment.trusting(Trusted::built_in(&TRUSTED)));
    let policy = policy::policy(boot.fresh);
    let shelf = if boot.bare { Shelf::empty() } else { built_in(&backend, policy, &environment) };

    let profile = Profile {
        software: env!("CARGO_PKG_VERSION"),
        target: "thumbv7em-none-eabihf",
        max_module: if cfg!(feature = "validate") { policy.limits.module_bytes as u32 } else { 0 },
        metering: policy.limits.metering.name(),
        policy,
        vitals,
        cycles: Some(sys::ticks),
        ..Profile::new("mps2-an500")
    };
    #[cfg(feature = "validate")]
    let installer: Option<Arc<dyn picket_host::Backend>> = Some(Arc::new(backend));
    #[cfg(not(feature = "validate"))]
    let installer = None;
    let appliance = Appliance::new(profile, installer, environment, shelf);
    let (mut input, mut output) = ([0; INPUT], [0; OUTPUT]);
    let Ok(mut device) = Device::new(appliance, &mut input, &mut output) else {
        defmt::error!("the buffers are too short");
        sys::halt()
    };
    match device.serve(&mut line::Line(sys::LINK)) {
        Ok(()) => sys::halt(),
        Err(never) => match never {},
    }
}
