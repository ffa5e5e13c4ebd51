//! All loaded filters, by id.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::chain::Chain;
use crate::filter::Filter;
use crate::sync::Mutex;

/// Loaded filters, in the order they were loaded. Shared between threads; changes are atomic.
///
/// Who takes a filter out or puts another in its place gets the old one. Transactions that run on it
/// keep it alive; it is freed with the last of them.
#[derive(Debug, Default)]
pub struct Registry {
    filters: Mutex<Vec<Arc<Filter>>>,
}

/// A registry cannot do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RegistryError {
    /// A filter of that id is loaded already.
    Exists {
        /// The id.
        id: String,
    },
    /// No filter of that id is loaded.
    Unknown {
        /// The id.
        id: String,
    },
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegistryError::Exists { id } => write!(f, "a filter `{}` is loaded already", id.escape_debug()),
            RegistryError::Unknown { id } => write!(f, "no filter `{}` is loaded", id.escape_debug()),
        }
    }
}

impl core::error::Error for RegistryError {}

impl Registry {
    /// An empty registry.
    pub const fn new() -> Self {
        Registry { filters: Mutex::new(Vec::new()) }
    }

    /// Adds a filter.
    ///
    /// # Errors
    /// [`RegistryError::Exists`]; the filter is dropped then.
    pub fn insert(&self, filter: Filter) -> Result<Arc<Filter>, RegistryError> {
        let filter = Arc::new(filter);
        self.filters.with(|filters| {
            if filters.iter().any(|other| other.id() == filter.id()) {
                return Err(RegistryError::Exists { id: (**filter.id()).into() });
            }
            filters.push(Arc::clone(&filter));
            Ok(filter)
        })
    }

    /// The filter of that id.
    pub fn find(&self, id: &str) -> Option<Arc<Filter>> {
        self.filters.with(|filters| filters.iter().find(|filter| &**filter.id() == id).cloned())
    }

    /// All filters, in the order they were loaded.
    pub fn list(&self) -> Vec<Arc<Filter>> {
        self.filters.with(|filters| filters.clone())
    }

    /// Puts a filter in the place of the one with the same id, and returns that.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`]; the filter is dropped then.
    pub fn replace(&self, filter: Filter) -> Result<Arc<Filter>, RegistryError> {
        let filter = Arc::new(filter);
        self.filters.with(|filters| match filters.iter_mut().find(|other| other.id() == filter.id()) {
            Some(place) => Ok(core::mem::replace(place, filter)),
            None => Err(RegistryError::Unknown { id: (**filter.id()).into() }),
        })
    }

    /// Takes a filter out and returns it.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`]
    pub fn unload(&self, id: &str) -> Result<Arc<Filter>, RegistryError> {
        self.filters.with(|filters| match filters.iter().position(|filter| &**filter.id() == id) {
            Some(index) => Ok(filters.remove(index)),
            None => Err(RegistryError::Unknown { id: id.into() }),
        })
    }

    /// A chain of the filters with these ids, all taken at the same moment.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`] names the first id that no filter has.
    pub fn chain(&self, ids: &[&str]) -> Result<Chain, RegistryError> {
        let filters = self.filters.with(|filters| {
            ids.iter()
                .map(|&id| {
                    let found = filters.iter().find(|filter| &**filter.id() == id);
                    found.cloned().ok_or_else(|| RegistryError::Unknown { id: id.into() })
                })
                .collect::<Result<Vec<_>, _>>()
        })?;
        Ok(Chain::new(filters))
    }
}
