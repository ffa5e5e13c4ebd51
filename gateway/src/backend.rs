//! The choice of a backend: the only place above `host-*` that names one.

use std::fmt;
use std::str::FromStr;

use picket_host::{Backend, LoadError};

#[cfg(not(any(feature = "wasmi", feature = "wasmtime")))]
compile_error!("picket needs a backend: choose the feature `wasmi`, `wasmtime`, or both");

/// A backend that this binary was built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackendKind {
    /// The wasmi interpreter.
    #[cfg(feature = "wasmi")]
    Wasmi,
    /// The wasmtime JIT.
    #[cfg(feature = "wasmtime")]
    Wasmtime,
}

impl BackendKind {
    /// The backends of this build, the fastest first.
    pub const ALL: &'static [BackendKind] = &[
        #[cfg(feature = "wasmtime")]
        BackendKind::Wasmtime,
        #[cfg(feature = "wasmi")]
        BackendKind::Wasmi,
    ];

    /// The name in configuration, on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "wasmi")]
            BackendKind::Wasmi => "wasmi",
            #[cfg(feature = "wasmtime")]
            BackendKind::Wasmtime => "wasmtime",
        }
    }

    /// Another backend of this build that is ready sooner: to serve from while this one compiles.
    pub const fn early(self) -> Option<BackendKind> {
        match self {
            #[cfg(feature = "wasmi")]
            BackendKind::Wasmi => None,
            #[cfg(all(feature = "wasmi", feature = "wasmtime"))]
            BackendKind::Wasmtime => Some(BackendKind::Wasmi),
            #[cfg(all(not(feature = "wasmi"), feature = "wasmtime"))]
            BackendKind::Wasmtime => None,
        }
    }

    /// Starts the backend. One serves a whole process.
    ///
    /// # Errors
    /// [`LoadError`] if the machine cannot run it.
    pub fn build(self) -> Result<Box<dyn Backend>, LoadError> {
        match self {
            #[cfg(feature = "wasmi")]
            BackendKind::Wasmi => Ok(Box::new(picket_host_wasmi::WasmiBackend::new())),
            #[cfg(feature = "wasmtime")]
            BackendKind::Wasmtime => Ok(Box::new(picket_host_wasmtime::WasmtimeBackend::new()?)),
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no backend of this build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownBackend(String);

impl fmt::Display for UnknownBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = BackendKind::ALL.iter().map(|kind| kind.name()).collect();
        write!(f, "no backend `{}` in this build (there is: {})", self.0, known.join(", "))
    }
}

impl std::error::Error for UnknownBackend {}

impl FromStr for BackendKind {
    type Err = UnknownBackend;

    fn from_str(name: &str) -> Result<Self, UnknownBackend> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownBackend(name.to_owned()))
    }
}
