//! Writes the bodies anew.
//!
//! At each place of a function the fuel consumed is the counter plus an amount that is *outstanding*
//! there, and that amount is a constant of the place: operators add to it, nothing is emitted for them.
//! Where two paths meet, both must have the same outstanding amount, so each label has one:
//!
//! - a loop has that of its entry, an `if` that behind its condition: their other paths settle the
//!   difference;
//! - a block has that of the first branch to it: later branches and the way through its end settle the
//!   difference, which may be negative;
//! - a label of a `br_table` has none, as its paths cannot differ: all is settled before.
//!
//! To settle is to add a constant to the counter's local. It is done at the start of the straight piece of
//! code at whose end it is due: all of that is executed or traps, and there are no operands under way
//! that an interpreter would have to put aside. The counter's global is written at such places too.

use alloc::vec::Vec;

use wasmparser::{FunctionBody, Operator};

use crate::binary::{
    BLOCK, CALL, EMPTY, END, GLOBAL_GET, GLOBAL_SET, I32, I64, I64_ADD, I64_AND, I64_EXTEND_I32_U, I64_GE_S,
    I64_NE, I64_SUB, IF, LOCAL_GET, LOCAL_SET, LOCAL_TEE, REF_FUNC, RETURN, i64_const, leb, op,
};
use crate::error::{MeterError, malformed, unsupported};
use crate::module::{Module, value_type};
use crate::operators::{Bulk, bulk, cost};
use crate::scan::{ADDED_LOCALS, Facts, FunctionFacts};

/// Locals a function may have: what validators agree upon.
const MAX_LOCALS: u32 = 50_000;

