//! The seam to the engines. A backend compiles, instantiates and calls; everything that gives those
//! calls a meaning is on this side of the seam, written once.

use alloc::boxed::Box;

use picket_abi::Phase;

use crate::context::CallContext;
use crate::error::{Error, LoadError};
use crate::limits::{Budget, Fuel, Limits};

/// An engine that runs WebAssembly.
pub trait Backend: Send + Sync {
    /// Its name in configuration and reports: `wasmi`, `wasmtime`.
    fn name(&self) -> &'static str;

    /// Compiles a module that [`ModuleInfo::check`](crate::ModuleInfo::check) has passed and
    /// [`prepare`](crate::prepare) made ready: under canonical metering it counts for itself.
    ///
    /// Of the limits, those are meant that an engine has to know before it compiles: how the module is
    /// metered, and the stack.
    ///
    /// # Errors
    /// [`LoadError::Engine`] if the engine does not take the module.
    fn compile(&self, wasm: &[u8], limits: &Limits) -> Result<Box<dyn CompiledModule>, LoadError>;
}

/// A module that an engine has compiled.
pub trait CompiledModule: Send + Sync {
    /// A new instance. The module's start function runs within `budget`.
    ///
    /// # Errors
    /// [`Error`] if the start function fails or the engine has no room left.
    fn instantiate(&self, context: CallContext, budget: &Budget) -> Result<Box<dyn Instance>, Error>;

    /// Bytes the compiled code takes, where the engine tells.
    fn compiled_size(&self) -> Option<usize>;
}

/// An instance of a module, for one call at a time.
///
/// After an error an instance must not be called again; the chain drops it.
pub trait Instance: Send {
    /// Begins a call: grants `budget` to all that follows, until the next time.
    fn arm(&mut self, budget: &Budget);

    /// Calls `picket_abi`.
    ///
    /// # Errors
    /// [`Error`] if the guest fails.
    fn abi_version(&mut self) -> Result<u32, Error>;

    /// Calls `picket_input`.
    ///
    /// # Errors
    /// [`Error`] if the guest fails.
    fn input(&mut self, len: u32) -> Result<u32, Error>;

    /// Calls the export of `phase`, which the module is known to have.
    ///
    /// # Errors
    /// [`Error`] if the guest fails.
    fn call(&mut self, phase: Phase, len: u32) -> Result<u64, Error>;

    /// Fuel used since [`Instance::arm`].
    fn fuel_used(&self) -> Fuel;

    /// The linear memory.
    fn memory(&self) -> &[u8];

    /// The linear memory, to write a message to.
    fn memory_mut(&mut self) -> &mut [u8];

    /// What the host keeps of the instance.
    fn context(&self) -> &CallContext;

    /// What the host keeps of the instance.
    fn context_mut(&mut self) -> &mut CallContext;

    /// Whether new instances of the module run on a quicker engine by now: this one ends its
    /// transaction and is not kept for another.
    fn is_outdated(&self) -> bool {
        false
    }
}
