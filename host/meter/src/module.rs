//! A module taken apart and put together again.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use wasmparser::{
    CompositeInnerType, ConstExpr, ElementItems, ElementKind, Encoding, ExternalKind, FuncType, FunctionBody,
    Operator, Parser, Payload, RefType, TableInit, TypeRef, ValType,
};

use crate::binary::{
    END, FUNC, I64, KIND_FUNC, KIND_GLOBAL, MUTABLE, REF_FUNC, i64_const, leb, name, op, section,
};
use crate::error::{MeterError, malformed, unsupported};
use crate::graph::counted;
use crate::instrument::{Added, Instrument};
use crate::names::{
    EXPORT_FUEL, EXPORT_STACK, EXPORT_START, IMPORT_FUEL, IMPORT_MODULE, IMPORT_STACK, RESERVED_PREFIX,
};
use crate::scan::{Facts, scan, short_block_type};

const CUSTOM: u8 = 0;
const TYPE: u8 = 1;
const IMPORT: u8 = 2;
const GLOBAL: u8 = 6;
const EXPORT: u8 = 7;

/// A metered module, and what the pass found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metered {
    /// The module.
    pub wasm: Vec<u8>,
    /// Functions with a body.
    pub functions: usize,
    /// Those of them whose frames are counted.
    pub counted: usize,
}

/// The module with its metering, of at most `max_bytes`.
///
/// # Errors
/// [`MeterError`] if the bytes are no module, use WebAssembly beyond what filters may, hold a name that is
/// reserved for this pass, or would become too long.
pub fn meter(wasm: &[u8], max_bytes: usize) -> Result<Vec<u8>, MeterError> {
    meter_module(wasm, max_bytes).map(|metered| metered.wasm)
}

/// As [`meter`], and tells what was found.
///
/// # Errors
/// As [`meter`].
pub fn meter_module(wasm: &[u8], max_bytes: usize) -> Result<Metered, MeterError> {
    let (mut module, mut facts, bodies) = Module::read(wasm)?;
    for (index, body) in bodies.iter().enumerate() {
        scan(&module, &mut facts, index, body)?;
    }
    let counted = counted(&module, &facts);
    let functions = bodies.len();
    let any_counted = counted.iter().filter(|&&counted| counted).count();
    let added = module.add(any_counted > 0);
    // Types that wrapping needs are known only once the bodies are written.
    let code =
        Instrument { wasm, facts: &facts, counted: &counted, added, max_bytes }.code(&mut module, &bodies)?;
    let wasm = Writer { wasm, module: &module, added, max_bytes }.write(&code)?;
    Ok(Metered { wasm, functions, counted: any_counted })
}

/// Index spaces of a module.
#[derive(Default)]
pub(crate) struct Module<'a> {
    pub(crate) types: Vec<FuncType>,
    /// The first of equal types, by type index.
    canonical: Vec<u32>,
    known_types: BTreeMap<FuncType, u32>,
    own_types: usize,
    /// Type of each function, imported ones first.
    pub(crate) functions: Vec<u32>,
    pub(crate) imported_functions: u32,
    globals: u32,
    start: Option<u32>,
    payloads: Vec<Payload<'a>>,
}

/// Names that are not the guest's to use.
fn reserved(text: &str) -> bool {
    text.starts_with(RESERVED_PREFIX)
}

/// Where a section stands in a module: sections come in this order, each at most once.
fn rank(payload: &Payload<'_>) -> Option<u8> {
    Some(match payload {
        Payload::TypeSection(_) => 1,
        Payload::ImportSection(_) => 2,
        Payload::FunctionSection(_) => 3,
        Payload::TableSection(_) => 4,
        Payload::MemorySection(_) => 5,
        Payload::GlobalSection(_) => 6,
        Payload::ExportSection(_) => 7,
        Payload::StartSection { .. } => 8,
        Payload::ElementSection(_) => 9,
        Payload::DataCountSection { .. } => 10,
        Payload::CodeSectionStart { .. } => 11,
        Payload::DataSection(_) => 12,
        _ => return None,
    })
}

