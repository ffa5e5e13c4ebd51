//! A device as a filter: a board on a serial line or a box on the network judges, and the gateway does
//! what it says.
//!
//! ```text
//! Chain ─▶ Filter::remote ─▶ Conversation (an instance) ─┐
//! Chain ─▶ Filter::remote ─▶ Conversation                ├─▶ Post (one line) ─▶ device
//!                                                        ┘     ▲ a thread that connects and looks after it
//! ```
//!
//! The chain sees a filter like any other: a phase is encoded into the memory of an instance, the
//! instance is called, an outcome lies in its memory. Here the memory is a buffer, and the call is a
//! question over the line. So policy, counters, reports and the checks of what comes back are those of
//! every filter, and the one match from a failure to its consequence is the host's.

mod conversation;
mod post;

use std::sync::Arc;
use std::time::Duration;

use picket_abi::{Phase, PhaseSet};
use picket_host::{
    Budget, CallContext, CompiledModule, Environment, Error, Filter, Instance, Metering, ModuleDigest,
    Policy, Remote,
};
use picket_link::{Address, ClientError, Sha256};

use conversation::Conversation;
pub(crate) use post::{Parts, Post};

/// What stands in the place of a backend's name.
const BACKEND: &str = "device";

/// Phases of a device of which is not known what it has installed.
const ALL_PHASES: PhaseSet = PhaseSet::EMPTY
    .with(Phase::RequestHead)
    .with(Phase::RequestBody)
    .with(Phase::ResponseHead)
    .with(Phase::ResponseBody);

/// A filter on a device, and its line.
///
/// A device that cannot be reached is no error: it may come later, and until then the policy says what
/// its absence means. One that can be and does not take what it is to have, is.
///
/// # Errors
/// [`ClientError`] of a device that does not go with its configuration.
pub(crate) fn load(
    id: &str,
    address: &Address,
    parts: Parts,
    mut policy: Policy,
    environment: Arc<Environment>,
) -> Result<(Filter, Arc<Post>), ClientError> {
    let wanted = parts.module.as_deref().map(Sha256::of);
    let module_bytes = parts.module.as_deref().map_or(0, <[u8]>::len);
    let timeout = Duration::from_micros(policy.limits.setup.deadline.0);
    let post = Post::open(id, address.clone(), parts, timeout)?;
    let info = post.info();
    let installed = info.as_ref().and_then(|info| info.filter.as_ref());
    let (name, version) = installed.map_or((id, ""), |filter| (&filter.name, &filter.version));
    if info.as_ref().is_some_and(|info| info.metering == Metering::Native.name()) {
        policy.limits.metering = Metering::Native;
    }
    let sha256 = wanted.or(installed.map(|filter| filter.module)).unwrap_or_default();
    let remote = Remote {
        id,
        name,
        version,
        sha256: ModuleDigest::from_bytes(sha256.0),
        module_bytes,
        backend: BACKEND,
        // The head of the request begins a transaction, whether the filter there looks at it or not.
        phases: installed.map_or(ALL_PHASES, |filter| filter.phases).with(Phase::RequestHead),
        body_window: installed.map_or(0, |filter| filter.body_window),
    };
    let line = Box::new(OnDevice { post: Arc::clone(&post) });
    Ok((Filter::remote(remote, line, policy, environment), post))
}

/// Where the filter's instances come from. Nobody looks after the line any more when it is dropped.
struct OnDevice {
    post: Arc<Post>,
}

impl CompiledModule for OnDevice {
    fn instantiate(&self, context: CallContext, _budget: &Budget) -> Result<Box<dyn Instance>, Error> {
        Ok(Box::new(Conversation::new(Arc::clone(&self.post), context)))
    }

    fn compiled_size(&self) -> Option<usize> {
        None
    }
}

impl Drop for OnDevice {
    fn drop(&mut self) {
        self.post.close();
    }
}