/// A bulk operation of a constant length up to this is done without a look at the counter, as wasmtime
/// does.
const SMALL_BULK: u32 = 128;

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
        for (index, body) in bodies.iter().enumerate() {
            let (Some(facts), Some(&counted)) = (self.facts.functions.get(index), self.counted.get(index))
            else {
                return Err(malformed(body.range().start, "a body that was not read"));
            };
            body_code.clear();
            region.clear();
            let mut function = Function {
                wasm: self.wasm,
                added: &self.added,
                facts,
                pins: &self.facts.pins[facts.pins.clone()],
                counted,
                wrapped: false,
                code: &mut body_code,
                region: &mut region,
                copied: 0,
                outstanding: 1,
                reachable: true,
                labels: Vec::new(),
                blocks: 0,
                constant: None,
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Body,
    Block,
    Loop,
    If,
    Else,
}

/// A block that is open.
struct Label {
    /// What is outstanding where its paths meet, as soon as that is fixed.
    outstanding: Option<i64>,
    kind: Kind,
    /// Whether its beginning can be reached.
    entered: bool,
    /// Whether a branch that can be reached goes to it.
    targeted: bool,
}

/// One body while it is written.
struct Function<'f> {
    wasm: &'f [u8],
    added: &'f Added,
    facts: &'f FunctionFacts,
    pins: &'f [u32],
    counted: bool,
    wrapped: bool,
    code: &'f mut Vec<u8>,
    /// The straight piece of code that has been begun, as far as it is not a mere copy.
    region: &'f mut Vec<u8>,
    /// Up to where the body is in `code` or `region`; what follows is to be copied.
    copied: usize,
    outstanding: i64,
    reachable: bool,
    labels: Vec<Label>,
    blocks: u32,
    /// The constant that was just put on the operand stack.
    constant: Option<u32>,
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
        let results = module.type_of(index, offset)?.results().to_vec();
        if self.facts.wraps {
            if results.iter().any(|&ty| value_type(ty).is_none()) {
                return Err(unsupported(offset, "a result of such a type"));
            }
            self.wrapped = true;
            self.code.push(BLOCK);
            module.push_block_type(self.code, &results);
        }
        self.labels.push(Label {
            outstanding: self.facts.pinned.then_some(0),
            kind: Kind::Body,
            entered: true,
            targeted: false,
        });
        let mut reader = body.get_operators_reader()?;
        self.copied = reader.original_position();
        while !reader.eof() {
            let (operator, start) = reader.read_with_offset()?;
            self.operator(&operator, start, reader.original_position())?;
            if self.code.len() > self.limit {
                return Err(MeterError::TooLarge { offset: start, limit: self.limit });
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
        leb(self.code, groups.saturating_add(1 + u32::from(self.facts.scratch)));
        self.code.extend_from_slice(self.wasm.get(from..to).ok_or(malformed(from, "no locals"))?);
        self.code.extend([1 + u8::from(self.counted), I64]);
        if self.facts.scratch {
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
            i64_const(self.code, frame);
            self.code.push(I64_SUB);
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
        op(self.code, GLOBAL_GET, self.added.fuel_global);
        op(self.code, LOCAL_TEE, self.counter());
        self.look(false);
    }

    /// Looks whether the fuel that was handed out is used up. The counter is read, unless it has just been
    /// put on the operand stack.
    fn look(&mut self, read: bool) {
        let counter = self.counter();
        if read {
            op(self.code, LOCAL_GET, counter);
        }
        i64_const(self.code, -self.outstanding);
        self.code.extend([I64_GE_S, IF, EMPTY]);
        op(self.code, LOCAL_GET, counter);
        i64_const(self.code, self.outstanding);
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

    /// Before the straight piece of code: leaves `outstanding` outstanding at its end.
    fn settle(&mut self, outstanding: i64) {
        let due = self.outstanding - outstanding;
        if due != 0 {
            op(self.code, LOCAL_GET, self.counter());
            i64_const(self.code, due);
            self.code.push(I64_ADD);
            op(self.code, LOCAL_SET, self.counter());
        }
        self.outstanding = outstanding;
    }

    /// Writes the counter back, with all that is outstanding.
    fn store(&mut self) {
        op(self.code, LOCAL_GET, self.counter());
        if self.outstanding != 0 {
            i64_const(self.code, self.outstanding);
            self.code.push(I64_ADD);
        }
        op(self.code, GLOBAL_SET, self.added.fuel_global);
    }

    /// The end of a function, before its results are put on the operand stack or behind that.
    fn leave(&mut self) {
        self.store();
        if self.counted {
            op(self.code, LOCAL_GET, self.stack_on_entry());
            op(self.code, GLOBAL_SET, self.added.stack_global());
        }
    }

    fn label(&mut self, depth: u32, offset: usize) -> Result<&mut Label, MeterError> {
        self.labels.iter_mut().rev().nth(depth as usize).ok_or(malformed(offset, "a branch to no label"))
    }

    /// Settles for a branch to the label.
    fn branch(&mut self, depth: u32, offset: usize) -> Result<(), MeterError> {
        let outstanding = self.outstanding;
        let label = self.label(depth, offset)?;
        label.targeted = true;
        let target = *label.outstanding.get_or_insert(outstanding);
        self.settle(target);
        Ok(())
    }

    /// Opens a block. Whether a `br_table` goes to it was found before.
    fn open(&mut self, kind: Kind, end: usize) -> Result<(), MeterError> {
        let pinned = self.pins.binary_search(&self.blocks).is_ok();
        self.blocks += 1;
        let mut outstanding = pinned.then_some(0);
        if self.reachable {
            match kind {
                Kind::Loop | Kind::If => {
                    if pinned {
                        self.settle(0);
                    }
                    outstanding = Some(self.outstanding);
                    self.close(end)?;
                    if kind == Kind::Loop {
                        self.look(true);
                    }
                }
                Kind::Body | Kind::Block | Kind::Else => {}
            }
        }
        self.labels.push(Label { outstanding, kind, entered: self.reachable, targeted: false });
        Ok(())
    }

    fn operator(&mut self, operator: &Operator<'_>, start: usize, end: usize) -> Result<(), MeterError> {
        let constant = self.constant.take();
        if self.reachable {
            self.outstanding += cost(operator);
        }
        match *operator {
            Operator::Block { .. } => self.open(Kind::Block, end)?,
            Operator::Loop { .. } => self.open(Kind::Loop, end)?,
            Operator::If { .. } => self.open(Kind::If, end)?,
            Operator::Else => self.arm(start, end)?,
            Operator::End => self.end(start, end)?,
            Operator::Call { function_index } => self.call(function_index, start, end)?,
            Operator::RefFunc { function_index } => {
                self.region
                    .extend_from_slice(self.wasm.get(self.copied..start).ok_or(malformed(start, "no code"))?);
                op(self.region, REF_FUNC, self.added.moved(function_index));
                self.copied = end;
            }
            // What cannot be reached is copied.
            _ if !self.reachable => {}
            Operator::Br { relative_depth } if relative_depth as usize + 1 == self.labels.len() => {
                self.give_back(start, end)?;
            }
            Operator::Br { relative_depth } => {
                self.branch(relative_depth, start)?;
                self.close(end)?;
                self.reachable = false;
            }
            Operator::BrIf { relative_depth } => {
                self.branch(relative_depth, start)?;
                self.close(end)?;
            }
            Operator::BrTable { ref targets } => {
                self.settle(0);
                for target in targets.targets() {
                    self.label(target?, start)?.targeted = true;
                }
                self.label(targets.default(), start)?.targeted = true;
                self.close(end)?;
                self.reachable = false;
            }
            Operator::Return => self.give_back(start, end)?,
            Operator::Unreachable => {
                self.store();
                self.close(end)?;
                self.reachable = false;
            }
            Operator::CallIndirect { .. } => {
                self.store();
                self.close(end)?;
                self.reload();
            }
            Operator::I32Const { value } => self.constant = Some(value as u32),
            _ => {
                if let Some(how) = bulk(operator) {
                    self.bulk(how, constant, start)?;
                }
            }
        }
        Ok(())
    }

    /// A return, or a branch that is one.
    fn give_back(&mut self, start: usize, end: usize) -> Result<(), MeterError> {
        self.leave();
        self.close(start)?;
        self.code.push(RETURN);
        self.copied = end;
        self.reachable = false;
        Ok(())
    }

    fn call(&mut self, function: u32, start: usize, end: usize) -> Result<(), MeterError> {
        if self.reachable {
            self.store();
        }
        self.close(start)?;
        op(self.code, CALL, self.added.moved(function));
        self.copied = end;
        // A host function charges nothing: the local still holds.
        if self.reachable && function >= self.added.imported_functions {
            self.reload();
        }
        Ok(())
    }

    fn reload(&mut self) {
        op(self.code, GLOBAL_GET, self.added.fuel_global);
        op(self.code, LOCAL_SET, self.counter());
        self.outstanding = 0;
    }

    fn bulk(&mut self, how: Bulk, constant: Option<u32>, start: usize) -> Result<(), MeterError> {
        if let Some(length) = constant {
            let price = if how == Bulk::ByLength { length } else { 0 };
            self.outstanding = self.outstanding.saturating_add(i64::from(price));
            if price > SMALL_BULK {
                self.close(start)?;
                self.look(true);
            }
            return Ok(());
        }
        self.close(start)?;
        if how == Bulk::ByLength {
            let (counter, length) = (self.counter(), self.length());
            op(self.code, LOCAL_TEE, length);
            op(self.code, LOCAL_GET, length);
            self.code.push(I64_EXTEND_I32_U);
            op(self.code, LOCAL_GET, counter);
            self.code.push(I64_ADD);
            op(self.code, LOCAL_TEE, counter);
        }
        self.look(how == Bulk::Free);
        Ok(())
    }

    /// `else`: the end of one arm, the beginning of the other.
    fn arm(&mut self, start: usize, end: usize) -> Result<(), MeterError> {
        let label = self.label(0, start)?;
        if label.kind != Kind::If {
            return Err(malformed(start, "an `else` without an `if`"));
        }
        label.kind = Kind::Else;
        let (entered, outstanding) = (label.entered, label.outstanding);
        if self.reachable {
            label_targeted(&mut self.labels);
        }
        self.leave_block(outstanding, end)?;
        self.reachable = entered;
        Ok(())
    }

    /// The way through the end of a block to where its paths meet.
    fn leave_block(&mut self, outstanding: Option<i64>, end: usize) -> Result<(), MeterError> {
        let Some(outstanding) = outstanding else { return Ok(()) };
        if self.reachable {
            self.settle(outstanding);
        }
        self.close(end)?;
        self.outstanding = outstanding;
        Ok(())
    }

    fn end(&mut self, start: usize, end: usize) -> Result<(), MeterError> {
        let label = self.labels.pop().ok_or(malformed(start, "an end of nothing"))?;
        match label.kind {
            Kind::Body => return self.end_of_body(&label, start, end),
            // Only the way through leads here: the straight piece of code goes on.
            Kind::Loop => {}
            Kind::Block if !label.targeted => {}
            Kind::Block | Kind::Else => {
                self.leave_block(label.outstanding, end)?;
                self.reachable |= label.targeted;
            }
            Kind::If => {
                self.leave_block(label.outstanding, end)?;
                self.reachable = label.entered;
            }
        }
        Ok(())
    }

    fn end_of_body(&mut self, label: &Label, start: usize, end: usize) -> Result<(), MeterError> {
        if self.wrapped {
            if label.targeted {
                self.leave_block(label.outstanding, start)?;
                self.reachable = true;
            } else {
                self.close(start)?;
            }
            self.code.push(END);
            if self.reachable {
                self.leave();
            }
            self.code.push(END);
            self.copied = end;
            return Ok(());
        }
        if self.reachable {
            self.leave();
        }
        self.close(end)
    }
}

/// The `if` arm reaches the end of its block.
fn label_targeted(labels: &mut [Label]) {
    if let Some(label) = labels.last_mut() {
        label.targeted = true;
    }
}
