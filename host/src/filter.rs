//! A loaded module with its policy and its configuration: what a chain is made of.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use picket_abi::{
    AbiVersion, Action, CapabilitySet, Configure, DecodeError, Octets, PackedSlice, Phase, SeqBuf, Setting,
};

use crate::backend::{Backend, CompiledModule};
use crate::context::{CallContext, guest_text};
use crate::counters::{Counters, CountersSnapshot};
use crate::error::{Error, GuestFault, Limit, LoadError};
use crate::guest::{Guest, Lease, Message};
use crate::inspect::{check_abi, check_length, inspect};
use crate::metadata::{Metadata, ModuleDigest, Remote};
use crate::metering::prepare_known;
use crate::policy::{Isolation, Policy};
use crate::services::Environment;
use crate::sync::Mutex;

/// The bytes of a module and the id it is to have.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Unique in a registry; shown in every report.
    pub id: &'a str,
    /// The module.
    pub wasm: &'a [u8],
}

/// An owned [`Configure`]: what each instance of a filter is given before its first transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigureBuf {
    /// Settings.
    pub settings: SeqBuf<Setting<'static>>,
    /// Bytes that belong to the filter, a compiled ruleset for instance.
    pub data: Vec<u8>,
}

impl ConfigureBuf {
    /// Whether there is nothing in it. Instances are then not configured one by one: a guest without
    /// a configuration has its defaults.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.data.is_empty()
    }

    /// The configuration, borrowed.
    pub fn as_configure(&self) -> Configure<'_> {
        Configure { settings: self.settings.as_seq(), data: Octets(&self.data) }
    }
}

/// A loaded module with its policy, its configuration, its idle instances and its counters.
pub struct Filter {
    metadata: Metadata,
    policy: Policy,
    configuration: ConfigureBuf,
    configures: bool,
    environment: Arc<Environment>,
    counters: Counters,
    idle: Mutex<Vec<Guest>>,
    live: Arc<AtomicU32>,
    module: Box<dyn CompiledModule>,
}

impl Filter {
    /// Loads a module: checks its bytes against the policy, compiles it, brings up an instance and
    /// configures that, so that whatever is wrong shows here and not in the first request.
    ///
    /// # Errors
    /// [`LoadError`] names the first thing that stands against the module.
    pub fn load(
        backend: &dyn Backend,
        source: Source<'_>,
        policy: Policy,
        configuration: ConfigureBuf,
        environment: Arc<Environment>,
    ) -> Result<Filter, LoadError> {
        let loaded = Filter::load_unlogged(backend, source, policy, configuration, environment);
        #[cfg(feature = "defmt")]
        match &loaded {
            Ok(filter) => crate::logging::loaded(filter.metadata()),
            Err(error) => crate::logging::refused(source.id, error),
        }
        loaded
    }

    fn load_unlogged(
        backend: &dyn Backend,
        source: Source<'_>,
        policy: Policy,
        configuration: ConfigureBuf,
        environment: Arc<Environment>,
    ) -> Result<Filter, LoadError> {
        check_length(source.wasm.len(), &policy)?;
        let digest = ModuleDigest::of(source.wasm);
        let mut info = inspect(source.wasm)?;
        let trusted = environment.trusted.contains(&digest);
        // What nobody has validated must not get to an engine that does not either.
        #[cfg(not(feature = "validate"))]
        if !trusted {
            return Err(LoadError::NotMetered { digest });
        }
        let metered = trusted && info.take_metering();
        info.check(&policy)?;
        let module =
            backend.compile(&prepare_known(source.wasm, &policy.limits, metered)?, &policy.limits)?;
        let phases = info.phases();
        let capabilities = info.capabilities();
        let body_window = info.manifest.as_ref().map_or(0, |manifest| manifest.body_window);
        let (name, version, kind) = match info.manifest {
            Some(manifest) if !manifest.name.is_empty() => (manifest.name, manifest.version, manifest.kind),
            Some(manifest) => (source.id.to_string(), manifest.version, manifest.kind),
            None => (source.id.to_string(), String::new(), String::new()),
        };
        let filter = Filter {
            metadata: Metadata {
                id: source.id.into(),
                name,
                version,
                kind,
                sha256: digest,
                cid: digest.cid(),
                loaded_at_us: environment.services.now_us(),
                module_bytes: source.wasm.len(),
                backend: backend.name(),
                metering: policy.limits.metering,
                phases,
                capabilities,
                body_window,
                remote: false,
            },
            policy,
            configuration,
            configures: info.exported_phases.contains(Phase::Configure),
            environment,
            counters: Counters::default(),
            idle: Mutex::new(Vec::new()),
            live: Arc::new(AtomicU32::new(0)),
            module,
        };
        let mut first = filter.instantiate().map_err(LoadError::Start)?;
        first.instance_mut().arm(&policy.limits.setup);
        let version = first.instance_mut().abi_version().map_err(LoadError::Start)?;
        check_abi(AbiVersion::unpack(version))?;
        if filter.configures {
            filter.configure(&mut first).map_err(LoadError::Configure)?;
        }
        filter.release(first);
        Ok(filter)
    }

