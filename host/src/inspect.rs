//! What a module is, from its bytes alone: no engine is asked, so every backend refuses the same
//! modules with the same words.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use picket_abi::{
    AbiVersion, CapabilitySet, EXPORT_ABI, EXPORT_INPUT, EXPORT_MEMORY, HostFn, IMPORT_MODULE,
    MANIFEST_SECTION, Manifest, Octets, Phase, PhaseSet,
};
use wasmparser::{
    BinaryReaderError, CompositeInnerType, ExternalKind, FuncType, FunctionBody, Operator, Parser, Payload,
    TypeRef, ValType,
};
#[cfg(feature = "validate")]
use wasmparser::{Validator, WasmFeatures};

use crate::error::LoadError;
use crate::hostcall::{Signature, ValueType, signature};
use crate::policy::Policy;

/// The WebAssembly that filters may be written in: what both engines run alike and what
/// `wasm32v1-none` can be made to emit. No threads, no SIMD, no tail calls, no exceptions, no garbage
/// collection, one memory of 32 bits, whose pages may have a size of one byte: for modules that are to
/// fit a board. Without `GC_TYPES` there is no `externref`: a filter has no use
/// for it.
#[cfg(feature = "validate")]
const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::CUSTOM_PAGE_SIZES)
    .union(WasmFeatures::FLOATS);

const ABI_TYPE: &str = "() -> i32";
const INPUT_TYPE: &str = "(i32) -> i32";
const PHASE_TYPE: &str = "(i32) -> i64";

/// What a module is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModuleInfo {
    /// Length in bytes.
    pub module_bytes: usize,
    /// What it says of itself; `None` without a manifest section.
    pub manifest: Option<ManifestInfo>,
    /// The version of the ABI, where `picket_abi` is a mere constant.
    pub abi: Option<AbiVersion>,
    /// Phases that are exported.
    pub exported_phases: PhaseSet,
    /// Imports, in order.
    pub imports: Vec<ImportInfo>,
    /// Exports, in order.
    pub exports: Vec<ExportInfo>,
    /// Its own linear memory.
    pub memory: Option<MemoryInfo>,
    /// Its own tables.
    pub tables: Vec<TableInfo>,
    /// Whether it has a start function, which runs whenever an instance comes up.
    pub has_start: bool,
    /// Sections, in order; custom ones by their own name.
    pub sections: Vec<SectionInfo>,
}

/// An owned [`Manifest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ManifestInfo {
    /// See [`Manifest::name`].
    pub name: String,
    /// See [`Manifest::version`].
    pub version: String,
    /// See [`Manifest::kind`].
    pub kind: String,
    /// See [`Manifest::phases`].
    pub phases: PhaseSet,
    /// See [`Manifest::capabilities`].
    pub capabilities: CapabilitySet,
    /// See [`Manifest::body_window`].
    pub body_window: u32,
}

/// An import.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportInfo {
    /// Module it is imported from.
    pub module: String,
    /// Name.
    pub name: String,
    /// Type, as text: `(i32, i32) -> i64`, `memory`, …
    pub ty: String,
}

/// An export.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportInfo {
    /// Name.
    pub name: String,
    /// Type, as text.
    pub ty: String,
}

/// A linear memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryInfo {
    /// Bytes it starts with.
    pub initial_bytes: u64,
    /// Bytes it declares as its most.
    pub maximum_bytes: Option<u64>,
}

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableInfo {
    /// Elements it starts with.
    pub initial: u64,
    /// Elements it declares as its most.
    pub maximum: Option<u64>,
}

/// A section.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SectionInfo {
    /// Name: `code`, `data`, …, or a custom section's own.
    pub name: String,
    /// Bytes of its contents.
    pub bytes: usize,
}

/// Reads a module, without an engine and without a judgement: see [`ModuleInfo::check`] for that.
///
/// # Errors
/// [`LoadError::Invalid`] if the bytes are no valid module within the WebAssembly that filters may
/// use, [`LoadError::Manifest`] if there is a manifest that is none. Without the feature `validate`
/// the bytes are read, but functions are not validated.
pub fn inspect(wasm: &[u8]) -> Result<ModuleInfo, LoadError> {
    // The parser has a dozen lines of numbers for this.
    if !wasm.starts_with(b"\0asm") {
        let message = "these bytes do not begin as WebAssembly does, with `\\0asm`".into();
        return Err(LoadError::Invalid { offset: 0, message });
    }
    #[cfg(feature = "validate")]
    Validator::new_with_features(FEATURES).validate_all(wasm).map_err(invalid)?;
    Reader::default().read(wasm)
}

