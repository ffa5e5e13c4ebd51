//! Constant folding: what the rules do to TX whatever the request, done by the compiler.
//!
//! Rule sets in this language configure themselves: dozens of rules of phase 1 give variables in TX
//! their defaults, hundreds of gates (`TX:level "@lt 2" … skipAfter:END`) pass over what the settings
//! leave out, and every score is added as `%{tx.critical_score}`. None of it depends on the request,
//! all of it would cost time in every one. Here it is done once. What a request can observe stays
//! the same: which rules match, in which order, with which texts, and what disrupts.
//!
//! # What is known
//! Phase 1 is walked in order with an [`Env`]: what each name holds *whenever control comes to this
//! rule*. Where ways meet (the end of a `skipAfter`), what both say is kept, the rest is unknown. A rule
//! whose targets, transformations, operator and argument are known is judged ([`decide()`]); one that
//! cannot be judged may have run or not, so that all it could set is unknown behind it.
//!
//! Names that are the same on all ways out of phase 1, and that no rule of a later phase sets, are
//! constants of the later phases. (These may come in any order or not at all, which is why nothing else
//! is taken from one to another.) Fewer rules left means more constants, so this is repeated until
//! nothing changes; every state on the way is a right one.
//!
//! # Removal
//! `ctl:ruleRemoveBy…` in a rule that cannot be judged may or may not take rules out. `removers(r)` are
//! the controls, of rules that are left, that name `r` and may run before it. A rule with removers may
//! match and yet do nothing: what it sets is unknown, as of any rule that cannot be judged.
//!
//! A gate that is known to match may still go, together with the rules that it passes over, if
//! `removers(gate) ⊆ removers(r)` for each such rule `r` that nothing else leads to: if the gate is
//! there, `r` is passed over. If it was removed, it was by a control that names `r` too, and runs before
//! `r`, which stands behind the gate; so `r` does not run either. That is the case of the Core Rule
//! Set, whose gates carry the tag that its exceptions remove.
//!
//! # Where values go
//! A value that a judged rule sets is put into TX before the transaction begins if nobody can tell the
//! difference: no rule left before it reads or writes the name, and no way around it (a `deny`, `allow`
//! or `skipAfter` before it) leads to a phase in which a rule left reads the name. Where nobody reads a
//! name at all, it is not set. Otherwise the rule stays, without its condition, and with neighbours of
//! its kind in one.

mod decide;
mod env;
mod later;
mod values;

use std::collections::BTreeSet;
use std::ops::Range;

use super::program::{Concern, Program, Step, templates, tx_name};
use super::syntax::{Action, AllowScope, Disruption, Link, Operator, Piece, Rule, Target, Variable};
use decide::{Decision, Outcome, decide, is_pure, reads_last_match};
use env::{Env, Value};

/// What folding did.
#[derive(Clone, Debug, Default)]
pub(super) struct Folded {
    /// What TX holds when a transaction begins: name and text.
    pub init: Vec<(Vec<u8>, Vec<u8>)>,
    /// Rules that never match, or are never reached.
    pub dead: usize,
    /// Rules whose work is done.
    pub done: usize,
    /// Macros that were replaced by their value.
    pub macros: usize,
}

/// A control that may take rules out: the step that it belongs to, and which of its actions it is. (In a
/// chain one may run and another not.)
type Remover = (usize, usize);

/// What becomes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It stays.
    Left,
    /// It never matches or is never reached.
    Dead,
    /// It always matches, and all it does is done.
    Done,
}

/// A value that a rule of phase 1 certainly sets, and what could come between.
struct Setter {
    step: usize,
    sets: Vec<(Vec<u8>, Vec<u8>)>,
    /// The first phase to which a way around the step leads; 6: there is none.
    around: usize,
}

struct Folder<'a> {
    steps: &'a mut [Step],
    phases: [usize; 7],
    /// For each step, those that may take it out.
    removers: Vec<BTreeSet<Remover>>,
    /// For each step, those that may take a target in TX from it.
    tamperers: Vec<BTreeSet<Remover>>,
    fates: Vec<Fate>,
    /// Known to match whenever it runs: it needs no condition.
    always: Vec<bool>,
    /// What is known before each step.
    before: Vec<Env>,
    setters: Vec<Setter>,
    /// Some rule looks at what the last match left: matches must not vanish.
    keeps_matches: bool,
    macros: usize,
}

