//! Writes the bodies anew.
//!
//! What is outstanding at each place, and where that must be settled, is found first ([`Plan`]). To settle
//! is to add a constant to the counter's local. It is done at the start of the straight piece of code at
//! whose end it is due: all of that is executed or traps, and there are no operands under way that an
//! interpreter would have to put aside. The counter's global is written at such places too.
//!
//! A conditional branch that settles for itself takes a detour: `br_if` becomes `if`, the sum, `br`, `end`.
//! The way on then costs what it did.

use alloc::vec::Vec;

use wasmparser::FunctionBody;

use crate::binary::{
    BLOCK, BR, CALL, EMPTY, END, GLOBAL_GET, GLOBAL_SET, I32, I64, I64_ADD, I64_AND, I64_EXTEND_I32_U,
    I64_GE_S, I64_NE, IF, LOCAL_GET, LOCAL_SET, LOCAL_TEE, REF_FUNC, RETURN, i64_const, leb, op,
};
use crate::error::{MeterError, malformed, unsupported};
use crate::module::{Module, value_type};
use crate::plan::{Kind, Plan, Step};
use crate::scan::{ADDED_LOCALS, Facts, FunctionFacts};

/// Locals a function may have: what validators agree upon.
const MAX_LOCALS: u32 = 50_000;

/// The signs of both halves of what is left of the stack.
const STACK_SIGNS: i64 = 0x8000_0000_8000_0000_u64 as i64;

/// What the pass adds to the index spaces.
#[derive(Clone, Copy)]
pub(crate) struct Added {
    pub(crate) imported_functions: u32,
    /// Functions imported, and globals defined, by the pass: for the fuel, and for the stack if it is
    /// counted.
    pub(crate) functions: u32,
    pub(crate) fuel_type: u32,
    pub(crate) stack_type: Option<u32>,
    pub(crate) fuel_global: u32,
}

impl Added {
    /// The new index of a function.
    pub(crate) fn moved(&self, index: u32) -> u32 {
        if index < self.imported_functions { index } else { index.saturating_add(self.functions) }
    }

    pub(crate) fn stack_global(&self) -> u32 {
        self.fuel_global.saturating_add(1)
    }

    fn fuel_function(&self) -> u32 {
        self.imported_functions
    }

    fn stack_function(&self) -> u32 {
        self.imported_functions.saturating_add(1)
    }
}

/// All bodies.
pub(crate) struct Instrument<'i> {
    pub(crate) wasm: &'i [u8],
    pub(crate) facts: &'i Facts,
    pub(crate) counted: &'i [bool],
    pub(crate) added: Added,
    pub(crate) max_bytes: usize,
}

impl<'i> Instrument<'i> {
    /// The contents of the code section.
    pub(crate) fn code(
        &self,
        module: &mut Module<'_>,
        bodies: &[FunctionBody<'i>],
    ) -> Result<Vec<u8>, MeterError> {
        let length: usize = bodies.iter().map(|body| body.range().len()).sum();
        let mut code = Vec::with_capacity(length.saturating_mul(2).min(self.max_bytes));
        leb(&mut code, bodies.len() as u32);
        let mut body_code = Vec::new();
        let mut region = Vec::new();
        let mut plan = Plan::default();
        for (index, body) in bodies.iter().enumerate() {
            let (Some(facts), Some(&counted)) = (self.facts.functions.get(index), self.counted.get(index))
            else {
                return Err(malformed(body.range().start, "a body that was not read"));
            };
            body_code.clear();
            region.clear();
            plan.make(module, self.added.imported_functions, index, body)?;
            let mut function = Function {
                wasm: self.wasm,
                base: body.range().start,
                added: &self.added,
                facts,
                plan: &mut plan,
                counted,
                code: &mut body_code,
                region: &mut region,
                copied: 0,
                stale: false,
                limit: self.max_bytes,
            };
            function.write(module, index, body)?;
            leb(&mut code, body_code.len() as u32);
            code.extend_from_slice(&body_code);
            if code.len() > self.max_bytes {
                return Err(MeterError::TooLarge { offset: body.range().end, limit: self.max_bytes });
            }
        }
        Ok(code)
    }
}

/// One body while it is written.
struct Function<'f> {
    wasm: &'f [u8],
    /// Where the body begins.
    base: usize,
    added: &'f Added,
    facts: &'f FunctionFacts,
    plan: &'f mut Plan,
    counted: bool,
    code: &'f mut Vec<u8>,
    /// The straight piece of code that has been begun, as far as it is not a mere copy.
    region: &'f mut Vec<u8>,
    /// Up to where the body is in `code` or `region`; what follows is to be copied.
    copied: usize,
    /// Whether the counter's local has not been read since the last call.
    stale: bool,
    limit: usize,
}

