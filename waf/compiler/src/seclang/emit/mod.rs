//! From rules to the blob: [`picket_seclang::format`] says what it looks like.

pub(crate) mod blob;
mod gates;
mod matchers;
mod meta;
mod needs;
mod pipelines;
mod pool;
mod rules;
mod slots;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use picket_seclang::Variable;
use picket_seclang::format::{
    MAX_PIPELINES, Matcher as MatcherRecord, NONE, Record, SECTIONS, Section, TextRecord, TxInit, TxUse, Use,
    is_stored,
};
use picket_seclang::scan::Scanner;
use picket_seclang::scan::layout::HEADER;
use picket_seclang::transform::Transformation;

use super::error::{Error, fit};
use super::fold::Folded;
use super::program::{Program, Step, tx_name};
use super::summary::{MatcherSummary, Summary};
use super::syntax::{
    Action, Control, Diagnostic, Directives, Disruption, Level, Link, Piece, Selector, Target, TargetMode,
    Template,
};
use super::{Options, scan};
use crate::regex::{ByteSet, Representation, beyond};
use gates::{Gate, Leftovers};
use matchers::Matchers;
use needs::ByteSets;
use pipelines::{Asked, Pipelines, records};
use pool::{BitSets, Bytes, Runs};
use rules::{Place, Placed, Pools, TxNames};
use slots::Slots;

/// What is known about a link before records are written.
struct Plan {
    list: Vec<Transformation>,
    matcher: Option<usize>,
    /// Whether candidates of the scan can be all that the link matches.
    scans: bool,
}

/// A rule with its plans, one a link.
struct Planned<'a> {
    step: &'a Step,
    links: Vec<Plan>,
    gate: Gate,
    /// Whether it can capture before it fails where what it waits for is not there.
    leaves: bool,
    /// Whether it sees what other rules have captured.
    observes: bool,
}

impl Planned<'_> {
    /// What looks at values so that the rule is run: a link, and matchers.
    fn watched(&self) -> Option<(usize, &[usize])> {
        let at = self.gate.watched()?;
        match &self.gate {
            Gate::Words(_, matchers) => Some((at, matchers)),
            _ => Some((at, self.links[at].matcher.as_slice())),
        }
    }
}