fn invalid(error: BinaryReaderError) -> LoadError {
    LoadError::Invalid { offset: error.offset(), message: error.message().to_owned().into_boxed_str() }
}

/// Index spaces, gathered as the sections go by.
#[derive(Default)]
struct Reader {
    info: ModuleInfo,
    types: Vec<Option<FuncType>>,
    /// Type of each function, imported ones first.
    functions: Vec<u32>,
    imported_functions: usize,
    bodies: usize,
    abi_function: Option<usize>,
}

impl Reader {
    fn read(mut self, wasm: &[u8]) -> Result<ModuleInfo, LoadError> {
        self.info.module_bytes = wasm.len();
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload.map_err(invalid)?;
            self.section(&payload);
            self.payload(payload).map_err(|error| match error {
                Problem::Reader(error) => invalid(error),
                Problem::Manifest(error) => LoadError::Manifest(error),
            })?;
        }
        Ok(self.info)
    }

    fn section(&mut self, payload: &Payload<'_>) {
        let (name, range) = match payload {
            Payload::TypeSection(reader) => ("type", reader.range()),
            Payload::ImportSection(reader) => ("import", reader.range()),
            Payload::FunctionSection(reader) => ("function", reader.range()),
            Payload::TableSection(reader) => ("table", reader.range()),
            Payload::MemorySection(reader) => ("memory", reader.range()),
            Payload::GlobalSection(reader) => ("global", reader.range()),
            Payload::ExportSection(reader) => ("export", reader.range()),
            Payload::StartSection { range, .. } => ("start", range.clone()),
            Payload::ElementSection(reader) => ("element", reader.range()),
            Payload::DataCountSection { range, .. } => ("data count", range.clone()),
            Payload::CodeSectionStart { range, .. } => ("code", range.clone()),
            Payload::DataSection(reader) => ("data", reader.range()),
            Payload::CustomSection(reader) => (reader.name(), reader.range()),
            _ => return,
        };
        self.info.sections.push(SectionInfo { name: name.to_owned(), bytes: range.len() });
    }

    fn payload(&mut self, payload: Payload<'_>) -> Result<(), Problem> {
        match payload {
            Payload::TypeSection(groups) => {
                for group in groups {
                    for ty in group?.into_types() {
                        self.types.push(match ty.composite_type.inner {
                            CompositeInnerType::Func(function) => Some(function),
                            _ => None,
                        });
                    }
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports {
                    let import = import?;
                    let ty = match import.ty {
                        TypeRef::Func(ty) => {
                            self.functions.push(ty);
                            self.imported_functions += 1;
                            self.type_text(ty)
                        }
                        TypeRef::Table(_) => "table".to_owned(),
                        TypeRef::Memory(_) => "memory".to_owned(),
                        TypeRef::Global(_) => "global".to_owned(),
                        TypeRef::Tag(_) => "tag".to_owned(),
                    };
                    self.info.imports.push(ImportInfo {
                        module: import.module.to_owned(),
                        name: import.name.to_owned(),
                        ty,
                    });
                }
            }
            Payload::FunctionSection(functions) => {
                for ty in functions {
                    self.functions.push(ty?);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    let ty = table?.ty;
                    self.info.tables.push(TableInfo { initial: ty.initial, maximum: ty.maximum });
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    let ty = memory?;
                    let page = 1_u64 << ty.page_size_log2.unwrap_or(16);
                    // Valid modules hold one memory at most.
                    self.info.memory = Some(MemoryInfo {
                        initial_bytes: ty.initial.saturating_mul(page),
                        maximum_bytes: ty.maximum.map(|pages| pages.saturating_mul(page)),
                    });
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    let index = export.index as usize;
                    let ty = match export.kind {
                        ExternalKind::Func => {
                            self.functions.get(index).map_or_else(String::new, |&ty| self.type_text(ty))
                        }
                        ExternalKind::Table => "table".to_owned(),
                        ExternalKind::Memory => "memory".to_owned(),
                        ExternalKind::Global => "global".to_owned(),
                        ExternalKind::Tag => "tag".to_owned(),
                    };
                    if export.kind == ExternalKind::Func {
                        if export.name == EXPORT_ABI {
                            self.abi_function = Some(index);
                        }
                        for phase in Phase::ALL.into_iter().filter(|phase| phase.export() == export.name) {
                            self.info.exported_phases = self.info.exported_phases.with(phase);
                        }
                    }
                    self.info.exports.push(ExportInfo { name: export.name.to_owned(), ty });
                }
            }
            Payload::StartSection { .. } => self.info.has_start = true,
            Payload::CodeSectionEntry(body) => {
                if self.abi_function == Some(self.imported_functions + self.bodies) {
                    self.info.abi = constant(&body)?.map(AbiVersion::unpack);
                }
                self.bodies += 1;
            }
            // A second manifest is ignored: the first is what the tools show.
            Payload::CustomSection(section)
                if section.name() == MANIFEST_SECTION && self.info.manifest.is_none() =>
            {
                self.info.manifest = Some(Manifest::decode(section.data())?.into());
            }
            _ => {}
        }
        Ok(())
    }

    fn type_text(&self, index: u32) -> String {
        match self.types.get(index as usize) {
            Some(Some(ty)) => arrow(ty.params().iter(), ty.results().iter()),
            _ => "no function".to_owned(),
        }
    }
}

