//! `[[trunk_groups]]`

use super::destinations::TrunkIds;
use super::{every, id};
use crate::lines::item;
use crate::model::{GroupMember, TrunkGroup};
use crate::raw::{RawTrunkGroup, RawTrunks};
use crate::report::Report;

/// Groups of trunks; their ids and those of trunks are one name space, for both stand in destinations.
pub(super) fn trunk_groups(raw: &RawTrunks<'_>, report: &mut Report) -> Option<Vec<TrunkGroup>> {
    let of_trunks = raw.trunks.iter().enumerate();
    let of_trunks = of_trunks.map(|(at, trunk)| (format!("{}.id", item("trunks", at)), trunk.id.as_str()));
    let of_groups = raw.groups.iter().enumerate();
    let of_groups = of_groups.map(|(at, group)| (format!("{}.id", item("trunk_groups", at)), group.id.as_str()));
    // Trunks among themselves have been looked at.
    let mut taken: std::collections::HashMap<&str, String> = of_trunks.map(|(key, id)| (id, key)).collect();
    for (key, id) in of_groups {
        if let Some(first) = taken.get(id).filter(|_| !id.is_empty()) {
            report.problem(&key, format!("{id:?} is taken by {first}"));
        }
        taken.entry(id).or_insert(key);
    }
    let trunks = TrunkIds::of(raw.trunks, &[], report);
    every("trunk_groups", raw.groups, |key, raw| group(key, raw, &trunks, report))
}

fn group(key: &str, raw: &RawTrunkGroup, trunks: &TrunkIds<'_>, report: &mut Report) -> Option<TrunkGroup> {
    let id = id(&format!("{key}.id"), &raw.id, report);
    let members = format!("{key}.trunks");
    if raw.trunks.is_empty() {
        report.problem(&members, "must name at least one trunk");
    }
    for (at, member) in raw.trunks.iter().enumerate() {
        let key = format!("{}.id", item(&members, at));
        trunks.expect(&key, &member.id, report);
        if raw.trunks.iter().take(at).any(|earlier| earlier.id == member.id) {
            report.problem(&key, format!("{:?} is listed twice", member.id));
        }
    }
    let member = |raw: &crate::raw::RawGroupMember| GroupMember {
        trunk: raw.id.clone(),
        priority: raw.priority,
        weight: raw.weight,
    };
    id.map(|()| TrunkGroup { id: raw.id.clone(), members: raw.trunks.iter().map(member).collect() })
}