/// The blob, what it consists of, and what was left out.
pub(super) fn emit(
    program: &Program,
    directives: &Directives,
    folded: &Folded,
    options: &Options<'_>,
) -> Result<(Vec<u8>, Summary, Vec<Diagnostic>), Error> {
    let links = program.steps.iter().flat_map(|step| &step.rule.links);
    let (mut matchers, problems) = Matchers::compile(links, options);
    let mut diagnostics = Vec::new();
    let mut planned = Vec::new();
    let mut keys = HashMap::new();
    let leftovers = Leftovers::of(program);
    for (at, step) in program.steps.iter().enumerate() {
        match plan(step, &mut matchers, &problems, &mut keys, options) {
            Ok(links) => {
                let (gate, leaves) = match options.fold {
                    true => {
                        gates::choose(program, &step.rule, &links, &mut matchers, &leftovers, &folded.init)
                    }
                    false if links[0].scans => (Gate::Head, false),
                    false => (Gate::Always, false),
                };
                planned.push(Planned { step, links, gate, leaves, observes: leftovers.observes(at) });
            }
            Err((link, text)) => diagnostics.push(Diagnostic {
                level: Level::Error,
                place: link.place.clone(),
                text,
                rule_left_out: Some(step.rule.id),
            }),
        }
    }
    note_controls(&planned, &mut diagnostics);

    // Pipelines that are watched come first: they need bits.
    let mut pipelines = Pipelines::default();
    for rule in &mut planned {
        let Some((at, _)) = rule.watched() else { continue };
        let lists = watched(&rule.links[at].list, &rule.step.rule.links[at]);
        if pipelines.has_room(&lists) {
            lists.iter().for_each(|list| {
                pipelines.add(list);
            });
        } else {
            (rule.gate, rule.leaves) = (Gate::Always, false);
        }
    }
    let scanned_pipelines = pipelines.len().min(MAX_PIPELINES);
    for link in planned.iter().flat_map(|rule| &rule.links) {
        pipelines.add(&link.list);
    }

    // Matchers that the scan announces come first: sets hold only them.
    let mut order: Vec<usize> = Vec::new();
    let mut numbers: HashMap<usize, usize> = HashMap::new();
    let scanned = planned.iter().filter_map(Planned::watched).flat_map(|(_, matchers)| matchers);
    let others = planned.iter().flat_map(|rule| &rule.links).filter_map(|link| link.matcher.as_ref());
    let mut scanned_matchers = 0;
    for (is_scanned, &matcher) in scanned.map(|at| (true, at)).chain(others.map(|at| (false, at))) {
        if let Entry::Vacant(place) = numbers.entry(matcher) {
            place.insert(order.len());
            order.push(matcher);
            scanned_matchers += usize::from(is_scanned);
        }
    }
    fit::<u16>("matchers", order.len(), usize::from(u16::MAX))?;
    let list: Vec<matchers::Matcher> = order.iter().map(|&at| matchers.list[at].clone()).collect();

    // Places of records, then what stands behind matchers and before values.
    let mut placed: Vec<Placed<'_>> = Vec::new();
    let mut next = 0;
    for rule in &planned {
        placed.push(Placed { rule: &rule.step.rule, record: next });
        next += rule.links.len();
    }
    let records_count = next;
    fit::<u16>("rules and links", records_count, usize::from(u16::MAX) - 1)?;
    let mut slots = Slots::default();
    let mut uses: Vec<Vec<usize>> = vec![Vec::new(); list.len()];
    let mut often = vec![false; list.len()];
    let any_observes = planned.iter().any(|rule| rule.observes);
    let mut always = BTreeSet::new();
    let mut with_body = BTreeSet::new();
    let mut changes: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    let mut tx_names: BTreeSet<Vec<u8>> = folded.init.iter().map(|(name, _)| name.clone()).collect();
    for (rule, place) in planned.iter().zip(&placed) {
        if let Some((at, matchers)) = rule.watched() {
            let link = &rule.step.rule.links[at];
            let behind: Vec<usize> =
                watched(&rule.links[at].list, link).iter().map(|list| pipelines.number(list)).collect();
            for number in matchers.iter().map(|matcher| numbers[matcher]) {
                uses[number].push(place.record);
                often[number] |= !link.targets.iter().all(is_rare);
                link.targets.iter().for_each(|target| slots.watch(target, &behind, number));
            }
        }
        match &rule.gate {
            Gate::Always => {
                always.insert(place.record);
            }
            Gate::Body => {
                with_body.insert(place.record);
            }
            Gate::Value(at) => {
                let targets = &rule.step.rule.links[*at].targets;
                targets.iter().for_each(|target| slots.wake(target, place.record));
            }
            Gate::Changed(names) => {
                for name in names {
                    changes.entry(name.as_slice()).or_default().push(place.record);
                }
            }
            Gate::Head | Gate::Link(_) | Gate::Words(..) => {}
        }
        if rule.leaves && any_observes {
            // It is passed by all the same, to be noted.
            always.insert(place.record);
        }
        for link in &rule.step.rule.links {
            name_variables(link, &mut slots, &mut tx_names);
        }
        if let Disruption::Redirect(to) = &rule.step.rule.disruption {
            name_macros(to, &mut slots, &mut tx_names);
        }
    }

    let behind = slots.behind(scanned_pipelines);
    let mut list = list;
    // To look at a value that few messages have costs less than to look for its literals in all others.
    for (matcher, _) in list.iter_mut().zip(&often).take(scanned_matchers).filter(|(_, often)| !**often) {
        (matcher.literals, matcher.signs) = (None, ByteSet::default());
    }
    needs::note_literals(&mut list[..scanned_matchers]);
    let list = list;
    let words_beyond = [beyond()[1]];
    let (of_requests, of_responses) = (slots.matchers(false), slots.matchers(true));
    let scan_words = words_tables(&list[..scanned_matchers], &of_requests)?;
    let (scan, sets, hits) = scan_tables(&list, scanned_matchers, &uses, &pipelines, &behind)?;
    let [scan_requests, scan_responses] = [&of_requests, &of_responses].map(|of| {
        let tables = scan::build(&literals(&list[..scanned_matchers], of, |_| true), &[], &ordinary());
        Ok(with_sets(tables.map_err(too_much)?.bytes, &sets))
    });

    let mut pools = Pools {
        strings: Bytes::default(),
        data: Bytes::default(),
        targets: Runs::default(),
        actions: Runs::default(),
        parts: Runs::default(),
        tags: Runs::default(),
        rule_sets: BitSets::new(records_count),
        tx: TxNames::new(&tx_names)?,
        keys,
    };
    pools.rule_sets.add([always.iter().copied()])?;
    let body_rules = pools.rule_sets.add([with_body.iter().copied()])?;
    let asked: Vec<Asked> = pipelines
        .lists()
        .zip(&behind)
        .map(|(transformations, behind)| {
            Asked::of(transformations, behind.iter().map(|&number| &list[number]), &sets)
        })
        .collect();
    let tree = pipelines.tree(&asked, &sets, &mut pools.data)?;
    let mut matcher_sets = BitSets::new(scanned_matchers);
    let silent: Vec<usize> = (0..scanned_matchers).filter(|&number| list[number].is_silent()).collect();
    let silent_set = matcher_sets.add([silent.iter().copied()])?;
    let mut wants = Runs::default();
    let mut use_records = Vec::new();
    let (infos, slot_records) = slots.emit(
        &tree.triggers,
        &|number| list[number].literals.is_some(),
        &mut |watchers| {
            let behind = watchers.behind.iter().map(|(&pipeline, matchers)| {
                let list_of = pipelines.lists().nth(pipeline).unwrap_or(&[]);
                let matchers = matchers.iter().map(|&number| &list[number]);
                let asked = Asked::of(list_of, matchers, &sets);
                (pipeline, asked.must, asked.holds)
            });
            Ok(wants.add("wants", &tree.wants(behind, &sets))?.0)
        },
        &mut pools.strings,
        &mut matcher_sets,
        &mut use_records,
    )?;
    let silent_sets: Vec<(usize, u64)> =
        silent.iter().map(|&number| (number, sets.needs(&silent_needs(&list[number])))).collect();
    let glance = pipelines::glance(&tree, &silent_sets, slot_records.len(), &|slot, matcher| {
        matcher_sets.has(slot_records[slot].sets, matcher)
    })?;

    let mut rule_records = Vec::new();
    for (at, rule) in planned.iter().enumerate() {
        let skip_to = match rule.step.jump {
            None => NONE,
            Some(jump) => landing(&planned, &placed, at, jump, records_count),
        };
        for (number, (plan, link)) in rule.links.iter().zip(&rule.step.rule.links).enumerate() {
            let place = Place {
                pipeline: pipelines.number(&plan.list),
                matcher: plan.matcher.map_or(0, |matcher| numbers[&matcher]),
                scanned: rule.gate == Gate::Head && number == 0,
                leaves: rule.leaves && any_observes && number == 0,
                observes: rule.observes && number == 0,
                skip_to,
            };
            rule_records.push(pools.link(&rule.step.rule, link, number == 0, &place, &placed)?);
        }
    }
    let tx_uses = tx_uses(&changes, &mut pools, &mut use_records)?;
    let matcher_records = matcher_records(&list, &uses, &behind, &sets, &mut pools, &mut use_records)?;
    let phases = phase_starts(&planned, &placed, records_count);
    let init = tx_init(folded, &mut pools)?;
    let meta = meta::meta(
        directives,
        &meta::Facts {
            phases,
            rules: records_count,
            rule_words: pools.rule_sets.words(),
            matcher_words: matcher_sets.words(),
            silent: silent_set,
            body_rules,
            signs: sets.needs(&words_beyond),
            keeps_body: infos
                .iter()
                .zip(0..=u8::MAX)
                .any(|(info, number)| info.used != 0 && meta::keeps(number)),
        },
        &mut pools,
    )?;
    let types = meta::response_types(directives, &mut pools.strings)?;
    let names = pools.tx.names.clone();
    let mut name_records = Vec::new();
    for name in &names {
        name_records.push(pools.strings.add(name)?);
    }
    pools.mark_made_up(&names);
    pools.mark_actions(&names);

    let mut sections: [Vec<u8>; SECTIONS] = std::array::from_fn(|_| Vec::new());
    let mut put = |section: Section, bytes: Vec<u8>| sections[section as usize] = bytes;
    put(Section::Meta, records(&[meta]));
    put(Section::Rules, records(&rule_records));
    put(Section::Matchers, records(&matcher_records));
    put(Section::Uses, records(&use_records));
    put(Section::Nodes, records(&tree.nodes));
    put(Section::Pipelines, records(&tree.pipelines));
    put(Section::Variables, records(&infos));
    put(Section::Slots, records(&slot_records));
    put(Section::Glance, glance);
    put(Section::Wants, wants.bytes);
    put(Section::MatcherSets, matcher_sets.bytes);
    put(Section::Scan, scan_requests?);
    put(Section::ScanWords, scan_words);
    put(Section::ScanResponses, scan_responses?);
    put(Section::TxNames, records(&name_records));
    put(Section::TxUses, records(&tx_uses));
    put(Section::TxInit, records(&init));
    put(Section::ResponseTypes, records(&types));
    if options.sources {
        put(Section::Sources, sources(&list)?);
    }
    put(Section::Strings, pools.strings.bytes);
    put(Section::Targets, pools.targets.bytes);
    put(Section::Actions, pools.actions.bytes);
    put(Section::Parts, pools.parts.bytes);
    put(Section::Tags, pools.tags.bytes);
    put(Section::Data, pools.data.bytes);
    put(Section::RuleSets, pools.rule_sets.bytes);
    let blob = blob::assemble(&sections)?;

    let mut phase_rules = [0; 5];
    for rule in &planned {
        phase_rules[rule.step.phase() - 1] += 1;
    }
    let first_rule = |number: usize| {
        let uses = |rule: &&Planned<'_>| {
            rule.links.iter().any(|link| link.matcher.is_some_and(|matcher| numbers[&matcher] == number))
        };
        planned.iter().find(uses).map_or(0, |rule| rule.step.rule.id)
    };
    let count = |like: &dyn Fn(&Gate) -> bool| planned.iter().filter(|rule| like(&rule.gate)).count();
    let summary = Summary {
        rules: planned.len(),
        links: records_count - planned.len(),
        targets: planned.iter().flat_map(|rule| &rule.step.rule.links).map(|link| link.targets.len()).sum(),
        always: count(&|gate| *gate == Gate::Always),
        scanned: count(&|gate| gate.watched().is_some()),
        waiting: count(&|gate| matches!(gate, Gate::Value(_) | Gate::Body | Gate::Changed(_))),
        phases: phase_rules,
        folded: folded.done,
        dead: folded.dead,
        constants: folded.init.len(),
        macros: folded.macros,
        matchers: list.len(),
        scanned_matchers,
        silent_matchers: list[..scanned_matchers].iter().filter(|it| it.literals.is_none()).count(),
        pipelines: pipelines.len(),
        scanned_pipelines,
        nodes: tree.nodes.len(),
        byte_sets: sets.sets.len(),
        literals: scan.keys,
        regexes: Default::default(),
        sections: blob::SECTION_LIST
            .iter()
            .map(|section| (format!("{section:?}"), sections[*section as usize].len()))
            .collect(),
        blob_bytes: blob.len(),
        largest: Vec::new(),
    };
    let details = list
        .iter()
        .enumerate()
        .map(|(number, matcher)| {
            let parts = MatcherParts {
                operator: matcher.operator,
                source: &matcher.source,
                representation: matcher.representation,
                bytes: matcher.data.len(),
                literals: matcher.literals.as_ref().map_or(0, Vec::len),
            };
            MatcherSummary::new(number, &parts, first_rule(number), hits.get(number).copied().unwrap_or(0))
        })
        .collect();
    Ok((blob, summary.with_matchers(details), diagnostics))
}