enum Problem {
    Reader(BinaryReaderError),
    Manifest(picket_abi::DecodeError),
}

impl From<BinaryReaderError> for Problem {
    fn from(error: BinaryReaderError) -> Self {
        Problem::Reader(error)
    }
}

impl From<picket_abi::DecodeError> for Problem {
    fn from(error: picket_abi::DecodeError) -> Self {
        Problem::Manifest(error)
    }
}

/// The value of a function that is nothing but `i32.const`.
fn constant(body: &FunctionBody<'_>) -> Result<Option<u32>, BinaryReaderError> {
    let mut operators = body.get_operators_reader()?;
    let Operator::I32Const { value } = operators.read()? else { return Ok(None) };
    let Operator::End = operators.read()? else { return Ok(None) };
    Ok(Some(value as u32))
}

/// `(i32, i32) -> i64`
fn arrow<'t>(
    params: impl Iterator<Item = &'t ValType>,
    results: impl Iterator<Item = &'t ValType>,
) -> String {
    let list = |types: Vec<String>| types.join(", ");
    let params = list(params.map(ToString::to_string).collect());
    let results: Vec<String> = results.map(ToString::to_string).collect();
    if results.len() == 1 {
        format!("({params}) -> {}", results.concat())
    } else {
        format!("({params}) -> ({})", list(results))
    }
}

impl Signature {
    /// As text: `(i32, i32) -> i64`.
    pub(crate) fn text(&self) -> String {
        let value = |ty: ValueType| match ty {
            ValueType::I32 => ValType::I32,
            ValueType::I64 => ValType::I64,
        };
        let params: Vec<ValType> = self.params.iter().map(|&ty| value(ty)).collect();
        let results: Vec<ValType> = self.result.map(value).into_iter().collect();
        arrow(params.iter(), results.iter())
    }
}

impl From<Manifest<'_>> for ManifestInfo {
    fn from(manifest: Manifest<'_>) -> Self {
        // A decoded manifest holds printable ASCII only.
        let text = |octets: Octets<'_>| octets.as_str().unwrap_or_default().to_owned();
        ManifestInfo {
            name: text(manifest.name),
            version: text(manifest.version),
            kind: text(manifest.kind),
            phases: manifest.phases,
            capabilities: manifest.capabilities,
            body_window: manifest.body_window,
        }
    }
}

