//! Where a body's charges are settled.
//!
//! At each place of a function the fuel consumed is the counter's local plus an amount that is
//! *outstanding* there, and that amount is a constant of the place: operators add to it, nothing is
//! emitted for them. Where paths meet they must agree on it; a path that does not must settle the
//! difference, which is to add a constant to the local. As the sum around a loop is never nothing, some
//! must; which ones is free, and this chooses those that are executed least:
//!
//! - *Nodes* are places whose outstanding amount is free: the label of each block, loop and `if`, the
//!   place behind each conditional branch, and those where the local is read from the global, as a
//!   constant can be added to it there for nothing.
//! - *Edges* are what can settle: a straight piece of code between two nodes, and a conditional branch
//!   that is taken, which then takes a detour. Each has a weight, an estimate of how often that costs an
//!   instruction.
//! - Edges are taken up from the heaviest to the lightest. One that joins two parts which nothing joins
//!   yet fixes what is outstanding in one by the other, and need not settle; what is left over does,
//!   unless the sums happen to agree. That is a maximum spanning tree (Knuth, The Art of Computer
//!   Programming, 2.3.4.1, for counting executions with the fewest counters).
//!
//! What is left free is a constant for each part. It is chosen such that nothing is outstanding where the
//! counter is written back most often, so that nothing must be added there.

use alloc::vec::Vec;

use wasmparser::{BlockType, FunctionBody, Operator};

use crate::error::{MeterError, malformed};
use crate::module::Module;
use crate::nodes::Nodes;
use crate::operators::{Bulk, bulk, cost};

/// No node.
const NONE: u32 = u32::MAX;

/// A bulk operation of a constant length up to this is done without a look at the counter, as wasmtime
/// does.
const SMALL_BULK: u32 = 128;

/// What is written otherwise than it was, or ends a straight piece of code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A reference to the function `target`.
    Reference,
    /// A call of the function `target` that is never made.
    DeadCall,
    /// A call of the function `target`, which counts.
    Call,
    /// A call of the function `target` of the host.
    HostCall,
    IndirectCall,
    Loop,
    If,
    Else,
    /// The end of a block, where paths meet.
    Join,
    Branch,
    /// A conditional branch `depth` blocks out.
    BranchIf,
    BranchTable,
    /// A return, or a branch that is one.
    Return,
    Unreachable,
    /// A bulk operation before which the counter is looked at.
    Look,
    /// The same, and it charges by the length on top of the operand stack.
    ByLength,
    /// The end of the body.
    End,
}

/// An operator that the instrumented body differs at, or at which a straight piece of code ends.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    /// Where the operator is, from the beginning of the body.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// The node that leads here, [`NONE`] if this cannot be reached,
    from: u32,
    /// and what is charged from there to here.
    cost: i64,
    /// The node this leads to, if there is but one.
    to: u32,
    /// A function, a label, the node that a conditional branch goes to, or where the labels of a `br_table`
    /// begin.
    pub(crate) target: u32,
    /// How far out a conditional branch goes; how many labels a `br_table` has.
    pub(crate) depth: u32,
    pub(crate) kind: Kind,
    /// How many loops this is in.
    loops: u32,
    /// Whether a conditional branch may take a detour to settle.
    may_detour: bool,
    /// Whether the way on, and the branch that is taken, leave the innermost loop,
    on_leaves: bool,
    taken_leaves: bool,
    /// or lead to a trap.
    on_is_cold: bool,
    taken_is_cold: bool,
    /// Whether the condition of a branch is more likely true than not.
    likely: bool,
    weight: u8,
}

impl Step {
    pub(crate) fn reachable(&self) -> bool {
        self.from != NONE
    }

    /// What is charged since the node that leads here.
    pub(crate) fn cost(&self) -> i64 {
        self.cost
    }

    /// Whether it is at the end of a piece of code that settles if it must.
    pub(crate) fn settles(&self) -> bool {
        self.reachable() && self.to != NONE && !matches!(self.kind, Kind::Call | Kind::IndirectCall)
    }
}

