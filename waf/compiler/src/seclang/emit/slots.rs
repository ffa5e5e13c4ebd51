//! Which matchers look at which values, behind which pipelines.

use std::collections::{BTreeMap, BTreeSet};

use picket_seclang::Variable;
use picket_seclang::format::{NONE16, Slot, VariableInfo};

use super::super::error::{Error, fit};
use super::super::syntax::{Selector, Target, TargetMode};
use super::pipelines::Triggers;
use super::pool::{BitSets, Bytes};

/// What looks at a value: pipelines, and the matchers behind each.
pub(super) type Watchers = BTreeMap<usize, BTreeSet<usize>>;

/// Watchers by variable: of all keys, and of single ones.
#[derive(Default)]
pub(super) struct Slots {
    general: BTreeMap<Variable, Watchers>,
    keyed: BTreeMap<Variable, BTreeMap<Vec<u8>, Watchers>>,
    named: BTreeSet<Variable>,
}

/// The variables that hold what a target names.
pub(super) fn stored(variable: Variable) -> &'static [Variable] {
    const ALL: &[Variable] = Variable::ALL;
    match variable {
        Variable::Args => &[Variable::ArgsGet, Variable::ArgsPost],
        Variable::ArgsNames => &[Variable::ArgsGetNames, Variable::ArgsPostNames],
        other => ALL.get(other as usize..=other as usize).unwrap_or(&[]),
    }
}

impl Slots {
    /// Notes that some rule names the variable.
    pub fn name(&mut self, variable: Variable) {
        self.named.insert(variable);
        self.named.extend(stored(variable));
        if variable == Variable::FullRequest {
            // It is put together from them.
            self.named.insert(Variable::RequestHeaders);
        }
    }

    /// Notes that a matcher looks at a target's values behind pipelines.
    pub fn watch(&mut self, target: &Target, pipelines: &[usize], matcher: usize) {
        if target.mode != TargetMode::Inspect {
            return;
        }
        for &variable in stored(target.variable) {
            let watchers = match &target.selector {
                Selector::Key(key) => {
                    self.keyed.entry(variable).or_default().entry(key.to_ascii_lowercase()).or_default()
                }
                _ => self.general.entry(variable).or_default(),
            };
            for &pipeline in pipelines {
                watchers.entry(pipeline).or_default().insert(matcher);
            }
        }
    }

    /// The matchers behind each of the first `count` pipelines, whatever they look at.
    pub fn behind(&self, count: usize) -> Vec<BTreeSet<usize>> {
        let mut behind = vec![BTreeSet::new(); count];
        let keyed = self.keyed.values().flat_map(BTreeMap::values);
        for (&pipeline, matchers) in self.general.values().chain(keyed).flatten() {
            if let Some(behind) = behind.get_mut(pipeline) {
                behind.extend(matchers);
            }
        }
        behind
    }

    /// The records of variables and slots.
    pub fn emit(
        self,
        triggers: &[Triggers],
        has_literals: &dyn Fn(usize) -> bool,
        wants: &mut dyn FnMut(&Watchers) -> Result<u32, Error>,
        strings: &mut Bytes,
        sets: &mut BitSets,
    ) -> Result<(Vec<VariableInfo>, Vec<Slot>), Error> {
        let mut infos = vec![VariableInfo { slot: NONE16, keyed: NONE16, keyed_count: 0, used: 0 }; 256];
        let mut slots = Vec::new();
        for variable in Variable::ALL {
            let info = &mut infos[*variable as usize];
            info.used = u8::from(self.named.contains(variable));
            let none = Watchers::new();
            let general = self.general.get(variable).unwrap_or(&none);
            if !general.is_empty() {
                info.slot = fit("slots", slots.len(), usize::from(NONE16) - 1)?;
                let record = slot(&[], general, triggers, has_literals, strings, sets)?;
                slots.push(Slot { number: info.slot, wants: wants(general)?, ..record });
            }
            if let Some(keyed) = self.keyed.get(variable) {
                info.keyed = fit("slots", slots.len(), usize::from(NONE16) - 1)?;
                info.keyed_count = fit("slots of a variable", keyed.len(), usize::from(u16::MAX))?;
                for (key, watchers) in keyed {
                    let mut all = general.clone();
                    for (pipeline, matchers) in watchers {
                        all.entry(*pipeline).or_default().extend(matchers);
                    }
                    let number = fit("slots", slots.len(), usize::from(NONE16) - 1)?;
                    let record = slot(key, &all, triggers, has_literals, strings, sets)?;
                    slots.push(Slot { number, wants: wants(&all)?, ..record });
                }
            }
        }
        fit::<u16>("slots", slots.len(), usize::from(NONE16) - 1)?;
        Ok((infos, slots))
    }
}

fn slot(
    key: &[u8],
    watchers: &Watchers,
    triggers: &[Triggers],
    has_literals: &dyn Fn(usize) -> bool,
    strings: &mut Bytes,
    sets: &mut BitSets,
) -> Result<Slot, Error> {
    let of = || watchers.keys().filter_map(|&pipeline| triggers.get(pipeline));
    let any: BTreeSet<usize> = watchers.values().flatten().copied().collect();
    let scans = u8::from(any.iter().any(|&matcher| has_literals(matcher)));
    Ok(Slot {
        key: strings.add(key)?,
        pipelines: watchers.keys().fold(0, |bits, &pipeline| bits | 1 << pipeline),
        sets: sets.add([any.iter().copied()])?,
        triggers: of().fold(0, |bits, triggers| bits | triggers.sets),
        min_len: of().filter_map(|triggers| triggers.always_from).min().unwrap_or(0),
        scans,
        ..Slot::default()
    })
}