    /// A filter that runs at another place: `module` brings up what speaks to it. Policy, counters and
    /// reports are those of any filter, and what comes back is checked like a guest's word.
    pub fn remote(
        remote: Remote<'_>,
        module: Box<dyn CompiledModule>,
        policy: Policy,
        environment: Arc<Environment>,
    ) -> Filter {
        Filter {
            metadata: Metadata {
                id: remote.id.into(),
                name: remote.name.to_string(),
                version: remote.version.to_string(),
                kind: String::new(),
                sha256: remote.sha256,
                cid: remote.sha256.cid(),
                loaded_at_us: environment.services.now_us(),
                module_bytes: remote.module_bytes,
                backend: remote.backend,
                metering: policy.limits.metering,
                phases: remote.phases,
                capabilities: CapabilitySet::EMPTY,
                body_window: remote.body_window,
                remote: true,
            },
            policy,
            configuration: ConfigureBuf::default(),
            configures: false,
            environment,
            counters: Counters::default(),
            idle: Mutex::new(Vec::new()),
            live: Arc::new(AtomicU32::new(0)),
            module,
        }
    }

    /// Who the filter is.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Its id: short for that of the metadata.
    pub fn id(&self) -> &Arc<str> {
        &self.metadata.id
    }

    /// Bytes the compiled code takes, where the engine tells.
    pub fn compiled_bytes(&self) -> Option<usize> {
        self.module.compiled_size()
    }

    /// What it may do.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What it has done since it was loaded.
    pub fn counters(&self) -> CountersSnapshot {
        self.counters.snapshot()
    }

    /// Instances that are alive now, idle ones included.
    pub fn live_instances(&self) -> u32 {
        self.live.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self) -> &Counters {
        &self.counters
    }

    /// An instance for a transaction, configured.
    pub(crate) fn acquire(&self) -> Result<Guest, Error> {
        if let Isolation::Pooled { .. } = self.policy.isolation
            && let Some(idle) = self.idle.with(Vec::pop)
        {
            if !idle.is_outdated() {
                return Ok(idle);
            }
            // Those below it were put there before it, when it was not outdated yet: so are they.
            let _outdated = self.idle.with(core::mem::take);
        }
        let mut guest = self.instantiate()?;
        if self.configures && !self.configuration.is_empty() {
            self.configure(&mut guest)?;
        }
        Ok(guest)
    }

    /// Takes an instance back that has not failed.
    pub(crate) fn release(&self, guest: Guest) {
        // A surplus instance is dropped outside the lock: that may take its time.
        let _surplus = match self.policy.isolation {
            Isolation::Fresh => Some(guest),
            Isolation::Pooled { .. } if guest.is_outdated() => Some(guest),
            Isolation::Pooled { max_idle } => self.idle.with(|idle| {
                if idle.len() < max_idle {
                    idle.push(guest);
                    None
                } else {
                    Some(guest)
                }
            }),
        };
    }

    fn instantiate(&self) -> Result<Guest, Error> {
        let limits = &self.policy.limits;
        let lease = Lease::take(&self.live, limits.instances)
            .ok_or(Limit::Instances { instances: limits.instances })?;
        let context = CallContext::new(Arc::clone(&self.metadata.id), limits, Arc::clone(&self.environment));
        let instance = self.module.instantiate(context, &limits.setup)?;
        self.counters.count_instance();
        Ok(Guest::new(instance, lease))
    }

    fn configure(&self, guest: &mut Guest) -> Result<(), Error> {
        let limits = &self.policy.limits;
        let message = Message::Configure(self.configuration.as_configure());
        let answer = guest.call(Phase::Configure, &message, limits);
        let spent = guest.spent();
        self.counters.count_call(spent.fuel, spent.time, spent.memory_peak);
        accepted(guest, answer?, limits)
    }
}

/// Whether the guest takes its configuration.
fn accepted(guest: &Guest, answer: PackedSlice, limits: &crate::limits::Limits) -> Result<(), Error> {
    match guest.outcome(answer, limits)?.map(|outcome| outcome.action) {
        None | Some(Action::Continue) => Ok(()),
        Some(Action::Respond { body, .. }) => {
            Err(GuestFault::ConfigurationRefused { message: guest_text(&body) }.into())
        }
        Some(Action::Modify { .. } | Action::Redirect { .. }) => {
            let error = DecodeError::Malformed { what: "answer to a configuration", offset: 0 };
            Err(GuestFault::OutcomeMalformed(error).into())
        }
    }
}

impl core::fmt::Debug for Filter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Filter").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}