/// A block.
struct Label {
    /// Whether what is behind its end leads to a trap, and whether its `else` does.
    cold: bool,
    else_is_cold: bool,
    has_else: bool,
    /// Loops, by their depth, that can be gone round again from behind its end, and from its `else`. Of a
    /// loop, from its beginning.
    again: u64,
    else_again: u64,
    /// Estimates of how often its end, and its `else`, are come to.
    often: u64,
    else_often: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Construct {
    Body,
    Block,
    Loop,
    If,
    Else,
}

/// A block that is open.
struct Open {
    block: Construct,
    label: u32,
    /// Where its paths meet.
    node: u32,
    /// Behind the condition of an `if`.
    condition: u32,
    /// How many loops this is in, with itself.
    loops: u32,
    /// Whether its beginning can be reached.
    entered: bool,
    /// Whether a branch that can be reached goes to it.
    targeted: bool,
    /// Whether a branch to it takes no values.
    bare: bool,
}

/// How often something is executed, of a function that is called so often.
const ONCE: u64 = 1 << 24;
/// How often a loop goes round, as long as nothing else is known.
const ROUNDS: u64 = 8;
/// Up to here, how long the code is counts for more than how often it is executed.
const RARE: u64 = ONCE / 32;
/// One way of so many leads to a trap, if one does.
const TRAPS: u64 = 64;

/// The weight of what is executed so often: a logarithm in quarters.
fn weight(often: u64) -> u8 {
    let often = often.max(4);
    let exponent = often.ilog2();
    (exponent * 4 + (often >> (exponent - 2) & 3) as u32) as u8
}

/// The plan of one body. It is made again and again in the same place.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// Whether something branches to the function's own label, conditionally.
    pub(crate) wraps: bool,
    /// Whether a bulk operation is charged by a length that only shows at run time.
    pub(crate) scratch: bool,
    base: usize,
    nodes: Nodes,
    labels: Vec<Label>,
    open: Vec<Open>,
    /// Labels of `br_table`s.
    targets: Vec<u32>,
    /// The weights of branches that may take a detour.
    detours: Vec<u8>,
    edges: Vec<u32>,
    entry: u32,
    /// Whether what was put on the operand stack last is more likely true than not, if that is told by the
    /// operator: numbers that are compared are seldom equal.
    likely: Option<bool>,
    /// Where the reader is: the node that leads there, and what is charged from it.
    node: u32,
    cost: i64,
    reachable: bool,
}

impl Plan {
    /// Reads a body and settles it.
    pub(crate) fn make(
        &mut self,
        module: &Module<'_>,
        imported_functions: u32,
        index: usize,
        body: &FunctionBody<'_>,
    ) -> Result<(), MeterError> {
        self.steps.clear();
        self.nodes.clear();
        self.labels.clear();
        self.open.clear();
        self.targets.clear();
        (self.wraps, self.scratch, self.likely) = (false, false, None);
        self.base = body.range().start;
        self.entry = self.nodes.push();
        (self.node, self.cost, self.reachable) = (self.entry, 0, true);
        let bare = module.type_of(index, self.base)?.results().is_empty();
        self.open(Construct::Body, bare, self.base, self.base);
        let mut reader = body.get_operators_reader()?;
        let mut constant = None;
        while !reader.eof() {
            let (operator, start) = reader.read_with_offset()?;
            let end = reader.original_position();
            self.operator(module, imported_functions, &operator, constant, start, end)?;
            self.likely = match operator {
                Operator::I32Eqz | Operator::I64Eqz | Operator::I32Eq | Operator::I64Eq => Some(false),
                Operator::I32Ne | Operator::I64Ne => Some(true),
                _ => None,
            };
            constant = match operator {
                Operator::I32Const { value } => Some(value as u32),
                _ => None,
            };
        }
        self.look_ahead();
        self.weigh();
        self.span();
        self.fix();
        Ok(())
    }

    /// What is outstanding where the function begins.
    pub(crate) fn at_entry(&mut self) -> i64 {
        self.nodes.outstanding(self.entry)
    }

