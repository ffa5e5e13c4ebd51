//! The running gateway: the state that requests are served from, and how it is replaced.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, fs, io};

use arc_swap::{ArcSwap, Guard};
use http::{HeaderMap, StatusCode, request};
use picket_host::{
    Backend, Chain, ConfigureBuf, Environment, Filter, LoadError, Metering, ModuleDigest, OnFailure,
    Promotion, Source, StdClock, Tiered, attach,
};
use picket_link::{Address, ClientError};
use tower_layer::Layer;

use crate::audit::Audit;
use crate::backend::BackendKind;
use crate::config::{Config, FilterConfig, ModuleSource, Upstream, settings};
use crate::device::{self, Parts, Post};
use crate::embedded;
use crate::layer::{ClientInfo, FilterLayer, Options, RequestId, ResponseWindow};
use crate::metrics::Metrics;
use crate::observe::RouteObserver;
use crate::proxy::{Forward, Pool, RouteService, Router};
use crate::rules::{Rules, RulesError, RulesInfo};
use crate::services::{Services, Store};
use crate::tls::TlsError;

/// What requests are served from. Never changed, only replaced: a request keeps the state that it
/// began on.
pub(crate) struct State {
    pub config: Config,
    pub router: Router<RouteService>,
    pub filters: Vec<Loaded>,
    pools: Vec<Arc<Pool>>,
    /// Files whose change asks for a reload, besides the configuration's own.
    pub files: Vec<PathBuf>,
}

impl State {
    /// The name of a filter whose device is gone and which answers every request with its failure.
    pub fn missing_device(&self) -> Option<&str> {
        let gone = |loaded: &&Loaded| {
            loaded.device.as_ref().is_some_and(|post| !post.is_up())
                && matches!(loaded.config.policy.on_failure, OnFailure::FailClosed { .. })
        };
        self.filters.iter().find(gone).map(|loaded| loaded.config.name.as_str())
    }
}

/// A filter and what it was loaded from.
#[derive(Clone)]
pub(crate) struct Loaded {
    config: FilterConfig,
    data: ModuleDigest,
    pub filter: Arc<Filter>,
    /// The ruleset that its module carries.
    pub rules: Option<Arc<RulesInfo>>,
    /// The line to the device that it runs on, if it does.
    pub device: Option<Arc<Post>>,
}

/// The gateway.
pub(crate) struct Gateway {
    state: ArcSwap<State>,
    backends: Mutex<HashMap<BackendKind, Arc<dyn Backend>>>,
    clock: Arc<StdClock>,
    store: Arc<Store>,
    pub metrics: Arc<Metrics>,
    pub audit: Arc<Audit>,
}

/// A configuration that reads well cannot be put to work.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A file of a filter cannot be read.
    File {
        /// The filter.
        filter: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The built-in module of a filter is not there.
    NoBuiltin {
        /// The filter.
        filter: String,
        /// Why.
        source: embedded::NoBuiltin,
    },
    /// The rules of a filter cannot be put to work.
    Rules {
        /// The filter.
        filter: String,
        /// Why.
        source: RulesError,
    },
    /// A module was refused.
    Load {
        /// The filter.
        filter: String,
        /// Why.
        source: LoadError,
    },
    /// A device is there and does not take what it is to have, or speaks another language.
    Device {
        /// The filter.
        filter: String,
        /// Why.
        source: ClientError,
    },
    /// A backend does not start.
    Backend {
        /// Its name.
        backend: BackendKind,
        /// Why.
        source: LoadError,
    },
    /// TLS of an upstream cannot be set up.
    Tls {
        /// The upstream.
        upstream: String,
        /// Why.
        source: TlsError,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::File { filter, path, .. } => {
                write!(f, "filter `{filter}`: {} cannot be read", path.display())
            }
            BuildError::NoBuiltin { filter, .. }
            | BuildError::Rules { filter, .. }
            | BuildError::Load { filter, .. }
            | BuildError::Device { filter, .. } => write!(f, "filter `{filter}`"),
            BuildError::Backend { backend, .. } => write!(f, "backend `{backend}`"),
            BuildError::Tls { upstream, .. } => write!(f, "upstream `{upstream}`"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BuildError::File { source, .. } => Some(source),
            BuildError::NoBuiltin { source, .. } => Some(source),
            BuildError::Rules { source, .. } => Some(source),
            BuildError::Load { source, .. } => Some(source),
            BuildError::Device { source, .. } => Some(source),
            BuildError::Backend { source, .. } => Some(source),
            BuildError::Tls { source, .. } => Some(source),
        }
    }
}

