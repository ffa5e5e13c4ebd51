//! The key-value store: in memory, a namespace and quotas for each filter.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use picket_abi::HostStatus;

use crate::config::KvLimits;

/// All namespaces. They outlive a reload of their filters.
pub(crate) struct Store {
    inner: Mutex<Inner>,
}

struct Inner {
    limits: KvLimits,
    namespaces: HashMap<String, Namespace>,
}

#[derive(Default)]
struct Namespace {
    entries: HashMap<Vec<u8>, Entry>,
    /// Of all keys and values.
    bytes: usize,
}

struct Entry {
    value: Vec<u8>,
    expires: Option<Instant>,
}

impl Entry {
    fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl Namespace {
    fn remove(&mut self, key: &[u8]) {
        if let Some(old) = self.entries.remove(key) {
            self.bytes -= key.len() + old.value.len();
        }
    }

    fn remove_expired(&mut self, now: Instant) {
        let mut freed = 0;
        self.entries.retain(|key, entry| {
            let keep = !entry.is_expired(now);
            if !keep {
                freed += key.len() + entry.value.len();
            }
            keep
        });
        self.bytes -= freed;
    }

    /// Whether `key` may have an entry of `size` bytes, in place of the one it has.
    fn fits(&self, limits: &KvLimits, key: &[u8], size: usize) -> bool {
        let old = self.entries.get(key).map(|old| key.len() + old.value.len());
        let entries = self.entries.len() + usize::from(old.is_none());
        entries <= limits.entries && self.bytes - old.unwrap_or(0) + size <= limits.bytes
    }
}

impl Store {
    pub(crate) fn new(limits: KvLimits) -> Self {
        Store { inner: Mutex::new(Inner { limits, namespaces: HashMap::new() }) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these limits hold. What is over them stays until it expires or is removed.
    pub(crate) fn limit(&self, limits: KvLimits) {
        self.inner().limits = limits;
    }

    pub(super) fn read(&self, filter: &str, key: &[u8]) -> Result<Vec<u8>, HostStatus> {
        let mut inner = self.inner();
        let namespace = inner.namespaces.get_mut(filter).ok_or(HostStatus::NotFound)?;
        let entry = namespace.entries.get(key).ok_or(HostStatus::NotFound)?;
        if entry.is_expired(Instant::now()) {
            namespace.remove(key);
            return Err(HostStatus::NotFound);
        }
        Ok(entry.value.clone())
    }

    pub(super) fn write(
        &self,
        filter: &str,
        key: &[u8],
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<(), HostStatus> {
        let mut inner = self.inner();
        let limits = inner.limits;
        if value.len() > limits.value_bytes {
            return Err(HostStatus::Quota);
        }
        if !inner.namespaces.contains_key(filter) {
            inner.namespaces.insert(filter.to_owned(), Namespace::default());
        }
        let Some(namespace) = inner.namespaces.get_mut(filter) else { return Err(HostStatus::Unavailable) };
        if value.is_empty() {
            namespace.remove(key);
            return Ok(());
        }
        let now = Instant::now();
        let more = key.len() + value.len();
        if !namespace.fits(&limits, key, more) {
            namespace.remove_expired(now);
            // The old value goes only when the new one is sure to fit.
            if !namespace.fits(&limits, key, more) {
                return Err(HostStatus::Quota);
            }
        }
        namespace.remove(key);
        namespace.bytes += more;
        // A time to live beyond what the clock can count is none.
        let expires = ttl.and_then(|ttl| now.checked_add(ttl));
        namespace.entries.insert(key.to_vec(), Entry { value: value.to_vec(), expires });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        Store::new(KvLimits { entries: 3, bytes: 40, value_bytes: 20 })
    }

    #[test]
    fn namespaces_are_apart() {
        let store = store();
        store.write("a", b"k", b"1", None).unwrap();
        assert_eq!(store.read("a", b"k"), Ok(b"1".to_vec()));
        assert_eq!(store.read("b", b"k"), Err(HostStatus::NotFound));
        store.write("a", b"k", b"", None).unwrap();
        assert_eq!(store.read("a", b"k"), Err(HostStatus::NotFound));
    }

    #[test]
    fn quotas_hold_and_replacing_needs_only_the_difference() {
        let store = store();
        assert_eq!(store.write("a", b"k", &[0; 21], None), Err(HostStatus::Quota));
        store.write("a", b"k", &[1; 19], None).unwrap();
        store.write("a", b"l", &[2; 19], None).unwrap();
        assert_eq!(store.write("a", b"m", b"x", None), Err(HostStatus::Quota));
        store.write("a", b"k", &[3; 19], None).unwrap();
        assert_eq!(store.write("a", b"k", &[3; 20], None), Err(HostStatus::Quota));
        assert_eq!(store.read("a", b"k"), Ok(vec![3; 19]));
        store.write("b", b"m", b"x", None).unwrap();
    }

    #[test]
    fn expired_entries_are_gone_and_make_room() {
        let store = store();
        store.write("a", b"k", &[1; 19], Some(Duration::ZERO)).unwrap();
        store.write("a", b"l", &[1; 19], Some(Duration::ZERO)).unwrap();
        assert_eq!(store.read("a", b"k"), Err(HostStatus::NotFound));
        store.write("a", b"m", &[1; 19], None).unwrap();
        store.write("a", b"n", &[1; 19], None).unwrap();
    }
}