    /// What is outstanding at the step, if nothing is settled on the way.
    pub(crate) fn before(&mut self, step: &Step) -> i64 {
        self.nodes.outstanding(step.from).wrapping_add(step.cost)
    }

    /// What is to be outstanding behind the step, where it leads to a node.
    pub(crate) fn behind(&mut self, step: &Step) -> i64 {
        self.nodes.outstanding(step.to)
    }

    /// What is to be outstanding where the conditional branch goes.
    pub(crate) fn taken(&mut self, step: &Step) -> i64 {
        self.nodes.outstanding(step.target)
    }

    fn push(&mut self, kind: Kind, to: u32, target: u32, start: usize, end: usize) {
        self.steps.push(Step {
            start: (start - self.base) as u32,
            end: (end - self.base) as u32,
            from: if self.reachable { self.node } else { NONE },
            cost: self.cost,
            to,
            target,
            depth: 0,
            kind,
            loops: self.loops(),
            may_detour: false,
            on_leaves: false,
            taken_leaves: false,
            on_is_cold: false,
            taken_is_cold: false,
            likely: self.likely.unwrap_or(kind == Kind::If),
            weight: 0,
        });
    }

    /// The reader goes on from a node.
    fn go_on(&mut self, node: u32) {
        (self.node, self.cost) = (node, 0);
    }

    fn open(&mut self, block: Construct, bare: bool, start: usize, end: usize) {
        let node = self.nodes.push();
        let label = self.labels.len() as u32;
        let mut condition = NONE;
        if self.reachable && block == Construct::Loop {
            self.push(Kind::Loop, node, label, start, end);
            self.go_on(node);
        }
        if self.reachable && block == Construct::If {
            condition = self.nodes.push();
            self.push(Kind::If, condition, label, start, end);
            self.go_on(condition);
        }
        let loops = self.loops() + u32::from(block == Construct::Loop);
        let again = if block == Construct::Loop { rounds(loops) } else { 0 };
        let entered = self.reachable;
        self.labels.push(Label {
            cold: false,
            else_is_cold: false,
            has_else: false,
            again,
            else_again: 0,
            often: 0,
            else_often: 0,
        });
        self.open.push(Open { block, label, node, condition, loops, entered, targeted: false, bare });
    }

    /// How many loops the reader is in.
    fn loops(&self) -> u32 {
        self.open.last().map_or(0, |inner| inner.loops)
    }

    /// The block that a branch goes to, by its place among those that are open.
    fn target(&mut self, depth: u32, offset: usize) -> Result<usize, MeterError> {
        let at = self.open.len().checked_sub(depth as usize + 1);
        let at = at.ok_or(malformed(offset, "a branch to no label"))?;
        self.open[at].targeted = true;
        Ok(at)
    }