impl Function<'_> {
    fn first_local(&self) -> u32 {
        self.facts.params.saturating_add(self.facts.locals)
    }

    fn counter(&self) -> u32 {
        self.first_local()
    }

    fn stack_on_entry(&self) -> u32 {
        self.first_local() + 1
    }

    fn length(&self) -> u32 {
        self.first_local() + 1 + u32::from(self.counted)
    }

    fn write(
        &mut self,
        module: &mut Module<'_>,
        index: usize,
        body: &FunctionBody<'_>,
    ) -> Result<(), MeterError> {
        let offset = body.range().start;
        self.declare_locals(body)?;
        self.enter();
        if self.plan.wraps {
            let results = module.type_of(index, offset)?.results().to_vec();
            if results.iter().any(|&ty| value_type(ty).is_none()) {
                return Err(unsupported(offset, "a result of such a type"));
            }
            self.code.push(BLOCK);
            module.push_block_type(self.code, &results);
        }
        self.copied = body.get_operators_reader()?.original_position();
        for at in 0..self.plan.steps.len() {
            let Some(&step) = self.plan.steps.get(at) else { break };
            self.step(&step)?;
            if self.code.len() > self.limit {
                return Err(MeterError::TooLarge { offset: self.copied, limit: self.limit });
            }
        }
        Ok(())
    }

    fn declare_locals(&mut self, body: &FunctionBody<'_>) -> Result<(), MeterError> {
        let offset = body.range().start;
        if self.first_local().saturating_add(ADDED_LOCALS) > MAX_LOCALS {
            return Err(MeterError::TooManyLocals { offset, limit: MAX_LOCALS - ADDED_LOCALS });
        }
        let locals = body.get_locals_reader()?;
        let groups = locals.get_count();
        let from = locals.original_position();
        let to = body.get_operators_reader()?.original_position();
        leb(self.code, groups.saturating_add(1 + u32::from(self.plan.scratch)));
        self.code.extend_from_slice(self.wasm.get(from..to).ok_or(malformed(from, "no locals"))?);
        self.code.extend([1 + u8::from(self.counted), I64]);
        if self.plan.scratch {
            self.code.extend([1, I32]);
        }
        Ok(())
    }

    /// The beginning of a function: its frame, then its entry. wasmtime looks at both in that order.
    fn enter(&mut self) {
        if self.counted {
            let frame = 1_i64 << 32 | i64::from(self.facts.frame);
            let (stack, saved, counter) = (self.added.stack_global(), self.stack_on_entry(), self.counter());
            op(self.code, GLOBAL_GET, stack);
            op(self.code, LOCAL_TEE, saved);
            self.add(-frame);
            op(self.code, LOCAL_TEE, counter);
            op(self.code, GLOBAL_SET, stack);
            op(self.code, LOCAL_GET, counter);
            i64_const(self.code, STACK_SIGNS);
            self.code.push(I64_AND);
            i64_const(self.code, 0);
            self.code.extend([I64_NE, IF, EMPTY]);
            op(self.code, CALL, self.added.stack_function());
            self.code.push(END);
        }
        let outstanding = self.plan.at_entry();
        op(self.code, GLOBAL_GET, self.added.fuel_global);
        // The function itself costs one.
        self.add(1 - outstanding);
        op(self.code, LOCAL_TEE, self.counter());
        self.look(outstanding, false);
    }

    /// Adds to what is on top of the operand stack.
    fn add(&mut self, value: i64) {
        if value != 0 {
            i64_const(self.code, value);
            self.code.push(I64_ADD);
        }
    }

    /// Looks whether the fuel that was handed out is used up. The counter is read, unless it has just been
    /// put on the operand stack.
    fn look(&mut self, outstanding: i64, read: bool) {
        let counter = self.counter();
        if read {
            op(self.code, LOCAL_GET, counter);
        }
        i64_const(self.code, outstanding.wrapping_neg());
        self.code.extend([I64_GE_S, IF, EMPTY]);
        op(self.code, LOCAL_GET, counter);
        i64_const(self.code, outstanding);
        op(self.code, CALL, self.added.fuel_function());
        op(self.code, LOCAL_SET, counter);
        self.code.push(END);
    }

    /// Ends the straight piece of code at `to`.
    fn close(&mut self, to: usize) -> Result<(), MeterError> {
        self.code.append(self.region);
        self.code.extend_from_slice(self.wasm.get(self.copied..to).ok_or(malformed(to, "no code"))?);
        self.copied = to;
        Ok(())
    }

    /// Adds what is due to the counter.
    fn settle(&mut self, due: i64) {
        if due != 0 {
            op(self.code, LOCAL_GET, self.counter());
            self.add(due);
            op(self.code, LOCAL_SET, self.counter());
        }
    }

    /// Writes the counter back, with all that is outstanding.
    fn store(&mut self, outstanding: i64) {
        op(self.code, LOCAL_GET, self.counter());
        self.add(outstanding);
        op(self.code, GLOBAL_SET, self.added.fuel_global);
    }

    /// Reads the counter behind a call.
    fn reload(&mut self, outstanding: i64) {
        op(self.code, GLOBAL_GET, self.added.fuel_global);
        self.add(outstanding.wrapping_neg());
        op(self.code, LOCAL_SET, self.counter());
    }

    /// The stack has on it what it had on entry.
    fn leave(&mut self) {
        if self.counted {
            op(self.code, LOCAL_GET, self.stack_on_entry());
            op(self.code, GLOBAL_SET, self.added.stack_global());
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), MeterError> {
        let (start, end) = (self.base + step.start as usize, self.base + step.end as usize);
        match step.kind {
            Kind::Reference => {
                self.refer(REF_FUNC, step.target, start, end)?;
                return Ok(());
            }
            Kind::DeadCall => {
                self.refer(CALL, step.target, start, end)?;
                return Ok(());
            }
            _ => {}
        }
        if step.reachable() {
            self.begin(step);
        }
        match step.kind {
            Kind::Call | Kind::HostCall => {
                self.close(start)?;
                op(self.code, CALL, self.added.moved(step.target));
                self.copied = end;
                self.stale = step.kind == Kind::Call;
            }
            Kind::IndirectCall => {
                self.close(end)?;
                self.stale = true;
            }
            Kind::Loop => {
                self.close(end)?;
                let outstanding = self.plan.behind(step);
                self.look(outstanding, true);
            }
            Kind::BranchIf => {
                let due = self.plan.behind(step).wrapping_sub(self.plan.taken(step));
                if due == 0 {
                    return self.close(end);
                }
                self.close(start)?;
                self.code.extend([IF, EMPTY]);
                self.settle(due);
                op(self.code, BR, step.depth.saturating_add(1));
                self.code.push(END);
                self.copied = end;
            }
            Kind::Return => {
                self.close(start)?;
                self.code.push(RETURN);
                self.copied = end;
            }
            Kind::Look => {
                self.close(start)?;
                let outstanding = self.plan.before(step);
                self.look(outstanding, true);
            }
            Kind::ByLength => {
                self.close(start)?;
                let (counter, length) = (self.counter(), self.length());
                op(self.code, LOCAL_TEE, length);
                op(self.code, LOCAL_GET, length);
                self.code.push(I64_EXTEND_I32_U);
                op(self.code, LOCAL_GET, counter);
                self.code.push(I64_ADD);
                op(self.code, LOCAL_TEE, counter);
                let outstanding = self.plan.before(step);
                self.look(outstanding, false);
            }
            Kind::End if self.plan.wraps => {
                self.close(start)?;
                self.code.push(END);
                let outstanding = self.plan.behind(step);
                self.store(outstanding);
                self.leave();
                self.code.push(END);
                self.copied = end;
            }
            _ => self.close(end)?,
        }
        Ok(())
    }

    /// What comes before the straight piece of code that ends with the step.
    fn begin(&mut self, step: &Step) {
        let before = self.plan.before(step);
        let gives_back = step.kind == Kind::Return || step.kind == Kind::End && !self.plan.wraps;
        let writes = gives_back
            || matches!(step.kind, Kind::Call | Kind::HostCall | Kind::IndirectCall | Kind::Unreachable);
        if core::mem::take(&mut self.stale) {
            // Right behind a call, all is written back already.
            if writes && step.cost() == 0 {
                if gives_back {
                    self.leave();
                }
                return;
            }
            let outstanding = before.wrapping_sub(step.cost());
            self.reload(outstanding);
        }
        if writes {
            self.store(before);
        } else if step.settles() {
            let behind = self.plan.behind(step);
            self.settle(before.wrapping_sub(behind));
        }
        if gives_back {
            self.leave();
        }
    }

    /// An operator with the index of a function, which stays within its straight piece of code.
    fn refer(&mut self, opcode: u8, function: u32, start: usize, end: usize) -> Result<(), MeterError> {
        self.region.extend_from_slice(self.wasm.get(self.copied..start).ok_or(malformed(start, "no code"))?);
        op(self.region, opcode, self.added.moved(function));
        self.copied = end;
        Ok(())
    }
}