/// What a summary tells of a matcher.
pub(super) struct MatcherParts<'a> {
    pub operator: u8,
    pub source: &'a [u8],
    pub representation: Option<Representation>,
    pub bytes: usize,
    pub literals: usize,
}

/// Pipelines behind which a head's matcher looks: with `multiMatch` every beginning of its own too.
fn watched<'a>(list: &'a [Transformation], link: &Link) -> Vec<&'a [Transformation]> {
    if link.multi_match { (0..=list.len()).map(|len| &list[..len]).collect() } else { vec![list] }
}

fn plan<'a>(
    step: &'a Step,
    matchers: &mut Matchers,
    problems: &HashMap<String, String>,
    keys: &mut HashMap<String, Vec<u8>>,
    options: &Options<'_>,
) -> Result<Vec<Plan>, (&'a Link, String)> {
    let mut plans = Vec::new();
    for link in &step.rule.links {
        let mut list = Vec::new();
        for name in &link.transformations {
            let transformation = Transformation::from_name(name)
                .ok_or_else(|| (link, format!("unknown transformation t:{name}")))?;
            list.push(transformation);
        }
        for target in &link.targets {
            match &target.selector {
                Selector::Pattern(pattern) => {
                    let bytes = matchers.key_regex(pattern, options).map_err(|text| (link, text))?;
                    keys.insert(pattern.clone(), bytes);
                }
                Selector::Macro(_) => {
                    return Err((link, "macros in keys of targets are not there".into()));
                }
                Selector::All | Selector::Key(_) => {}
            }
        }
        let matcher = match &link.operator {
            None => None,
            Some(operator) => {
                let problem = |text: String| (link, format!("@{}: {text}", operator.kind.name()));
                Some(matchers.of(operator, problems).map_err(problem)?)
            }
        };
        let scans = matcher.is_some_and(|matcher| matchers.list[matcher].scans)
            && link.operator.as_ref().is_some_and(|operator| !operator.negated)
            && link.targets.iter().any(|target| target.mode == TargetMode::Inspect)
            && link.targets.iter().all(|target| {
                target.mode == TargetMode::Exclude
                    || (target.mode == TargetMode::Inspect && is_stored(target.variable))
            });
        plans.push(Plan { list, matcher, scans });
    }
    Ok(plans)
}