impl ModuleInfo {
    /// Whether the module would be loaded under `policy`, as far as its bytes tell: the same check
    /// that [`Filter::load`](crate::Filter::load) begins with.
    ///
    /// # Errors
    /// The first [`LoadError`] that stands against it.
    pub fn check(&self, policy: &Policy) -> Result<(), LoadError> {
        let limits = &policy.limits;
        check_length(self.module_bytes, policy)?;
        self.check_names()?;
        self.check_imports(policy.capabilities)?;
        self.check_exports()?;
        if let Some(guest) = self.abi {
            check_abi(guest)?;
        }
        if let Some(memory) = self.memory
            && memory.initial_bytes > limits.memory_bytes as u64
        {
            return Err(LoadError::Memory { limit: limits.memory_bytes, initial: memory.initial_bytes });
        }
        if self.tables.len() > limits.tables as usize {
            return Err(LoadError::Tables { limit: limits.tables, actual: self.tables.len() as u32 });
        }
        let elements = self.tables.iter().fold(0_u64, |sum, table| sum.saturating_add(table.initial));
        if elements > limits.table_elements as u64 {
            return Err(LoadError::Table { limit: limits.table_elements, initial: elements });
        }
        if let Some(manifest) = &self.manifest {
            if let Some(phase) = manifest.phases.iter().find(|&phase| !self.exported_phases.contains(phase)) {
                return Err(LoadError::PhaseNotExported { phase });
            }
            let denied =
                manifest.capabilities.iter().find(|&capability| !policy.capabilities.contains(capability));
            if let Some(capability) = denied {
                return Err(LoadError::CapabilityNotGranted { capability });
            }
        }
        if !self.phases().iter().any(|phase| phase != Phase::Configure) {
            return Err(LoadError::NoPhase);
        }
        Ok(())
    }

    /// Phases that the filter is called for: what the manifest names, or else what is exported.
    pub fn phases(&self) -> PhaseSet {
        self.manifest.as_ref().map_or(self.exported_phases, |manifest| manifest.phases)
    }

    /// Capabilities that the module uses: those of its imports and those its manifest names.
    pub fn capabilities(&self) -> CapabilitySet {
        let asked = self.manifest.as_ref().map_or(CapabilitySet::EMPTY, |manifest| manifest.capabilities);
        self.imports
            .iter()
            .filter(|import| import.module == IMPORT_MODULE)
            .filter_map(|import| HostFn::from_name(&import.name))
            .fold(asked, |set, function| set.with(function.capability()))
    }

    fn check_imports(&self, granted: CapabilitySet) -> Result<(), LoadError> {
        for import in &self.imports {
            if import.module != IMPORT_MODULE {
                return Err(LoadError::ForeignImport {
                    module: import.module.clone(),
                    name: import.name.clone(),
                });
            }
            let Some(function) = HostFn::from_name(&import.name) else {
                return Err(LoadError::UnknownImport { name: import.name.clone() });
            };
            let expected = signature(function).text();
            if import.ty != expected {
                return Err(LoadError::ImportType { function, expected, found: import.ty.clone() });
            }
            let capability = function.capability();
            if !granted.contains(capability) {
                return Err(LoadError::ImportNotGranted { function, capability });
            }
        }
        Ok(())
    }

    fn check_exports(&self) -> Result<(), LoadError> {
        let phases = Phase::ALL.into_iter().map(|phase| (phase.export(), PHASE_TYPE, false));
        let fixed =
            [(EXPORT_MEMORY, "memory", true), (EXPORT_ABI, ABI_TYPE, true), (EXPORT_INPUT, INPUT_TYPE, true)];
        for (name, expected, required) in fixed.into_iter().chain(phases) {
            match self.exports.iter().find(|export| export.name == name) {
                Some(export) if export.ty == expected => {}
                Some(export) => {
                    return Err(LoadError::ExportType { name, expected, found: export.ty.clone() });
                }
                None if required => return Err(LoadError::MissingExport { name }),
                None => {}
            }
        }
        Ok(())
    }
}

/// Checked before a byte is parsed.
pub(crate) fn check_length(actual: usize, policy: &Policy) -> Result<(), LoadError> {
    let limit = policy.limits.module_bytes;
    if actual > limit { Err(LoadError::TooLong { limit, actual }) } else { Ok(()) }
}

pub(crate) fn check_abi(guest: AbiVersion) -> Result<(), LoadError> {
    AbiVersion::CURRENT.accepts(guest).map_err(|incompatible| LoadError::Abi { guest, incompatible })
}
