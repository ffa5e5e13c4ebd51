//! # The fuel oracle
//!
//! Runs one module in four ways, and lets tests and the fuzz target compare them:
//!
//! | lane | module | who counts |
//! |---|---|---|
//! | [`Lane::Wasmi`] | metered by `picket-meter` | the module, interpreted |
//! | [`Lane::WasmiBefore`] | metered by `picket-meter` | the module, on the version of wasmi before |
//! | [`Lane::Wasmtime`] | metered by `picket-meter` | the module, as machine code |
//! | [`Lane::Native`] | as it was | wasmtime |
//!
//! Modules import nothing, or functions that do nothing; every function is exported and called by name.
#![forbid(unsafe_code)]

mod cost;
mod generate;
mod lanes;
mod wasmtime_lane;

// One lane for two versions of wasmi, whose interfaces are alike.
#[path = "."]
mod wasmi_now {
    use wasmi as engine;
    use wasmi::Val;

    fn null(ty: wasmi::ValType) -> Val {
        Val::default_for_ty(ty)
    }

    #[path = "wasmi_lane.rs"]
    pub(crate) mod lane;
}
#[expect(clippy::duplicate_mod, reason = "the types are another version's")]
#[path = "."]
mod wasmi_before {
    use wasmi_before as engine;
    use wasmi_before::Val;

    fn null(ty: wasmi_before::ValType) -> Val {
        Val::default(ty)
    }

    #[path = "wasmi_lane.rs"]
    pub(crate) mod lane;
}

pub use cost::{Counting, Guest, on_wasmi, on_wasmtime};
pub use generate::{arguments, module, small};
pub use lanes::{Call, Ending, Lane, Limits, Outcome, Prepared};