/// What a reload came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reloaded {
    /// Filters that were loaded anew.
    pub loaded: usize,
    /// Filters that were as before and went on.
    pub kept: usize,
}

impl Gateway {
    /// Loads everything that `config` names.
    pub(crate) fn new(config: Config, audit: Arc<Audit>) -> Result<Gateway, BuildError> {
        let gateway = Gateway {
            state: ArcSwap::from_pointee(State {
                config: config.clone(),
                router: Router::new([]),
                filters: Vec::new(),
                pools: Vec::new(),
                files: Vec::new(),
            }),
            backends: Mutex::default(),
            clock: Arc::new(StdClock::new()),
            store: Arc::new(Store::new(config.kv)),
            metrics: Arc::default(),
            audit,
        };
        gateway.reload(config)?;
        Ok(gateway)
    }

    /// The state of this moment.
    pub(crate) fn state(&self) -> Guard<Arc<State>> {
        self.state.load()
    }

    /// Puts another configuration in place of the one that is served from. If anything of it cannot
    /// be put to work, everything stays as it is.
    ///
    /// Filters and connections whose configuration and files are the same go on, with their counters.
    pub(crate) fn reload(&self, config: Config) -> Result<Reloaded, BuildError> {
        let old = self.state.load_full();
        let mut outcome = Reloaded { loaded: 0, kept: 0 };
        let mut files = Vec::new();

        let mut filters = Vec::new();
        for wanted in &config.filters {
            let loaded = self.load(wanted, &old.filters, &mut files)?;
            if old.filters.iter().any(|old| Arc::ptr_eq(&old.filter, &loaded.filter)) {
                outcome.kept += 1;
            } else {
                outcome.loaded += 1;
            }
            filters.push(loaded);
        }

        let pools = config
            .upstreams
            .iter()
            .map(|upstream| {
                files.extend(upstream.ca.clone());
                pool(upstream, &old.pools)
            })
            .collect::<Result<Vec<_>, _>>()?;
        for listener in &config.listeners {
            if let Some(tls) = &listener.tls {
                files.extend([tls.cert.clone(), tls.key.clone()]);
            }
        }

        let router = Router::new(config.routes.iter().filter_map(|route| {
            let pool = pools.iter().find(|pool| pool.config().name == route.upstream)?;
            let chain =
                route.chain.as_ref().and_then(|name| config.chains.iter().find(|chain| chain.name == *name));
            let members: Vec<&Loaded> = chain
                .map(|chain| chain.filters.as_slice())
                .unwrap_or_default()
                .iter()
                .filter_map(|name| filters.iter().find(|loaded| loaded.config.name == *name))
                .collect();
            let observer = RouteObserver::new(
                route,
                &members,
                &config,
                Arc::clone(&self.metrics),
                Arc::clone(&self.audit),
            );
            let rules: Vec<Arc<RulesInfo>> =
                members.iter().filter_map(|loaded| loaded.rules.clone()).collect();
            let members: Vec<Arc<Filter>> =
                members.into_iter().map(|loaded| Arc::clone(&loaded.filter)).collect();
            let asked = chain.and_then(|chain| chain.body_window);
            // Rules judge whole bodies, so as much is held back as they look at.
            let wanted =
                rules.iter().map(|rules| usize::try_from(rules.request_window).unwrap_or(usize::MAX));
            let others = members.iter().map(|filter| filter.metadata().body_window as usize);
            let body_window = match rules.is_empty() {
                true => asked,
                false => asked.or(wanted.chain(others).max()),
            };
            let response_window: Option<ResponseWindow> = (asked.is_none() && !rules.is_empty()).then(|| {
                Arc::new(move |headers: &HeaderMap| {
                    rules.iter().map(|rules| rules.response_window(headers)).max().unwrap_or(0)
                }) as ResponseWindow
            });
            let options = Options {
                route: route.name.as_str().into(),
                body_window,
                response_window,
                rewrites_bodies: chain.is_some_and(|chain| chain.rewrites_bodies),
                observer: Some(Arc::new(observer)),
            };
            let strip = chain.is_some_and(|chain| chain.strip_accept_encoding);
            let service = FilterLayer::with_options(Chain::new(members), options)
                .layer(Forward::new(Arc::clone(pool), strip));
            Some((route.host.clone(), route.path.clone(), service))
        }));

        self.store.limit(config.kv);
        self.state.store(Arc::new(State { config, router, filters, pools, files }));
        Ok(outcome)
    }

