//! Reloading a filter again and again leaves no memory behind: counted byte by byte, which a count of
//! references would not notice (an engine may keep the code of modules that are gone).

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

use picket_host::abi::RequestHead;
use picket_host::{
    Backend, ConfigureBuf, Environment, Filter, HeadDecision, Isolation, Policy, Registry, Source,
};
use picket_host_wasmi::WasmiBackend;
use picket_host_wasmtime::WasmtimeBackend;

/// The system's allocator, with a count of the bytes that are taken.
struct Counting;

static TAKEN: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it came; the count is beside the point
// of what it returns.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn filter(backend: &dyn Backend, wasm: &[u8], environment: &Arc<Environment>) -> Filter {
    let policy = Policy { isolation: Isolation::Pooled { max_idle: 2 }, ..Policy::WAF };
    let source = Source { id: "f", wasm };
    Filter::load(backend, source, policy, ConfigureBuf::default(), Arc::clone(environment)).unwrap()
}

/// Reloads, with a transaction in flight on the old module and one on the new.
fn reload(registry: &Registry, backend: &dyn Backend, wasm: &[u8], environment: &Arc<Environment>) {
    let mut old = registry.chain(&["f"]).unwrap().begin();
    assert_eq!(old.request_head(&RequestHead::default()), HeadDecision::Continue);
    registry.replace(filter(backend, wasm, environment)).unwrap();
    let mut new = registry.chain(&["f"]).unwrap().begin();
    assert_eq!(new.request_head(&RequestHead::default()), HeadDecision::Continue);
}

#[test]
fn reloads_take_no_memory() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("modules/traps.wat");
    let wasm = wat::parse_file(path).unwrap();
    let environment = Arc::new(Environment::closed());
    let wasmtime = WasmtimeBackend::new().unwrap();
    for backend in [&WasmiBackend::new() as &dyn Backend, &wasmtime] {
        let registry = Registry::new();
        registry.insert(filter(backend, &wasm, &environment)).unwrap();
        // Whatever is cached for good is cached by now.
        (0..50).for_each(|_| reload(&registry, backend, &wasm, &environment));
        // What is left behind by reloads is so every time. A queue of a compiler's thread that doubles
        // once, by 16 KiB, is not.
        let kept = (0..3).map(|_| {
            let before = TAKEN.load(Ordering::Relaxed);
            (0..200).for_each(|_| reload(&registry, backend, &wasm, &environment));
            TAKEN.load(Ordering::Relaxed) - before
        });
        let kept = kept.min().unwrap_or_default();
        assert!(kept < 200 * 64, "{}: {kept} bytes after 200 reloads", backend.name());
    }
}