/// Says which controls have no effect.
fn note_controls(planned: &[Planned<'_>], diagnostics: &mut Vec<Diagnostic>) {
    for rule in planned {
        for link in &rule.step.rule.links {
            for action in &link.actions {
                if let Action::Control(Control::RequestBodyLimit(_) | Control::ResponseBodyLimit(_)) = action
                {
                    diagnostics.push(Diagnostic {
                        level: Level::Note,
                        place: link.place.clone(),
                        text: "ctl cannot change the limit of a body".into(),
                        rule_left_out: None,
                    });
                }
            }
        }
    }
}

/// Whether few messages have a value of the target: a header that is not one of the usual ones.
fn is_rare(target: &Target) -> bool {
    const USUAL: [&[u8]; 10] = [
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"connection",
        b"content-length",
        b"content-type",
        b"cookie",
        b"host",
        b"referer",
        b"user-agent",
    ];
    match &target.selector {
        Selector::Key(key) if target.variable == Variable::RequestHeaders => {
            !USUAL.contains(&&*key.to_ascii_lowercase())
        }
        _ => target.mode == TargetMode::Exclude,
    }
}

/// Notes the variables that a link names anywhere, and the names in TX.
fn name_variables(link: &Link, slots: &mut Slots, tx: &mut BTreeSet<Vec<u8>>) {
    for action in &link.actions {
        if let Action::SetVar { collection, name, .. } = action {
            tx.extend(tx_name(*collection, name));
        }
    }
    for target in &link.targets {
        if let (Variable::Tx, Selector::Key(key)) = (target.variable, &target.selector) {
            tx.insert(key.to_ascii_lowercase());
        }
        if target.mode != TargetMode::Exclude {
            slots.name(target.variable);
        }
    }
    let mut rule_templates = link.clone();
    for template in super::program::link_templates(&mut rule_templates) {
        name_macros(template, slots, tx);
    }
}

fn name_macros(template: &Template, slots: &mut Slots, tx: &mut BTreeSet<Vec<u8>>) {
    for piece in &template.pieces {
        if let Piece::Macro { variable, key } = piece {
            slots.name(*variable);
            if let (Variable::Tx, Some(key)) = (variable, key) {
                tx.insert(key.to_ascii_lowercase());
            }
        }
    }
}

/// The byte sets without which a matcher that no literal announces cannot match.
fn silent_needs(matcher: &matchers::Matcher) -> Vec<ByteSet> {
    matcher.needs.iter().copied().chain([matcher.signs]).filter(|set| !set.is_empty()).collect()
}

/// Hits of each matcher's literals in ordinary values.
type Hits = Vec<usize>;

/// Values that are nothing unusual.
fn ordinary() -> Vec<&'static [u8]> {
    crate::regex::benign().iter().copied().chain(scan::sample()).collect()
}