/// Folds. Steps that are gone are taken from the program.
pub(super) fn fold(program: &mut Program) -> Folded {
    let phases = program.phases();
    let count = program.steps.len();
    let mut folder = Folder {
        keeps_matches: program.steps.iter().any(|step| reads_last_match(&step.rule)),
        removers: concerned(&program.steps, |target| target.is_none()),
        tamperers: concerned(&program.steps, |target| {
            target.is_some_and(|target| target.variable == Variable::Tx)
        }),
        steps: &mut program.steps,
        phases,
        fates: vec![Fate::Left; count],
        always: vec![false; count],
        before: vec![Env::default(); count],
        setters: Vec::new(),
        macros: 0,
    };
    let exits = folder.first_phase();
    folder.later_phases(&exits);
    folder.substitute();
    let init = folder.place_values();
    let Folder { fates, macros, .. } = folder;
    let mut at = 0;
    program.steps.retain(|_| {
        at += 1;
        fates[at - 1] == Fate::Left
    });
    let count = |fate| fates.iter().filter(|&&other| other == fate).count();
    Folded { init, dead: count(Fate::Dead), done: count(Fate::Done), macros }
}

/// What is known where phase 1 is left: by its end, `allow:phase`, `allow:request`, and for good.
#[derive(Default)]
struct Exits {
    phase: Option<Env>,
    request: Option<Env>,
    all: Option<Env>,
}

fn join(into: &mut Option<Env>, env: &Env) {
    match into {
        Some(known) => known.join(env),
        None => *into = Some(env.clone()),
    }
}

impl Folder<'_> {
    fn left(&self, range: Range<usize>) -> impl Iterator<Item = usize> {
        range.filter(|&at| self.fates[at] == Fate::Left)
    }

    /// The controls, of steps left in `range`, that take a rule out.
    fn removers(&self, at: usize, range: Range<usize>) -> BTreeSet<Remover> {
        let runs = |remover: &&Remover| range.contains(&remover.0) && self.fates[remover.0] == Fate::Left;
        self.removers[at].iter().filter(runs).copied().collect()
    }

    /// Whether a control of a step left in `range` may take a target in TX from a rule.
    fn is_tampered(&self, at: usize, range: Range<usize>) -> bool {
        self.tamperers[at].iter().any(|(step, _)| range.contains(step) && self.fates[*step] == Fate::Left)
    }

    /// Walks phase 1.
    fn first_phase(&mut self) -> Exits {
        let end = self.phases[2];
        let mut arriving: Vec<Option<Env>> = vec![None; end + 1];
        let mut exits = Exits::default();
        // The first phase to which the exits so far lead.
        let mut exit_phase = 6;
        let mut current = Some(Env::default());
        for at in 0..end {
            if let Some(env) = arriving[at].take() {
                join(&mut current, &env);
            }
            let Some(env) = current.take() else {
                self.fates[at] = Fate::Dead;
                continue;
            };
            self.before[at] = env.clone();
            let removers = self.removers(at, 0..at);
            let target = self.landing(at, end);
            let Decision { outcome, mut after, sets } =
                decide(&self.steps[at].rule, &env, self.is_tampered(at, 0..at), self.keeps_matches);
            let rule = &self.steps[at].rule;
            let pure = is_pure(rule) && !self.keeps_matches;
            if outcome == Outcome::Fails {
                self.fates[at] = Fate::Dead;
                current = Some(env);
                continue;
            }
            let certain = outcome == Outcome::Matches && removers.is_empty();
            if !certain {
                after.join(&env);
            }
            self.always[at] = outcome == Outcome::Matches && pure;
            // A jump that is as good as certain: what it passes over cannot run.
            let closed = outcome == Outcome::Matches
                && target.is_some_and(|target| {
                    arriving[at + 1..target].iter().all(Option::is_none)
                        && (at + 1..target).all(|over| removers.is_subset(&self.removers(over, 0..at)))
                });
            match &rule.disruption {
                Disruption::Pass => {}
                Disruption::Allow(AllowScope::Phase) => {
                    join(&mut exits.phase, &after);
                    exit_phase = exit_phase.min(2);
                }
                Disruption::Allow(AllowScope::Request) => {
                    join(&mut exits.request, &after);
                    exit_phase = exit_phase.min(3);
                }
                _ => {
                    join(&mut exits.all, &after);
                    exit_phase = exit_phase.min(5);
                }
            }
            let passed_over = arriving[at + 1..].iter().any(Option::is_some);
            if let Some(target) = target {
                join(&mut arriving[target], &after);
            }
            let jumps = target.is_some();
            if outcome == Outcome::Matches && pure && (!jumps || closed) {
                let values: Option<Vec<_>> = sets
                    .iter()
                    .map(|(name, value)| match value {
                        Value::Known(text) => Some((name.clone(), text.clone())),
                        _ => None,
                    })
                    .collect();
                match values {
                    Some(sets) if sets.is_empty() => self.fates[at] = Fate::Done,
                    Some(sets) if certain => {
                        let around = if passed_over { 1 } else { exit_phase };
                        self.setters.push(Setter { step: at, sets, around });
                    }
                    _ => {}
                }
            }
            if !closed {
                current = Some(after);
            }
        }
        if let Some(env) = arriving[end].take() {
            join(&mut current, &env);
        }
        if let Some(env) = current {
            join(&mut exits.phase, &env);
        }
        exits
    }

    /// The step at which a jump ends, at most `end`.
    fn landing(&self, at: usize, end: usize) -> Option<usize> {
        let jump = self.steps[at].jump?;
        Some((at + 1..end).find(|&step| self.steps[step].position >= jump).unwrap_or(end))
    }

    /// Puts what is known in place of macros.
    fn substitute(&mut self) {
        for at in 0..self.steps.len() {
            if self.fates[at] != Fate::Left {
                continue;
            }
            let env = &self.before[at];
            let rule = &mut self.steps[at].rule;
            let writes = Writes::of(rule);
            for template in templates(rule) {
                self.macros += env.substitute(template, &|name| writes.sets(name));
            }
        }
    }
}

