//! What has to be known of a function before it is instrumented.

use alloc::vec::Vec;
use core::ops::Range;

use wasmparser::{BlockType, FunctionBody, Operator};

use crate::binary::EMPTY;
use crate::error::{MeterError, malformed, unsupported};
use crate::module::Module;
use crate::names::FRAME_BYTES;
use crate::operators::effect;

/// What is known of all functions. Lists of all functions lie behind one another, so that a module of
/// many small functions costs no more than one of few large ones.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) functions: Vec<FunctionFacts>,
    /// Functions that are called, by their index among those with a body.
    pub(crate) calls: Vec<u32>,
    /// Types of functions that are called through a table.
    pub(crate) indirect: Vec<u32>,
    /// Whether a function's address is taken, by function index.
    pub(crate) address_taken: Vec<bool>,
}

/// What is known of one function.
#[derive(Clone, Default)]
pub(crate) struct FunctionFacts {
    pub(crate) params: u32,
    pub(crate) locals: u32,
    /// Bytes of stack that its frame is charged for.
    pub(crate) frame: u32,
    pub(crate) calls: Range<usize>,
    pub(crate) indirect: Range<usize>,
}

/// A block that is open.
struct Frame {
    /// Operands below the block's own.
    base: u32,
    params: u32,
    results: u32,
}

/// Locals that metering may add to a function: the counter, the stack on entry, a length.
pub(crate) const ADDED_LOCALS: u32 = 3;

/// Reads a body.
pub(crate) fn scan(
    module: &Module<'_>,
    facts: &mut Facts,
    index: usize,
    body: &FunctionBody<'_>,
) -> Result<(), MeterError> {
    let start = body.range().start;
    let ty = module.type_of(index, start)?;
    let params = ty.params().len() as u32;
    let mut this = FunctionFacts {
        params,
        calls: facts.calls.len()..0,
        indirect: facts.indirect.len()..0,
        ..FunctionFacts::default()
    };
    for group in body.get_locals_reader()? {
        let (count, _) = group?;
        this.locals = this.locals.saturating_add(count);
    }
    let results = ty.results().len() as u32;
    let mut frames: Vec<Frame> = Vec::new();
    frames.push(Frame { base: 0, params: 0, results });
    let (mut height, mut highest) = (0_u32, 0_u32);
    let mut reader = body.get_operators_reader()?;
    while !reader.eof() {
        let (operator, offset) = reader.read_with_offset()?;
        let Some(top) = frames.last_mut() else { return Err(malformed(offset, "code behind the end")) };
        let Some((pop, push)) = effect(&operator) else {
            return Err(unsupported(
                offset,
                "an operator of a WebAssembly proposal that filters do not have",
            ));
        };
        let depth = frames_depth(&operator);
        match operator {
            Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
                if matches!(operator, Operator::If { .. }) {
                    height = height.saturating_sub(1);
                }
                let (params, results) = module.block_arity(blockty, offset)?;
                let base = height.saturating_sub(params);
                frames.push(Frame { base, params, results });
                height = base.saturating_add(params);
            }
            Operator::Else => height = top.base.saturating_add(top.params),
            Operator::End => {
                height = top.base.saturating_add(top.results);
                frames.pop();
            }
            Operator::Br { .. } | Operator::Return | Operator::Unreachable => {
                let base = top.base;
                check_depth(depth, &frames, offset)?;
                height = base;
            }
            Operator::BrIf { .. } => {
                height = height.saturating_sub(1);
                check_depth(depth, &frames, offset)?;
            }
            Operator::BrTable { targets } => {
                height = top.base;
                let default = core::iter::once(Ok(targets.default()));
                for target in targets.targets().chain(default) {
                    check_depth(Some(target?), &frames, offset)?;
                }
            }
            Operator::Call { function_index } => {
                let called = module.function_type(function_index, offset)?;
                height = height.saturating_sub(called.params().len() as u32);
                height = height.saturating_add(called.results().len() as u32);
                if let Some(defined) = function_index.checked_sub(module.imported_functions) {
                    facts.calls.push(defined);
                }
            }
            Operator::CallIndirect { type_index, .. } => {
                let called = module.type_at(type_index, offset)?;
                height = height.saturating_sub(called.params().len() as u32 + 1);
                height = height.saturating_add(called.results().len() as u32);
                facts.indirect.push(module.canonical_type(type_index));
            }
            Operator::RefFunc { function_index } => {
                match facts.address_taken.get_mut(function_index as usize) {
                    Some(taken) => *taken = true,
                    None => return Err(malformed(offset, "no such function")),
                }
                height = height.saturating_add(1);
            }
            _ => {
                height = height.saturating_sub(pop).saturating_add(push);
            }
        }
        highest = highest.max(height);
    }
    if !frames.is_empty() {
        return Err(malformed(body.range().end, "a block without an end"));
    }
    this.calls.end = facts.calls.len();
    this.indirect.end = facts.indirect.len();
    let slots = params.saturating_add(this.locals).saturating_add(highest).saturating_add(ADDED_LOCALS);
    this.frame = slots.saturating_mul(8).saturating_add(FRAME_BYTES).min(i32::MAX as u32);
    facts.functions.push(this);
    Ok(())
}

fn frames_depth(operator: &Operator<'_>) -> Option<u32> {
    match *operator {
        Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => Some(relative_depth),
        _ => None,
    }
}

/// A branch goes to a block that is open.
fn check_depth(depth: Option<u32>, frames: &[Frame], offset: usize) -> Result<(), MeterError> {
    if depth.is_some_and(|depth| depth as usize >= frames.len()) {
        return Err(malformed(offset, "a branch to no label"));
    }
    Ok(())
}

/// The encoded type of a block that has the results of a function and no parameters, if that needs no
/// type of its own.
pub(crate) fn short_block_type(results: &[wasmparser::ValType]) -> Option<u8> {
    match results {
        [] => Some(EMPTY),
        [one] => crate::module::value_type(*one),
        _ => None,
    }
}

impl Module<'_> {
    pub(crate) fn block_arity(&self, ty: BlockType, offset: usize) -> Result<(u32, u32), MeterError> {
        Ok(match ty {
            BlockType::Empty => (0, 0),
            BlockType::Type(_) => (0, 1),
            BlockType::FuncType(index) => {
                let ty = self.type_at(index, offset)?;
                (ty.params().len() as u32, ty.results().len() as u32)
            }
        })
    }
}