    fn operator(
        &mut self,
        module: &Module<'_>,
        imported_functions: u32,
        operator: &Operator<'_>,
        constant: Option<u32>,
        start: usize,
        end: usize,
    ) -> Result<(), MeterError> {
        if self.reachable {
            self.cost = self.cost.saturating_add(cost(operator));
        }
        let results = |ty: BlockType| module.block_arity(ty, start).map(|(_, results)| results);
        match *operator {
            Operator::Block { blockty } => self.open(Construct::Block, results(blockty)? == 0, start, end),
            Operator::Loop { blockty } => {
                let (params, _) = module.block_arity(blockty, start)?;
                self.open(Construct::Loop, params == 0, start, end);
            }
            Operator::If { blockty } => self.open(Construct::If, results(blockty)? == 0, start, end),
            Operator::Else => self.arm(start, end)?,
            Operator::End => self.end(start, end)?,
            Operator::RefFunc { function_index } => {
                self.push(Kind::Reference, NONE, function_index, start, end);
            }
            Operator::Call { function_index } => {
                if !self.reachable {
                    self.push(Kind::DeadCall, NONE, function_index, start, end);
                } else if function_index < imported_functions {
                    // It charges nothing: the local still holds.
                    self.push(Kind::HostCall, NONE, function_index, start, end);
                } else {
                    let node = self.nodes.push();
                    self.push(Kind::Call, node, function_index, start, end);
                    self.go_on(node);
                }
            }
            // What cannot be reached is copied.
            _ if !self.reachable => {}
            Operator::CallIndirect { .. } => {
                let node = self.nodes.push();
                self.push(Kind::IndirectCall, node, 0, start, end);
                self.go_on(node);
            }
            Operator::Br { relative_depth } if relative_depth as usize + 1 == self.open.len() => {
                self.push(Kind::Return, NONE, 0, start, end);
                self.reachable = false;
            }
            Operator::Return => {
                self.push(Kind::Return, NONE, 0, start, end);
                self.reachable = false;
            }
            Operator::Unreachable => {
                self.push(Kind::Unreachable, NONE, 0, start, end);
                self.reachable = false;
            }
            Operator::Br { relative_depth } => {
                let at = self.target(relative_depth, start)?;
                let Open { node, label, .. } = self.open[at];
                self.push(Kind::Branch, node, label, start, end);
                self.reachable = false;
            }
            Operator::BrIf { relative_depth } => self.branch_if(relative_depth, start, end)?,
            Operator::BrTable { ref targets } => {
                let node = self.nodes.push();
                let first = self.targets.len();
                self.push(Kind::BranchTable, node, first as u32, start, end);
                for depth in targets.targets().chain(core::iter::once(Ok(targets.default()))) {
                    let at = self.target(depth?, start)?;
                    self.wraps |= at == 0;
                    // Its paths cannot differ.
                    self.nodes.join(node, self.open[at].node, 0);
                    self.targets.push(self.open[at].label);
                }
                if let Some(step) = self.steps.last_mut() {
                    step.depth = (self.targets.len() - first) as u32;
                }
                self.reachable = false;
            }
            _ => {
                if let Some(how) = bulk(operator) {
                    self.bulk(how, constant, start);
                }
            }
        }
        Ok(())
    }

    fn branch_if(&mut self, depth: u32, start: usize, end: usize) -> Result<(), MeterError> {
        let at = self.target(depth, start)?;
        self.wraps |= at == 0;
        let Open { node, label, bare, .. } = self.open[at];
        let behind = self.nodes.push();
        self.push(Kind::BranchIf, behind, node, start, end);
        if !bare {
            self.nodes.join(behind, node, 0);
        }
        if let Some(step) = self.steps.last_mut() {
            step.depth = depth;
            step.may_detour = bare;
        }
        self.targets.push(label);
        self.go_on(behind);
        Ok(())
    }

    fn bulk(&mut self, how: Bulk, constant: Option<u32>, start: usize) {
        match (how, constant) {
            (Bulk::ByLength, None) => {
                self.scratch = true;
                self.push(Kind::ByLength, NONE, 0, start, start);
            }
            (Bulk::ByLength, Some(length)) => {
                self.cost = self.cost.saturating_add(i64::from(length));
                if length > SMALL_BULK {
                    self.push(Kind::Look, NONE, 0, start, start);
                }
            }
            (Bulk::Free, None) => self.push(Kind::Look, NONE, 0, start, start),
            (Bulk::Free, Some(_)) => {}
        }
    }

    /// `else`: the end of one arm, the beginning of the other.
    fn arm(&mut self, start: usize, end: usize) -> Result<(), MeterError> {
        let reachable = self.reachable;
        let Some(top) = self.open.last_mut() else { return Err(malformed(start, "an `else` of nothing")) };
        if top.block != Construct::If {
            return Err(malformed(start, "an `else` without an `if`"));
        }
        top.block = Construct::Else;
        top.targeted |= reachable;
        let Open { node, label, condition, entered, .. } = *top;
        if entered {
            self.push(Kind::Else, node, label, start, end);
            self.go_on(condition);
        }
        self.reachable = entered;
        Ok(())
    }

