//! Who counts fuel, and which modules may say that they count it themselves.

use alloc::borrow::{Cow, ToOwned};

use picket_meter::{EXPORT_FUEL, EXPORT_STACK, EXPORT_START, IMPORT_FUEL, IMPORT_MODULE, IMPORT_STACK};

use crate::error::LoadError;
use crate::inspect::ModuleInfo;
use crate::limits::Limits;
use crate::metadata::ModuleDigest;

/// How fuel, time and stack are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Metering {
    /// By the module itself, instrumented when it is loaded (`picket-meter`): the same amounts on every
    /// backend and every machine.
    #[default]
    Canonical,
    /// By the engine, in its own way: amounts compare on one backend only.
    Native,
}

impl Metering {
    /// Both, in the order of their documentation.
    pub const ALL: [Metering; 2] = [Metering::Canonical, Metering::Native];

    /// The name in configuration and output.
    pub const fn name(self) -> &'static str {
        match self {
            Metering::Canonical => "canonical",
            Metering::Native => "native",
        }
    }
}

impl core::fmt::Display for Metering {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// Modules that were metered before they got here, by their digests. Only the build or the configuration
/// of a host can say so: what a module says of itself is no reason to believe that it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted(Cow<'static, [ModuleDigest]>);

impl Trusted {
    /// No module.
    pub const NONE: Trusted = Trusted(Cow::Borrowed(&[]));

    /// The digests that a build was made with.
    pub const fn built_in(digests: &'static [ModuleDigest]) -> Self {
        Trusted(Cow::Borrowed(digests))
    }

    /// Whether a module with that digest is trusted.
    pub fn contains(&self, digest: &ModuleDigest) -> bool {
        self.0.contains(digest)
    }
}

impl FromIterator<ModuleDigest> for Trusted {
    fn from_iter<I: IntoIterator<Item = ModuleDigest>>(digests: I) -> Self {
        Trusted(Cow::Owned(digests.into_iter().collect()))
    }
}

/// What a backend is given for a module, under limits that say how it is metered. Modules that were
/// metered before are passed on as they are, if they are trusted.
///
/// [`Filter::load`](crate::Filter::load) does this; it is for whoever uses a backend by itself.
///
/// # Errors
/// [`LoadError`] if the module cannot be metered, is metered and not trusted, or is metered and to be run
/// in native mode.
pub fn prepare<'w>(wasm: &'w [u8], limits: &Limits, trusted: &Trusted) -> Result<Cow<'w, [u8]>, LoadError> {
    let metered = trusted.contains(&ModuleDigest::of(wasm)) && crate::inspect::inspect(wasm)?.take_metering();
    prepare_known(wasm, limits, metered)
}

/// As [`prepare`], for a module of which it is known whether it is a trusted one that is metered.
pub(crate) fn prepare_known<'w>(
    wasm: &'w [u8],
    limits: &Limits,
    metered: bool,
) -> Result<Cow<'w, [u8]>, LoadError> {
    match (limits.metering, metered) {
        (Metering::Native, true) => Err(LoadError::MeteredForNative),
        (Metering::Native, false) | (Metering::Canonical, true) => Ok(Cow::Borrowed(wasm)),
        (Metering::Canonical, false) => meter(wasm, limits).map(Cow::Owned),
    }
}

#[cfg(feature = "meter")]
fn meter(wasm: &[u8], limits: &Limits) -> Result<alloc::vec::Vec<u8>, LoadError> {
    pass(wasm, limits).map(|metered| metered.wasm)
}

#[cfg(not(feature = "meter"))]
fn meter(wasm: &[u8], _: &Limits) -> Result<alloc::vec::Vec<u8>, LoadError> {
    Err(LoadError::NotMetered { digest: ModuleDigest::of(wasm) })
}

/// The module with its metering, as a host makes it when it loads the module: to be stored, and given to
/// hosts that [trust](Trusted) its digest.
///
/// # Errors
/// [`LoadError`] as [`inspect`](crate::inspect) and the pass have them.
#[cfg(feature = "meter")]
pub fn meter_offline(wasm: &[u8], limits: &Limits) -> Result<picket_meter::Metered, LoadError> {
    crate::inspect::inspect(wasm)?;
    pass(wasm, limits)
}

#[cfg(feature = "meter")]
fn pass(wasm: &[u8], limits: &Limits) -> Result<picket_meter::Metered, LoadError> {
    /// How much longer than the longest module a metered one may be.
    const GROWTH: usize = 4;
    picket_meter::meter_module(wasm, limits.module_bytes.saturating_mul(GROWTH)).map_err(|error| {
        LoadError::Unmeterable { offset: error.offset(), message: alloc::format!("{error}").into_boxed_str() }
    })
}

impl ModuleInfo {
    /// Removes what the metering pass adds, and tells whether all of it was there. For modules that are
    /// trusted: of any other, [`ModuleInfo::check`] refuses such names.
    pub(crate) fn take_metering(&mut self) -> bool {
        const FUEL_TYPE: &str = "(i64, i64) -> i64";
        const STACK_TYPE: &str = "() -> ()";
        let imports = |name: &str, ty: &str| {
            let mut imports = self.imports.iter();
            imports.any(|import| import.module == IMPORT_MODULE && import.name == name && import.ty == ty)
        };
        let exports =
            |name: &str| self.exports.iter().any(|export| export.name == name && export.ty == "global");
        let stack = imports(IMPORT_STACK, STACK_TYPE);
        if !imports(IMPORT_FUEL, FUEL_TYPE) || !exports(EXPORT_FUEL) || stack != exports(EXPORT_STACK) {
            return false;
        }
        self.imports.retain(|import| import.module != IMPORT_MODULE);
        self.has_start |= self.exports.iter().any(|export| export.name == EXPORT_START);
        self.exports.retain(|export| ![EXPORT_FUEL, EXPORT_STACK, EXPORT_START].contains(&&*export.name));
        true
    }

    /// Names that only the pass may give.
    pub(crate) fn check_names(&self) -> Result<(), LoadError> {
        let reserved = |name: &&str| name.starts_with(picket_meter::RESERVED_PREFIX);
        let imports = self.imports.iter().flat_map(|import| [&*import.module, &*import.name]);
        let exports = self.exports.iter().map(|export| &*export.name);
        match imports.chain(exports).find(reserved) {
            Some(name) => Err(LoadError::ReservedName { name: name.to_owned() }),
            None => Ok(()),
        }
    }
}