/// The literals that `takes` of some of the matchers, each with the matchers that wait for it.
fn literals(
    list: &[matchers::Matcher],
    of: &BTreeSet<usize>,
    takes: impl Fn(&[u8]) -> bool,
) -> Vec<(Vec<u8>, Vec<u16>)> {
    let mut literals: BTreeMap<&[u8], Vec<u16>> = BTreeMap::new();
    for (number, matcher) in (0u16..).zip(list).filter(|(number, _)| of.contains(&usize::from(*number))) {
        for literal in matcher.literals.iter().flatten().filter(|literal| takes(literal)) {
            literals.entry(literal).or_default().push(number);
        }
    }
    literals.into_iter().map(|(literal, matchers)| (literal.to_vec(), matchers)).collect()
}

/// The tables for values of requests that are nothing but words: of matchers that can match one, with
/// literals of words.
fn words_tables(list: &[matchers::Matcher], of: &BTreeSet<usize>) -> Result<Vec<u8>, Error> {
    let [_, beyond, _] = beyond();
    let is_plain = |text: &[u8]| !text.iter().any(|&byte| beyond.contains(byte));
    let can = |number: &usize| {
        let needs = list.get(*number).map_or(&[][..], |matcher| &matcher.needs);
        !needs.iter().any(|need| !need.is_empty() && beyond.holds(need))
    };
    let of = of.iter().copied().filter(can).collect();
    Ok(scan::build(&literals(list, &of, is_plain), &[], &ordinary()).map_err(too_much)?.bytes)
}