    fn end(&mut self, start: usize, end: usize) -> Result<(), MeterError> {
        let open = self.open.pop().ok_or(malformed(start, "an end of nothing"))?;
        let meets = match open.block {
            Construct::Body => {
                let node = if open.targeted { open.node } else { NONE };
                self.push(Kind::End, node, open.label, start, end);
                return Ok(());
            }
            // Only the way through leads here: the straight piece of code goes on.
            Construct::Loop => false,
            Construct::Block => open.targeted,
            Construct::If | Construct::Else => open.entered,
        };
        if meets {
            self.push(Kind::Join, open.node, open.label, start, end);
            self.go_on(open.node);
        }
        match open.block {
            Construct::If => {
                if open.entered {
                    self.nodes.join(open.condition, open.node, 0);
                }
                self.reachable = open.entered;
            }
            _ => self.reachable |= open.targeted && open.block != Construct::Loop,
        }
        Ok(())
    }

    /// Finds what leads to a trap or out of a loop, backwards.
    fn look_ahead(&mut self) {
        let Plan { steps, labels, targets, .. } = self;
        let (mut cold, mut again) = (false, 0_u64);
        // The labels of branches are behind one another in the order of their steps.
        let mut from = targets.len();
        for step in steps.iter_mut().rev() {
            let own = if step.loops == 0 { 0 } else { 1 << (step.loops - 1).min(63) };
            match step.kind {
                Kind::End | Kind::Return => (cold, again) = (false, 0),
                Kind::Unreachable => (cold, again) = (true, 0),
                Kind::Loop => again &= rounds(step.loops),
                Kind::Join => {
                    let label = &mut labels[step.target as usize];
                    (label.cold, label.again) = (cold, again);
                }
                Kind::Else => {
                    let label = &mut labels[step.target as usize];
                    (label.else_is_cold, label.else_again, label.has_else) = (cold, again, true);
                    (cold, again) = (label.cold, label.again);
                }
                Kind::If => {
                    let label = &labels[step.target as usize];
                    let (taken, taken_again) = if label.has_else {
                        (label.else_is_cold, label.else_again)
                    } else {
                        (label.cold, label.again)
                    };
                    (step.on_is_cold, step.taken_is_cold) = (cold, taken);
                    (step.on_leaves, step.taken_leaves) = (again & own == 0, taken_again & own == 0);
                    cold &= taken;
                    again |= taken_again;
                }
                Kind::Branch => {
                    let label = &labels[step.target as usize];
                    (cold, again) = (label.cold, label.again);
                }
                Kind::BranchIf => {
                    from -= 1;
                    let label = &labels[targets[from] as usize];
                    (step.on_is_cold, step.taken_is_cold) = (cold, label.cold);
                    (step.on_leaves, step.taken_leaves) = (again & own == 0, label.again & own == 0);
                    cold &= label.cold;
                    again |= label.again;
                }
                Kind::BranchTable => {
                    from = step.target as usize;
                    let to = step.depth as usize;
                    (cold, again) = (true, 0);
                    for &label in &targets[from..from + to] {
                        let label = &labels[label as usize];
                        cold &= label.cold;
                        again |= label.again;
                    }
                }
                _ => {}
            }
        }
    }

