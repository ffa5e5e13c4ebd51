//! What is installed on a device, and how it comes to be.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use picket_abi::{DecodeError, Seq, SeqBuf, Setting};
use picket_host::{
    AttachError, Backend, Chain, ConfigureBuf, Culprit, Environment, Filter, LoadError, Source, attach,
};

use super::Profile;
use crate::answer::Installed;
use crate::message::{Artifact, Sha256};

/// The id of the filter that is installed, where the device makes the chain.
const FILTER: &str = "device";

/// What is installed.
pub(super) struct Loaded {
    pub(super) chain: Chain,
    /// What it was made of, for a later installation that brings only a part.
    parts: Parts,
    module: Sha256,
    ruleset: Option<Sha256>,
    settings: Option<Sha256>,
}

/// What a filter is made of. On the way to a device: what has been transferred of it.
#[derive(Clone, Default)]
pub(super) struct Parts {
    pub(super) module: Option<Vec<u8>>,
    pub(super) ruleset: Option<Vec<u8>>,
    pub(super) settings: Option<Vec<u8>>,
}

impl Parts {
    pub(super) fn part(&mut self, artifact: Artifact) -> &mut Option<Vec<u8>> {
        match artifact {
            Artifact::Module => &mut self.module,
            Artifact::Ruleset => &mut self.ruleset,
            Artifact::Settings => &mut self.settings,
        }
    }

    /// Loads a filter of these parts, and of those of `old` for what is missing.
    pub(super) fn load(
        self,
        old: Option<&Loaded>,
        profile: &Profile,
        backend: &dyn Backend,
        environment: &Arc<Environment>,
    ) -> Result<Loaded, InstallError> {
        let old = |part: fn(&Parts) -> &Option<Vec<u8>>| old.and_then(|old| part(&old.parts).clone());
        // Of no length, a part is taken away.
        let present = |part: Vec<u8>| (!part.is_empty()).then_some(part);
        let module = self.module.or_else(|| old(|parts| &parts.module)).ok_or(InstallError::NoModule)?;
        let ruleset = self.ruleset.or_else(|| old(|parts| &parts.ruleset)).and_then(present);
        let settings = self.settings.or_else(|| old(|parts| &parts.settings)).and_then(present);

        let wasm = match &ruleset {
            None => Cow::Borrowed(module.as_slice()),
            Some(ruleset) => Cow::Owned(attach(&module, ruleset).map_err(InstallError::Attach)?),
        };
        let policy = if ruleset.is_some() { profile.rules_policy } else { profile.policy };
        let mut configuration = ConfigureBuf::default();
        if let Some(settings) = &settings {
            let encoded = Seq::<Setting<'_>>::from_encoded(settings);
            encoded.check().map_err(InstallError::Settings)?;
            let mut copy = SeqBuf::new();
            copy.extend_from_seq(encoded);
            configuration.settings = copy;
        }
        let source = Source { id: FILTER, wasm: &wasm };
        let filter = Filter::load(backend, source, policy, configuration, Arc::clone(environment))
            .map_err(InstallError::Load)?;
        let digest = |part: &Option<Vec<u8>>| part.as_deref().map(Sha256::of);
        Ok(Loaded {
            chain: Chain::new(vec![Arc::new(filter)]),
            module: Sha256::of(&module),
            ruleset: digest(&ruleset),
            settings: digest(&settings),
            parts: Parts { module: Some(module), ruleset, settings },
        })
    }
}

impl Loaded {
    pub(super) fn as_installed(&self) -> Installed<'_> {
        let first = self.chain.filters().first().map(|filter| filter.metadata());
        Installed {
            name: first.map_or("", |filter| &filter.name).into(),
            version: first.map_or("", |filter| &filter.version).into(),
            phases: self.chain.phases(),
            body_window: self.chain.body_window(),
            module: self.module,
            ruleset: self.ruleset,
            settings: self.settings,
        }
    }
}

/// Where what is installed lies. With `std`, clones are the same shelf, so that all sessions of a
/// device see what one of them installs; transactions that have begun keep what they began on.
#[derive(Clone, Default)]
pub struct Shelf {
    #[cfg(feature = "std")]
    place: Arc<std::sync::Mutex<Option<Arc<Loaded>>>>,
    #[cfg(not(feature = "std"))]
    place: Option<Arc<Loaded>>,
}

impl Shelf {
    /// A shelf with nothing on it.
    pub fn empty() -> Self {
        Shelf::default()
    }

    /// A shelf with a chain that the device brings along. `module` is the digest that clients know its
    /// module by. A later installation has to bring a module.
    pub fn with_chain(chain: Chain, module: Sha256) -> Self {
        let mut shelf = Shelf::default();
        let loaded = Loaded { chain, parts: Parts::default(), module, ruleset: None, settings: None };
        shelf.put(Arc::new(loaded));
        shelf
    }

    #[cfg(feature = "std")]
    pub(super) fn current(&self) -> Option<Arc<Loaded>> {
        self.place.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    #[cfg(not(feature = "std"))]
    pub(super) fn current(&self) -> Option<Arc<Loaded>> {
        self.place.clone()
    }

    #[cfg(feature = "std")]
    pub(super) fn put(&mut self, loaded: Arc<Loaded>) {
        *self.place.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(loaded);
    }

    #[cfg(not(feature = "std"))]
    pub(super) fn put(&mut self, loaded: Arc<Loaded>) {
        self.place = Some(loaded);
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").finish_non_exhaustive()
    }
}

/// Why something was not installed.
#[derive(Debug)]
#[non_exhaustive]
pub enum InstallError {
    /// There is no module, neither a new one nor one from before.
    NoModule,
    /// The device has no engine to load modules with.
    NoBackend,
    /// The ruleset cannot become a part of the module.
    Attach(AttachError),
    /// The settings are none.
    Settings(DecodeError),
    /// The module was refused.
    Load(LoadError),
}

impl InstallError {
    /// Who has to act.
    pub const fn culprit(&self) -> Culprit {
        match self {
            InstallError::NoModule
            | InstallError::NoBackend
            | InstallError::Attach(_)
            | InstallError::Settings(_) => Culprit::Configuration,
            InstallError::Load(error) => error.culprit(),
        }
    }
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstallError::NoModule => f.write_str("no module has been transferred"),
            InstallError::NoBackend => {
                f.write_str("the device was built without an engine to load modules with")
            }
            InstallError::Attach(error) => write!(f, "the ruleset: {error}"),
            InstallError::Settings(error) => write!(f, "the settings: {error}"),
            InstallError::Load(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for InstallError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            InstallError::NoModule | InstallError::NoBackend => None,
            InstallError::Attach(error) => Some(error),
            InstallError::Settings(error) => Some(error),
            InstallError::Load(error) => Some(error),
        }
    }
}
