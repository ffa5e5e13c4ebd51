//! Modules made of random bytes, by wasm-smith, and arguments made of a seed.

use arbitrary::Unstructured;
use wasm_smith::{Config, Module};

/// What filters may use of WebAssembly, in modules of a few functions. Bytes decide the rest.
fn config(instructions: usize, references: bool, traps: bool) -> Config {
    Config {
        max_imports: 0,
        min_funcs: 1,
        max_funcs: 8,
        min_memories: 1,
        max_memories: 1,
        max_memory32_bytes: 2 << 16,
        memory_max_size_required: true,
        max_table_elements: 20,
        table_max_size_required: true,
        max_instructions: instructions,
        export_everything: true,
        max_exports: 64,
        allow_start_export: true,
        // Engines choose the bits of a NaN.
        canonicalize_nans: true,
        bulk_memory_enabled: true,
        reference_types_enabled: references,
        multi_value_enabled: true,
        saturating_float_to_int_enabled: true,
        sign_extension_ops_enabled: true,
        extended_const_enabled: true,
        disallow_traps: !traps,
        simd_enabled: false,
        relaxed_simd_enabled: false,
        memory64_enabled: false,
        threads_enabled: false,
        shared_everything_threads_enabled: false,
        exceptions_enabled: false,
        tail_call_enabled: false,
        gc_enabled: false,
        wide_arithmetic_enabled: false,
        custom_page_sizes_enabled: false,
        ..Config::default()
    }
}

/// A module made of these bytes.
///
/// # Errors
/// If there are too few of them.
pub fn module(bytes: &[u8]) -> arbitrary::Result<Vec<u8>> {
    generated(bytes, 300)
}

/// A small module made of these bytes: its calls end after few steps, or at once with a trap.
///
/// # Errors
/// If there are too few of them.
pub fn small(bytes: &[u8]) -> arbitrary::Result<Vec<u8>> {
    generated(bytes, 60)
}

fn generated(bytes: &[u8], instructions: usize) -> arbitrary::Result<Vec<u8>> {
    // With references there is `externref` as well, and most modules have it somewhere: filters do not,
    // and no lane takes them. So most modules are made without.
    let references = bytes.first().is_some_and(|byte| byte % 4 == 0);
    let traps = bytes.get(1).is_some_and(|byte| byte % 4 == 0);
    let module = Module::new(config(instructions, references, traps), &mut Unstructured::new(bytes))?;
    Ok(module.to_bytes())
}

/// As many numbers as a function has parameters: small ones more often than not.
pub fn arguments(seed: u64, count: usize) -> impl Iterator<Item = u64> {
    let mut state = seed;
    (0..count).map(move |_| {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        if mixed & 1 == 0 { mixed >> 1 & 0x1f } else { mixed }
    })
}