impl<'a> Module<'a> {
    fn read(wasm: &'a [u8]) -> Result<(Self, Facts, Vec<FunctionBody<'a>>), MeterError> {
        let mut module = Module::default();
        let mut facts = Facts::default();
        let mut bodies = Vec::new();
        let mut taken = Vec::new();
        let mut last = 0;
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            if let Some(rank) = rank(&payload) {
                if rank <= last {
                    let offset = payload.as_section().map_or(0, |(_, range)| range.start);
                    return Err(malformed(offset, "a section out of order"));
                }
                last = rank;
            }
            match &payload {
                Payload::CodeSectionEntry(body) => {
                    bodies.push(body.clone());
                    continue;
                }
                Payload::End(_) => continue,
                Payload::Version { encoding: Encoding::Component, .. } => {
                    return Err(malformed(4, "a component"));
                }
                payload => module.payload(payload, &mut taken)?,
            }
            module.payloads.push(payload);
        }
        let defined = module.functions.len() - module.imported_functions as usize;
        if defined != bodies.len() {
            return Err(malformed(wasm.len(), "functions and bodies are not as many"));
        }
        facts.address_taken = vec![false; module.functions.len()];
        for index in taken {
            if let Some(taken) = facts.address_taken.get_mut(index as usize) {
                *taken = true;
            }
        }
        Ok((module, facts, bodies))
    }

    fn payload(&mut self, payload: &Payload<'a>, taken: &mut Vec<u32>) -> Result<(), MeterError> {
        match payload {
            Payload::TypeSection(groups) => {
                for item in groups.clone().into_iter_with_offsets() {
                    let (offset, group) = item?;
                    if group.is_explicit_rec_group() {
                        return Err(unsupported(offset, "a group of types"));
                    }
                    for ty in group.into_types() {
                        match ty.composite_type.inner {
                            CompositeInnerType::Func(function) => self.push_type(function),
                            _ => return Err(unsupported(offset, "a type that is no function's")),
                        };
                    }
                }
                self.own_types = self.types.len();
            }
            Payload::ImportSection(imports) => {
                for item in imports.clone().into_iter_with_offsets() {
                    let (offset, import) = item?;
                    if reserved(import.module) || reserved(import.name) {
                        return Err(MeterError::ReservedName { offset });
                    }
                    match import.ty {
                        TypeRef::Func(ty) => {
                            self.functions.push(ty);
                            self.imported_functions += 1;
                        }
                        TypeRef::Global(_) => self.globals += 1,
                        TypeRef::Table(ty) if ty.table64 => {
                            return Err(unsupported(offset, "a table of 64 bits"));
                        }
                        TypeRef::Memory(ty) if ty.memory64 => {
                            return Err(unsupported(offset, "a memory of 64 bits"));
                        }
                        TypeRef::Table(_) | TypeRef::Memory(_) => {}
                        TypeRef::Tag(_) => return Err(unsupported(offset, "a tag")),
                    }
                }
            }
            Payload::FunctionSection(functions) => {
                for ty in functions.clone() {
                    self.functions.push(ty?);
                }
            }
            Payload::TableSection(tables) => {
                for item in tables.clone().into_iter_with_offsets() {
                    let (offset, table) = item?;
                    if table.ty.table64 {
                        return Err(unsupported(offset, "a table of 64 bits"));
                    }
                    if !matches!(table.init, TableInit::RefNull) {
                        return Err(unsupported(offset, "a table with an initial value"));
                    }
                }
            }
            Payload::MemorySection(memories) => {
                for item in memories.clone().into_iter_with_offsets() {
                    let (offset, memory) = item?;
                    if memory.memory64 {
                        return Err(unsupported(offset, "a memory of 64 bits"));
                    }
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals.clone() {
                    references(&global?.init_expr, taken)?;
                    self.globals += 1;
                }
            }
            Payload::ExportSection(exports) => {
                for item in exports.clone().into_iter_with_offsets() {
                    let (offset, export) = item?;
                    if reserved(export.name) {
                        return Err(MeterError::ReservedName { offset });
                    }
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(*func),
            Payload::ElementSection(elements) => {
                for element in elements.clone() {
                    match element?.items {
                        ElementItems::Functions(functions) => {
                            for function in functions {
                                taken.push(function?);
                            }
                        }
                        ElementItems::Expressions(_, expressions) => {
                            for expression in expressions {
                                references(&expression?, taken)?;
                            }
                        }
                    }
                }
            }
            Payload::TagSection(tags) => return Err(unsupported(tags.range().start, "a tag")),
            Payload::UnknownSection { range, .. } => {
                return Err(malformed(range.start, "an unknown section"));
            }
            _ => {}
        }
        Ok(())
    }

    fn push_type(&mut self, ty: FuncType) -> u32 {
        let index = self.types.len() as u32;
        let first = *self.known_types.entry(ty.clone()).or_insert(index);
        self.types.push(ty);
        self.canonical.push(first);
        index
    }

    /// The index of a type, added if there is none like it.
    fn type_index(&mut self, ty: FuncType) -> u32 {
        match self.known_types.get(&ty) {
            Some(&index) => index,
            None => self.push_type(ty),
        }
    }

    /// The type of a block with these results and no parameters.
    pub(crate) fn push_block_type(&mut self, code: &mut Vec<u8>, results: &[ValType]) {
        match short_block_type(results) {
            Some(byte) => code.push(byte),
            None => {
                let index = self.type_index(FuncType::new([], results.iter().copied()));
                // A type index is a signed number of 33 bits.
                crate::binary::sleb(code, i64::from(index));
            }
        }
    }

    pub(crate) fn type_at(&self, index: u32, offset: usize) -> Result<&FuncType, MeterError> {
        self.types.get(index as usize).ok_or(malformed(offset, "no such type"))
    }

    pub(crate) fn function_type(&self, index: u32, offset: usize) -> Result<&FuncType, MeterError> {
        let ty = self.functions.get(index as usize).ok_or(malformed(offset, "no such function"))?;
        self.type_at(*ty, offset)
    }

    /// The type of a function with a body.
    pub(crate) fn type_of(&self, defined: usize, offset: usize) -> Result<&FuncType, MeterError> {
        self.function_type(self.imported_functions + defined as u32, offset)
    }

    /// The first type that equals the one at `index`, which exists.
    pub(crate) fn canonical_type(&self, index: u32) -> u32 {
        self.canonical.get(index as usize).copied().unwrap_or(0)
    }

    fn add(&mut self, counts_stack: bool) -> Added {
        let fuel_type = self.type_index(FuncType::new([ValType::I64, ValType::I64], [ValType::I64]));
        let stack_type = counts_stack.then(|| self.type_index(FuncType::new([], [])));
        Added {
            imported_functions: self.imported_functions,
            functions: 1 + u32::from(counts_stack),
            fuel_type,
            stack_type,
            fuel_global: self.globals,
        }
    }
}

/// Collects the functions that an initialiser refers to.
fn references(expression: &ConstExpr<'_>, taken: &mut Vec<u32>) -> Result<(), MeterError> {
    for operator in expression.get_operators_reader() {
        if let Operator::RefFunc { function_index } = operator? {
            taken.push(function_index);
        }
    }
    Ok(())
}

/// The byte of a value type; `None` for those of proposals.
pub(crate) fn value_type(ty: ValType) -> Option<u8> {
    Some(match ty {
        ValType::I32 => 0x7f,
        ValType::I64 => 0x7e,
        ValType::F32 => 0x7d,
        ValType::F64 => 0x7c,
        ValType::V128 => 0x7b,
        ValType::Ref(RefType::FUNCREF) => 0x70,
        ValType::Ref(RefType::EXTERNREF) => 0x6f,
        ValType::Ref(_) => return None,
    })
}

/// Puts a module together again.
struct Writer<'w, 'a> {
    wasm: &'a [u8],
    module: &'w Module<'a>,
    added: Added,
    max_bytes: usize,
}

impl Writer<'_, '_> {
    fn write(&self, code: &[u8]) -> Result<Vec<u8>, MeterError> {
        let mut out = Vec::with_capacity(self.wasm.len() + code.len());
        out.extend_from_slice(self.wasm.get(..8).ok_or(malformed(0, "no header"))?);
        // Sections that the module may lack are written where they belong.
        let mut missing = [(1, TYPE), (2, IMPORT), (6, GLOBAL), (7, EXPORT)].into_iter().peekable();
        for payload in &self.module.payloads {
            let Some((id, range)) = payload.as_section() else { continue };
            if let Some(rank) = rank(payload) {
                while let Some((_, id)) = missing.next_if(|&(at, _)| at < rank) {
                    self.amended(&mut out, id, 0, &[]);
                }
                missing.next_if(|&(at, _)| at == rank);
            }
            let contents = self.slice(range.start, range.end)?;
            match payload {
                Payload::CustomSection(custom) => {
                    if !describes_code(custom.name()) {
                        section(&mut out, CUSTOM, contents);
                    }
                }
                Payload::TypeSection(types) => {
                    let own = self.slice(types.original_position(), range.end)?;
                    self.amended(&mut out, TYPE, types.count(), own);
                }
                Payload::ImportSection(imports) => {
                    let own = self.slice(imports.original_position(), range.end)?;
                    self.amended(&mut out, IMPORT, imports.count(), own);
                }
                Payload::GlobalSection(globals) => {
                    let mut own = Vec::with_capacity(contents.len());
                    let mut at = globals.original_position();
                    for global in globals.clone() {
                        at = self.expression(&mut own, at, &global?.init_expr)?;
                    }
                    own.extend_from_slice(self.slice(at, range.end)?);
                    self.amended(&mut out, GLOBAL, globals.count(), &own);
                }
                Payload::ExportSection(exports) => {
                    let mut own = Vec::with_capacity(contents.len());
                    for export in exports.clone() {
                        let export = export?;
                        name(&mut own, export.name);
                        let (kind, index) = match export.kind {
                            ExternalKind::Func => (KIND_FUNC, self.added.moved(export.index)),
                            ExternalKind::Table => (1, export.index),
                            ExternalKind::Memory => (2, export.index),
                            ExternalKind::Global => (KIND_GLOBAL, export.index),
                            ExternalKind::Tag => (4, export.index),
                        };
                        op(&mut own, kind, index);
                    }
                    self.amended(&mut out, EXPORT, exports.count(), &own);
                }
                Payload::StartSection { .. } => {}
                Payload::ElementSection(_) => {
                    let elements = self.elements(payload)?;
                    section(&mut out, id, &elements);
                }
                Payload::CodeSectionStart { .. } => section(&mut out, id, code),
                _ => section(&mut out, id, contents),
            }
            if out.len() > self.max_bytes {
                return Err(MeterError::TooLarge { offset: range.end, limit: self.max_bytes });
            }
        }
        for (_, id) in missing {
            self.amended(&mut out, id, 0, &[]);
        }
        if out.len() > self.max_bytes {
            return Err(MeterError::TooLarge { offset: self.wasm.len(), limit: self.max_bytes });
        }
        Ok(out)
    }

    fn slice(&self, start: usize, end: usize) -> Result<&[u8], MeterError> {
        self.wasm.get(start..end).ok_or(malformed(start, "a section that ends too early"))
    }

    /// A section of `count` own entries and those that the pass adds.
    fn amended(&self, out: &mut Vec<u8>, id: u8, count: u32, own: &[u8]) {
        let added = &self.added;
        let mut entries = Vec::new();
        let mut more = 0;
        match id {
            TYPE => {
                for ty in &self.module.types[self.module.own_types..] {
                    entries.push(FUNC);
                    for values in [ty.params(), ty.results()] {
                        leb(&mut entries, values.len() as u32);
                        // Of types that are added, all values have a byte: see `Instrument`.
                        entries.extend(values.iter().filter_map(|&ty| value_type(ty)));
                    }
                    more += 1;
                }
            }
            IMPORT => {
                let stack = added.stack_type.map(|ty| (IMPORT_STACK, ty));
                for (function, ty) in [(IMPORT_FUEL, added.fuel_type)].into_iter().chain(stack) {
                    name(&mut entries, IMPORT_MODULE);
                    name(&mut entries, function);
                    op(&mut entries, KIND_FUNC, ty);
                    more += 1;
                }
            }
            GLOBAL => {
                for _ in 0..added.functions {
                    entries.extend([I64, MUTABLE]);
                    i64_const(&mut entries, 0);
                    entries.push(END);
                    more += 1;
                }
            }
            _ => {
                let stack = added.stack_type.map(|_| (EXPORT_STACK, KIND_GLOBAL, added.stack_global()));
                let start = self.module.start.map(|start| (EXPORT_START, KIND_FUNC, added.moved(start)));
                for (text, kind, index) in
                    [(EXPORT_FUEL, KIND_GLOBAL, added.fuel_global)].into_iter().chain(stack).chain(start)
                {
                    name(&mut entries, text);
                    op(&mut entries, kind, index);
                    more += 1;
                }
            }
        }
        let mut contents = Vec::with_capacity(own.len() + entries.len() + 5);
        leb(&mut contents, count.saturating_add(more));
        contents.extend_from_slice(own);
        contents.append(&mut entries);
        section(out, id, &contents);
    }

    /// Copies up to the end of an initialiser, with the functions that it refers to moved. Returns where
    /// that is.
    fn expression(
        &self,
        out: &mut Vec<u8>,
        mut from: usize,
        expression: &ConstExpr<'_>,
    ) -> Result<usize, MeterError> {
        let mut reader = expression.get_operators_reader();
        while !reader.eof() {
            let (operator, offset) = reader.read_with_offset()?;
            if let Operator::RefFunc { function_index } = operator {
                out.extend_from_slice(self.slice(from, offset)?);
                op(out, REF_FUNC, self.added.moved(function_index));
                from = reader.original_position();
            }
        }
        let end = reader.original_position();
        out.extend_from_slice(self.slice(from, end)?);
        Ok(end)
    }

    fn elements(&self, payload: &Payload<'_>) -> Result<Vec<u8>, MeterError> {
        let Payload::ElementSection(elements) = payload else { return Ok(Vec::new()) };
        let mut out = Vec::with_capacity(elements.range().len());
        leb(&mut out, elements.count());
        for element in elements.clone() {
            let element = element?;
            let mut at = element.range.start;
            if let ElementKind::Active { offset_expr, .. } = &element.kind {
                at = self.expression(&mut out, at, offset_expr)?;
            }
            match element.items {
                ElementItems::Functions(functions) => {
                    out.extend_from_slice(self.slice(at, functions.range().start)?);
                    leb(&mut out, functions.count());
                    for function in functions {
                        leb(&mut out, self.added.moved(function?));
                    }
                }
                ElementItems::Expressions(_, expressions) => {
                    for expression in expressions {
                        at = self.expression(&mut out, at, &expression?)?;
                    }
                    out.extend_from_slice(self.slice(at, element.range.end)?);
                }
            }
        }
        Ok(out)
    }
}

/// Custom sections that would be wrong about the metered code.
fn describes_code(name: &str) -> bool {
    const NAMES: [&str; 5] =
        ["name", "linking", "sourceMappingURL", "external_debug_info", "metadata.code.branch_hint"];
    NAMES.contains(&name) || name.starts_with("reloc.") || name.starts_with(".debug_")
}