/// Puts byte sets into tables that were built without: they are right behind the header.
fn with_sets(mut tables: Vec<u8>, sets: &ByteSets) -> Vec<u8> {
    for (place, bits) in tables[HEADER..].chunks_exact_mut(u64::LEN).zip(sets.present()) {
        place.copy_from_slice(&bits.to_le_bytes());
    }
    tables
}

fn too_much(error: scan::Error) -> Error {
    match error {
        scan::Error::TooMany { what, found, limit } => Error::TooLarge { what, found, limit },
        scan::Error::Short { literal } => {
            Error::TooLarge { what: "literals that are too short", found: literal + 1, limit: 0 }
        }
    }
}

/// Tables of all literals, by whose hits the byte sets are chosen, and both of these.
fn scan_tables(
    list: &[matchers::Matcher],
    scanned: usize,
    uses: &[Vec<usize>],
    pipelines: &Pipelines,
    behind: &[BTreeSet<usize>],
) -> Result<(scan::ScanTables, ByteSets, Hits), Error> {
    let sample = ordinary();
    let all = (0..scanned).collect();
    let tables = scan::build(&literals(&list[..scanned], &all, |_| true), &[], &sample).map_err(too_much)?;
    // What the tables find in ordinary values decides which byte sets are worth a bit.
    let words = sample.len().div_ceil(64);
    let mut hits = vec![vec![0u64; words]; list.len()];
    if let Some(scanner) = Scanner::new(&tables.bytes) {
        let mut found = vec![0u32; scanned.div_ceil(32)];
        for (at, value) in sample.iter().enumerate() {
            found.fill(0);
            scanner.scan(value, &mut found);
            for number in 0..scanned {
                let literal = list[number].literals.is_none()
                    || found[number / 32] >> (number % 32) & 1 != 0
                    || value.iter().any(|&byte| list[number].signs.contains(byte));
                if literal && value.len() >= list[number].min_len {
                    hits[number][at / 64] |= 1 << (at % 64);
                }
            }
        }
    }
    let weights: Vec<usize> = uses.iter().map(Vec::len).collect();
    let transformations = pipelines.transformations(behind.len());
    let counts = hits.iter().map(|bits| bits.iter().map(|word| word.count_ones() as usize).sum()).collect();
    let sets = ByteSets::choose(
        &transformations,
        &needs::of_pipelines(pipelines, behind, list, &sample),
        list,
        &weights,
        hits,
        &sample,
    );
    Ok((tables, sets, counts))
}