/// Which names in TX a rule can set.
#[derive(Clone, Debug, Default)]
struct Writes {
    names: BTreeSet<Vec<u8>>,
    prefixes: BTreeSet<Vec<u8>>,
}

impl Writes {
    fn of(rule: &Rule) -> Self {
        let mut writes = Writes::default();
        for action in rule.links.iter().flat_map(|link| &link.actions) {
            let (Action::SetVar { collection, name, .. } | Action::ExpireVar { collection, name, .. }) =
                action
            else {
                continue;
            };
            if *collection != Variable::Tx {
                continue;
            }
            match (tx_name(*collection, name), name.pieces.first()) {
                (Some(name), _) => {
                    writes.names.insert(name);
                }
                (None, Some(Piece::Literal(text))) => {
                    writes.prefixes.insert(text.to_ascii_lowercase());
                }
                (None, _) => {
                    writes.prefixes.insert(Vec::new());
                }
            }
        }
        writes
    }

    fn sets(&self, name: &[u8]) -> bool {
        self.names.contains(name) || self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }
}

/// For each step, the controls that mean it and pass the test.
fn concerned(steps: &[Step], test: impl Fn(Option<&Target>) -> bool) -> Vec<BTreeSet<Remover>> {
    let mut concerned = vec![BTreeSet::new(); steps.len()];
    for (at, step) in steps.iter().enumerate() {
        for (number, action) in step.rule.links.iter().flat_map(|link| &link.actions).enumerate() {
            let Action::Control(control) = action else { continue };
            let Some(concern) = Concern::new(control).filter(|concern| test(concern.target)) else {
                continue;
            };
            for (other, step) in steps.iter().enumerate() {
                let means = match concern.target {
                    None => concern.means(&step.rule),
                    Some(_) => concern.links(&step.rule).any(|meant| meant),
                };
                if means {
                    concerned[other].insert((at, number));
                }
            }
        }
    }
    concerned
}

/// A link without a condition.
fn bare(link: &mut Link) {
    link.targets.clear();
    link.operator = None::<Operator>;
    link.transformations.clear();
    link.multi_match = false;
}