    /// Estimates how often each piece of code is executed, forwards.
    fn weigh(&mut self) {
        let Plan { steps, labels, targets, detours, .. } = self;
        detours.clear();
        let mut often = ONCE;
        let mut from = 0;
        for step in steps.iter_mut() {
            step.weight = weight(often);
            match step.kind {
                Kind::Loop => often = often.saturating_mul(ROUNDS),
                Kind::If => {
                    let otherwise = taken(step, often);
                    let label = &mut labels[step.target as usize];
                    if label.has_else {
                        label.else_often = otherwise;
                    } else {
                        label.often = label.often.saturating_add(otherwise);
                    }
                    often -= otherwise;
                }
                Kind::Else => {
                    let label = &mut labels[step.target as usize];
                    label.often = label.often.saturating_add(often);
                    often = label.else_often;
                }
                Kind::Join => {
                    let label = &mut labels[step.target as usize];
                    label.often = label.often.saturating_add(often);
                    often = label.often;
                }
                Kind::Branch => {
                    let label = &mut labels[step.target as usize];
                    label.often = label.often.saturating_add(often);
                    often = 0;
                }
                Kind::BranchIf => {
                    let taken = taken(step, often);
                    let label = &mut labels[targets[from] as usize];
                    label.often = label.often.saturating_add(taken);
                    from += 1;
                    often -= taken;
                    if step.may_detour {
                        // The detour has a branch more, and is longer.
                        detours.push(weight(taken.saturating_mul(2).max(RARE)));
                    }
                }
                Kind::BranchTable => {
                    let to = from + step.depth as usize;
                    for &label in &targets[from..to] {
                        let label = &mut labels[label as usize];
                        label.often = label.often.saturating_add(often / u64::from(step.depth.max(1)));
                    }
                    from = to;
                    often = 0;
                }
                Kind::Return | Kind::Unreachable => often = 0,
                _ => {}
            }
        }
    }

    /// Joins nodes, along the heaviest edges first.
    fn span(&mut self) {
        let Plan { steps, nodes, detours, edges, .. } = self;
        // An edge is a step, with a bit for the branch that is taken. They are sorted by counting.
        let each = |visit: &mut dyn FnMut(usize, u32)| {
            let mut detours = detours.iter();
            for (at, step) in steps.iter().enumerate() {
                let edge = (at as u32) << 1;
                if step.may_detour
                    && let Some(&weight) = detours.next()
                {
                    visit(usize::from(u8::MAX - weight), edge | 1);
                }
                if step.settles() {
                    visit(usize::from(u8::MAX - step.weight), edge);
                }
            }
        };
        let mut first = [0_u32; 257];
        each(&mut |class, _| first[class + 1] += 1);
        for class in 1..first.len() {
            first[class] += first[class - 1];
        }
        edges.clear();
        edges.resize(first[256] as usize, 0);
        each(&mut |class, edge| {
            edges[first[class] as usize] = edge;
            first[class] += 1;
        });
        for &edge in edges.iter() {
            let step = &steps[edge as usize >> 1];
            if edge & 1 != 0 {
                nodes.join(step.to, step.target, 0);
            } else {
                nodes.join(step.from, step.to, step.cost);
            }
        }
    }

    /// Chooses what is free: what is outstanding in each part that is joined.
    fn fix(&mut self) {
        let Plan { steps, nodes, entry, .. } = self;
        nodes.begin_to_fix();
        for step in steps.iter() {
            let (node, cost) = match step.kind {
                Kind::End if step.to != NONE => (step.to, 0),
                Kind::Call | Kind::HostCall | Kind::IndirectCall | Kind::Return | Kind::End
                    if step.reachable() =>
                {
                    (step.from, step.cost)
                }
                _ => continue,
            };
            nodes.fix(node, cost.wrapping_neg(), step.weight.max(2));
        }
        // Where nothing is written back, nothing is added to what is read.
        nodes.fix(*entry, 1, 1);
        for step in steps.iter().filter(|step| matches!(step.kind, Kind::Call | Kind::IndirectCall)) {
            nodes.fix(step.to, 0, 1);
        }
    }
}

/// Loops up to this depth.
fn rounds(loops: u32) -> u64 {
    if loops >= 64 { u64::MAX } else { (1 << loops) - 1 }
}

/// How often the branch is taken of a step that is executed so often; of an `if`, how often its `else` is.
///
/// Guesses after Ball and Larus, Branch Prediction for Free. Where none applies, the way on is the likely
/// one: compilers lay code out like that.
fn taken(step: &Step, often: u64) -> u64 {
    let (seldom, is_seldom) = if step.taken_is_cold != step.on_is_cold {
        (often / TRAPS, step.taken_is_cold)
    } else if step.loops > 0 && step.taken_leaves != step.on_leaves {
        (often / ROUNDS, step.taken_leaves)
    } else {
        (often / 4, step.likely == (step.kind == Kind::If))
    };
    if is_seldom { seldom } else { often - seldom }
}