fn matcher_records(
    list: &[matchers::Matcher],
    uses: &[Vec<usize>],
    behind: &[BTreeSet<usize>],
    sets: &ByteSets,
    pools: &mut Pools,
    use_records: &mut Vec<Use>,
) -> Result<Vec<MatcherRecord>, Error> {
    let mut records = Vec::new();
    for (number, (matcher, rules)) in list.iter().zip(uses).enumerate() {
        let first = fit("uses", use_records.len(), u32::MAX as usize)?;
        for &rule in rules {
            use_records.push(Use { rule: fit("rules", rule, usize::from(u16::MAX))? });
        }
        records.push(MatcherRecord {
            operator: matcher.operator,
            min_len: u16::try_from(matcher.min_len).unwrap_or(u16::MAX),
            max_len: matcher.max_len.and_then(|len| u16::try_from(len).ok()).unwrap_or(u16::MAX),
            needs: sets.needs(&matcher.needs),
            behind: behind
                .iter()
                .enumerate()
                .fold(0, |bits, (pipeline, set)| bits | u64::from(set.contains(&number)) << pipeline),
            data: pools.data.add(&matcher.data)?,
            argument: pools.template(&matcher.argument)?,
            number: matcher.number,
            uses: first,
            use_count: fit("rules behind an operator", rules.len(), usize::from(u16::MAX))?,
        });
    }
    Ok(records)
}

/// The record at which a jump ends.
fn landing(planned: &[Planned<'_>], placed: &[Placed<'_>], at: usize, jump: usize, records: usize) -> u32 {
    let phase = planned[at].step.phase();
    let end = planned
        .iter()
        .zip(placed)
        .skip(at + 1)
        .find(|(rule, _)| rule.step.phase() != phase || rule.step.position >= jump)
        .map_or(records, |(_, place)| place.record);
    u32::try_from(end).unwrap_or(NONE)
}

/// The first record of each phase.
fn phase_starts(planned: &[Planned<'_>], placed: &[Placed<'_>], records: usize) -> [u32; 5] {
    std::array::from_fn(|phase| {
        let first = planned.iter().zip(placed).find(|(rule, _)| rule.step.phase() > phase);
        u32::try_from(first.map_or(records, |(_, place)| place.record)).unwrap_or(u32::MAX)
    })
}

/// For each variable in TX, up to the last that any rule waits for, the rules that do.
fn tx_uses(
    changes: &BTreeMap<&[u8], Vec<usize>>,
    pools: &mut Pools,
    uses: &mut Vec<Use>,
) -> Result<Vec<TxUse>, Error> {
    let mut records = Vec::new();
    for (name, rules) in changes {
        let number = usize::from(pools.tx.number(name)?);
        if records.len() <= number {
            records.resize(number + 1, TxUse::default());
        }
        let first = fit("uses", uses.len(), u32::MAX as usize)?;
        records[number] = TxUse { first, count: fit("rules that wait", rules.len(), usize::from(u16::MAX))? };
        for &rule in rules {
            uses.push(Use { rule: fit("rules", rule, usize::from(u16::MAX))? });
        }
    }
    Ok(records)
}

fn tx_init(folded: &Folded, pools: &mut Pools) -> Result<Vec<TxInit>, Error> {
    let mut records = Vec::new();
    for (name, text) in &folded.init {
        let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
        // `007` is a number to a comparison and a text to a message.
        let number = number.filter(|number| number.to_string().as_bytes() == text);
        records.push(TxInit {
            slot: pools.tx.number(name)?,
            numeric: u8::from(number.is_some()),
            number: number.unwrap_or(0),
            text: if number.is_some() { TextRecord::default() } else { pools.strings.add(text)? },
        });
    }
    Ok(records)
}

/// Records by matcher, then the texts; places count from the section's begin.
fn sources(list: &[matchers::Matcher]) -> Result<Vec<u8>, Error> {
    let mut table = Vec::new();
    let mut texts = Vec::new();
    for matcher in list {
        let at = fit("bytes", list.len() * TextRecord::LEN + texts.len(), u32::MAX as usize)?;
        let len = fit("bytes", matcher.source.len(), u32::MAX as usize)?;
        TextRecord { at, len }.write(&mut table);
        texts.extend_from_slice(&matcher.source);
    }
    table.extend(texts);
    Ok(table)
}
