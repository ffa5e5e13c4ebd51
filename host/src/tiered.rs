//! Two engines for one module: one that is ready at once, and one that is quick once it has compiled.

use std::boxed::Box;
use std::format;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::thread;
use std::time::{Duration, Instant as Time};
use std::vec::Vec;

use picket_abi::Phase;

use crate::backend::{Backend, CompiledModule, Instance};
use crate::context::CallContext;
use crate::error::{Error, LoadError};
use crate::limits::{Budget, Fuel, Limits};
use crate::metering::Metering;

/// What became of a module that was handed to the second engine.
#[derive(Debug)]
pub enum Promotion<'a> {
    /// New instances run on the second engine from now on.
    Compiled {
        /// From the module's loading to now.
        after: Duration,
    },
    /// The second engine refuses it: it stays with the first.
    Refused {
        /// Why.
        error: &'a LoadError,
    },
}

/// Told about each module's [`Promotion`], on the thread that compiled it.
pub type OnPromotion = Arc<dyn Fn(Promotion<'_>) + Send + Sync>;

/// A backend that starts with one engine and goes on with another.
///
/// A module is compiled by `first`, which should be done at once, and can be used from then on. Meanwhile
/// `second` compiles it on a thread of its own; when it is done, new instances are the second's, and idle
/// ones of the first are dropped. A transaction ends on the instance it began on. That none of this shows
/// in a verdict or in an amount of fuel is canonical metering's doing: a module that its engine
/// meters natively is compiled by the second engine alone, while the caller waits.
///
/// A module that is dropped in the meantime is compiled to the end and dropped then.
pub struct Tiered {
    first: Arc<dyn Backend>,
    second: Arc<dyn Backend>,
    on_promotion: OnPromotion,
}

impl Tiered {
    /// Starts with `first` and goes on with `second`, by whose name it goes.
    pub fn new(first: Arc<dyn Backend>, second: Arc<dyn Backend>, on_promotion: OnPromotion) -> Self {
        Tiered { first, second, on_promotion }
    }
}

impl Backend for Tiered {
    fn name(&self) -> &'static str {
        self.second.name()
    }

    fn compile(&self, wasm: &[u8], limits: &Limits) -> Result<Box<dyn CompiledModule>, LoadError> {
        if limits.metering != Metering::Canonical {
            return self.second.compile(wasm, limits);
        }
        let module = Arc::new(Module {
            engine: RwLock::new(Arc::from(self.first.compile(wasm, limits)?)),
            promoted: Arc::default(),
        });
        let work = Work {
            module: Arc::downgrade(&module),
            wasm: wasm.to_vec(),
            limits: *limits,
            second: Arc::clone(&self.second),
            on_promotion: Arc::clone(&self.on_promotion),
            loaded: Time::now(),
        };
        let spawned = thread::Builder::new().name("picket-compile".into()).spawn(move || work.run());
        if spawned.is_err() {
            // No thread to be had: as if there were one engine.
            return self.second.compile(wasm, limits);
        }
        Ok(Box::new(Shared(module)))
    }
}

/// A module on its way from one engine to the other.
struct Module {
    engine: RwLock<Arc<dyn CompiledModule>>,
    promoted: Arc<AtomicBool>,
}

impl Module {
    fn engine(&self) -> Arc<dyn CompiledModule> {
        Arc::clone(&self.engine.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the thread has to do.
struct Work {
    module: Weak<Module>,
    wasm: Vec<u8>,
    limits: Limits,
    second: Arc<dyn Backend>,
    on_promotion: OnPromotion,
    loaded: Time,
}

impl Work {
    fn run(self) {
        let compiled = self.second.compile(&self.wasm, &self.limits);
        let Some(module) = self.module.upgrade() else { return };
        match compiled {
            Ok(compiled) => {
                *module.engine.write().unwrap_or_else(PoisonError::into_inner) = Arc::from(compiled);
                module.promoted.store(true, Ordering::Release);
                (self.on_promotion)(Promotion::Compiled { after: self.loaded.elapsed() });
            }
            Err(error) => (self.on_promotion)(Promotion::Refused { error: &error }),
        }
    }
}

struct Shared(Arc<Module>);

impl CompiledModule for Shared {
    fn instantiate(&self, context: CallContext, budget: &Budget) -> Result<Box<dyn Instance>, Error> {
        // Looked at first: an engine that takes over in between makes one instance the more outdated.
        let promoted = self.0.promoted.load(Ordering::Acquire);
        let instance = self.0.engine().instantiate(context, budget)?;
        if promoted {
            return Ok(instance);
        }
        Ok(Box::new(Early { instance, promoted: Arc::clone(&self.0.promoted) }))
    }

    fn compiled_size(&self) -> Option<usize> {
        self.0.engine().compiled_size()
    }
}

/// An instance from before the promotion.
struct Early {
    instance: Box<dyn Instance>,
    promoted: Arc<AtomicBool>,
}

impl Instance for Early {
    fn arm(&mut self, budget: &Budget) {
        self.instance.arm(budget);
    }

    fn abi_version(&mut self) -> Result<u32, Error> {
        self.instance.abi_version()
    }

    fn input(&mut self, len: u32) -> Result<u32, Error> {
        self.instance.input(len)
    }

    fn call(&mut self, phase: Phase, len: u32) -> Result<u64, Error> {
        self.instance.call(phase, len)
    }

    fn fuel_used(&self) -> Fuel {
        self.instance.fuel_used()
    }

    fn memory(&self) -> &[u8] {
        self.instance.memory()
    }

    fn memory_mut(&mut self) -> &mut [u8] {
        self.instance.memory_mut()
    }

    fn context(&self) -> &CallContext {
        self.instance.context()
    }

    fn context_mut(&mut self) -> &mut CallContext {
        self.instance.context_mut()
    }

    fn is_outdated(&self) -> bool {
        self.promoted.load(Ordering::Acquire)
    }
}

impl core::fmt::Debug for Tiered {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&format!("Tiered({}, {})", self.first.name(), self.second.name()))
    }
}