    fn load(
        &self,
        wanted: &FilterConfig,
        old: &[Loaded],
        files: &mut Vec<PathBuf>,
    ) -> Result<Loaded, BuildError> {
        let mut read = |path: &Path| {
            files.push(path.to_owned());
            fs::read(path).map_err(|source| BuildError::File {
                filter: wanted.name.clone(),
                path: path.to_owned(),
                source,
            })
        };
        let data = wanted.data.as_deref().map(&mut read).transpose()?.unwrap_or_default();
        let module = match &wanted.module {
            ModuleSource::File(path) => Some(read(path)?.into()),
            ModuleSource::Builtin(builtin) => {
                files.extend(builtin.file().map(Path::to_owned));
                let module = builtin.module();
                Some(module.map_err(|source| BuildError::NoBuiltin { filter: wanted.name.clone(), source })?)
            }
            ModuleSource::OnDevice => None,
        };
        let refused = |source| BuildError::Rules { filter: wanted.name.clone(), source };
        let mut rules = None;
        let mut blob = Vec::new();
        if let Some(config) = &wanted.rules {
            let loaded = Rules::load(config).map_err(refused)?;
            for remark in &loaded.remarks {
                tracing::warn!(filter = %wanted.name, "{remark}");
            }
            let info = RulesInfo::of(&loaded.blob)
                .map_err(|source| refused(RulesError::Blob { file: config.files[0].clone(), source }))?;
            rules = Some(Arc::new(info));
            files.extend(loaded.files.iter().cloned());
            blob = loaded.blob;
        }
        if let Some(address) = &wanted.device {
            let named = module.is_some();
            let settings = settings(&wanted.settings).encoded().to_vec();
            let parts = Parts {
                module: module.map(Cow::into_owned),
                // With its module a filter is named as a whole.
                ruleset: named.then_some(blob),
                settings: (named || !settings.is_empty()).then_some(settings),
            };
            return self.load_on_device(wanted, address, parts, rules, old);
        }
        let mut wasm = module.unwrap_or_default();
        if wanted.rules.is_some() {
            wasm = attach(&wasm, &blob).map_err(RulesError::Attach).map_err(refused)?.into();
        }
        let data_digest = ModuleDigest::of(&data);
        let same = old.iter().find(|old| {
            old.config == *wanted
                && old.filter.metadata().sha256 == ModuleDigest::of(&wasm)
                && old.data == data_digest
        });
        if let Some(same) = same {
            return Ok(same.clone());
        }

        let replaces = old.iter().any(|old| old.config.name == wanted.name);
        let backend = self.backend_for(wanted, replaces)?;
        let services = Services::new(wanted, Arc::clone(&self.store), Arc::clone(&self.metrics));
        let environment =
            Environment::new(Arc::new(services), Arc::clone(&self.clock) as Arc<dyn picket_host::Clock>)
                .trusting(wanted.trusted.clone());
        let configuration = ConfigureBuf { settings: settings(&wanted.settings), data };
        let source = Source { id: &wanted.name, wasm: &wasm };
        let filter = Filter::load(&*backend, source, wanted.policy, configuration, Arc::new(environment))
            .map_err(|source| BuildError::Load { filter: wanted.name.clone(), source })?;
        let metadata = filter.metadata();
        tracing::info!(
            filter = %metadata.id, name = %metadata.name, version = %metadata.version, backend = metadata.backend,
            metering = metadata.metering.name(),
            sha256 = %metadata.sha256, bytes = metadata.module_bytes, "filter loaded"
        );
        if let Some(early) = early(wanted, replaces) {
            tracing::info!(filter = %metadata.id, "it serves from {early} until {} has compiled it", wanted.backend);
        }
        let filter = Arc::new(filter);
        Ok(Loaded { config: wanted.clone(), data: data_digest, filter, rules, device: None })
    }

