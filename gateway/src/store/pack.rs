//! Details as they are stored: JSON whose long lists of alike objects (series, timelines) are turned into columns, which
//! spares writing each name hundreds of times.

use serde_json::{Map, Value, json};

/// Lists from this length on.
const LONG: usize = 4;
/// The name that tells a packed list. Details have no such name of their own.
const MARK: &str = "#columns";

pub(super) fn pack(value: &Value) -> Vec<u8> {
    columns(value).to_string().into_bytes()
}

/// `None`: not something [`pack`] wrote.
pub(super) fn unpack(bytes: &[u8]) -> Option<Value> {
    objects(serde_json::from_slice(bytes).ok()?)
}

fn columns(value: &Value) -> Value {
    match value {
        Value::Array(list) => match alike(list) {
            Some(first) => {
                let columns: Map<String, Value> = first
                    .keys()
                    .map(|key| {
                        let column = list.iter().map(|item| item.get(key).map_or(Value::Null, columns));
                        (key.clone(), runs(column))
                    })
                    .collect();
                json!({ MARK: columns, "rows": list.len() })
            }
            None => list.iter().map(columns).collect(),
        },
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), columns(value))).collect::<Map<_, _>>().into()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// The first of a long list of objects that all have the same names.
fn alike(list: &[Value]) -> Option<&Map<String, Value>> {
    let first = list.first().filter(|_| list.len() >= LONG)?.as_object()?;
    let same = |item: &Value| {
        item.as_object().is_some_and(|map| map.len() == first.len() && map.keys().all(|key| first.contains_key(key)))
    };
    list.iter().all(same).then_some(first)
}

/// Value, how often in a row, next value, …
fn runs(values: impl Iterator<Item = Value>) -> Value {
    let mut runs: Vec<(Value, u64)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((last, count)) if *last == value => *count = count.saturating_add(1),
            Some(_) | None => runs.push((value, 1)),
        }
    }
    runs.into_iter().flat_map(|(value, count)| [value, count.into()]).collect()
}

fn objects(value: Value) -> Option<Value> {
    match value {
        Value::Object(mut map) => match map.remove(MARK) {
            Some(Value::Object(columns)) => rows(columns, map.get("rows")?.as_u64()?),
            Some(_) => None,
            None => {
                let map: Option<Map<_, _>> = map.into_iter().map(|(key, value)| Some((key, objects(value)?))).collect();
                map.map(Value::Object)
            }
        },
        Value::Array(list) => list.into_iter().map(objects).collect::<Option<Vec<_>>>().map(Value::Array),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(value),
    }
}

fn rows(columns: Map<String, Value>, count: u64) -> Option<Value> {
    // Far more than any list has; what was not written here must not fill the memory.
    let count = usize::try_from(count).ok().filter(|&count| count <= 1 << 20)?;
    let mut rows = vec![Map::new(); count];
    for (key, runs) in columns {
        let Value::Array(runs) = runs else { return None };
        let mut at = rows.iter_mut();
        for run in runs.chunks(2) {
            let [value, times] = run else { return None };
            let value = objects(value.clone())?;
            for _ in 0..times.as_u64()? {
                at.next()?.insert(key.clone(), value.clone());
            }
        }
        if at.next().is_some() {
            return None;
        }
    }
    Some(rows.into_iter().map(Value::Object).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-9i64..9).prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                proptest::collection::btree_map("[ab]", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(value in any_json()) {
            prop_assert_eq!(unpack(&pack(&value)), Some(value));
        }

        #[test]
        fn nothing_read_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpack(&bytes);
        }
    }

    #[test]
    fn a_series_takes_a_fraction() {
        let points: Vec<Value> = (0..720)
            .map(|n| json!({"at": n, "packets": 50, "loss": 0.0, "rtt_ms": null, "level": "green", "reasons": []}))
            .collect();
        let series = json!({"browser_up": {"whole": points}});
        let packed = pack(&series);
        assert!(packed.len() * 5 < series.to_string().len(), "{}", packed.len());
        assert_eq!(unpack(&packed), Some(series));
        for broken in [
            &br##"{"#columns":{"a":[1,2]},"rows":1}"##[..],
            br##"{"#columns":{"a":[1]},"rows":1}"##,
            br##"{"#columns":[],"rows":1}"##,
            br##"{"#columns":{},"rows":99999999999}"##,
        ] {
            assert_eq!(unpack(broken), None);
        }
    }
}