    fn load_on_device(
        &self,
        wanted: &FilterConfig,
        address: &Address,
        parts: Parts,
        rules: Option<Arc<RulesInfo>>,
        old: &[Loaded],
    ) -> Result<Loaded, BuildError> {
        let same = old.iter().find(|old| {
            old.config == *wanted && old.device.as_ref().is_some_and(|post| *post.parts() == parts)
        });
        if let Some(same) = same {
            return Ok(same.clone());
        }
        let services = Services::new(wanted, Arc::clone(&self.store), Arc::clone(&self.metrics));
        let clock = Arc::clone(&self.clock) as Arc<dyn picket_host::Clock>;
        let environment = Arc::new(Environment::new(Arc::new(services), clock));
        let (filter, post) = device::load(&wanted.name, address, parts, wanted.policy, environment)
            .map_err(|source| BuildError::Device { filter: wanted.name.clone(), source })?;
        let metadata = filter.metadata();
        tracing::info!(
            filter = %metadata.id, name = %metadata.name, version = %metadata.version, device = %address,
            sha256 = %metadata.sha256, up = post.is_up(), "filter on a device"
        );
        let (filter, data) = (Arc::new(filter), ModuleDigest::of(&[]));
        Ok(Loaded { config: wanted.clone(), data, filter, rules, device: Some(post) })
    }

    /// The backend to load a filter with. What replaces a filter is compiled first: until then the old
    /// one serves, and as fast as ever.
    fn backend_for(&self, wanted: &FilterConfig, replaces: bool) -> Result<Arc<dyn Backend>, BuildError> {
        let backend = self.backend(wanted.backend)?;
        let Some(early) = early(wanted, replaces) else { return Ok(backend) };
        let (filter, slow, quick) = (wanted.name.clone(), early, wanted.backend);
        let on_promotion = move |promotion: Promotion<'_>| match promotion {
            Promotion::Compiled { after } => {
                let ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(filter, backend = %quick, ms, "filter compiled: new instances run on it");
            }
            Promotion::Refused { error } => tracing::error!(
                filter, backend = %quick, error = error as &dyn std::error::Error,
                "filter not compiled: it goes on with {slow}, more slowly"
            ),
        };
        Ok(Arc::new(Tiered::new(self.backend(early)?, backend, Arc::new(on_promotion))))
    }

    fn backend(&self, kind: BackendKind) -> Result<Arc<dyn Backend>, BuildError> {
        let mut backends = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(backend) = backends.get(&kind) {
            return Ok(Arc::clone(backend));
        }
        let backend: Arc<dyn Backend> =
            kind.build().map_err(|source| BuildError::Backend { backend: kind, source })?.into();
        backends.insert(kind, Arc::clone(&backend));
        Ok(backend)
    }

    /// Notes a request that was answered before a route was found for it.
    pub(crate) fn refused(
        &self,
        request_id: &RequestId,
        client: ClientInfo,
        parts: &request::Parts,
        status: StatusCode,
        why: &str,
        duration: Duration,
    ) {
        self.metrics.refused(status.as_u16());
        if self.state().config.log.access {
            let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            tracing::info!(
                target: "picket::access",
                %request_id, client = %client.addr, method = %parts.method, uri = %parts.uri,
                status = status.as_u16(), micros, why, "refused"
            );
        }
    }
}

/// The backend that a filter serves from while its own compiles it.
fn early(wanted: &FilterConfig, replaces: bool) -> Option<BackendKind> {
    let alone = wanted.policy.limits.metering == Metering::Native;
    if wanted.quick_start && !replaces && !alone { wanted.backend.early() } else { None }
}

fn pool(upstream: &Upstream, old: &[Arc<Pool>]) -> Result<Arc<Pool>, BuildError> {
    // Certificates may have changed behind the same path.
    if let (None, Some(same)) = (&upstream.ca, old.iter().find(|pool| pool.config() == upstream)) {
        return Ok(Arc::clone(same));
    }
    let pool = Pool::new(upstream.clone())
        .map_err(|source| BuildError::Tls { upstream: upstream.name.clone(), source })?;
    Ok(Arc::new(pool))
}
