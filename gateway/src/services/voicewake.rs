//! The words that wake an assistant that listens, kept in the store.

use openclaw_shared::clock::WallTime;
use openclaw_shared::protocol::params::voicewake::VoicewakeTriggers;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;

use crate::store::StoreError;

/// The words we come with.
const BUILT_IN: [&str; 3] = ["openclaw", "claude", "computer"];
/// Words at most; the others are left out.
const MOST_TRIGGERS: usize = 32;
/// The longest word, in characters; the rest of it is cut off.
const LONGEST_TRIGGER: usize = 64;

/// The words of a list: trimmed, without what is empty or no text, within the bounds; those we come with when none is left.
/// `None` when it is no list.
pub(crate) fn usable(list: Option<&Value>) -> Option<Vec<String>> {
    let triggers: Vec<String> = list?
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(LONGEST_TRIGGER).collect())
        .take(MOST_TRIGGERS)
        .collect();
    Some(if triggers.is_empty() {
        built_in()
    } else {
        triggers
    })
}

fn built_in() -> Vec<String> {
    BUILT_IN.map(str::to_owned).to_vec()
}

/// The words that are set.
pub(crate) fn read(connection: &Connection) -> Result<VoicewakeTriggers, rusqlite::Error> {
    let kept: Option<String> = connection
        .prepare_cached("SELECT triggers FROM voicewake WHERE id = 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let triggers = kept.and_then(|text| serde_json::from_str(&text).ok());
    Ok(VoicewakeTriggers {
        triggers: triggers.unwrap_or_else(built_in),
    })
}

/// Sets them.
pub(crate) fn write(
    connection: &Connection,
    now: WallTime,
    triggers: &[String],
) -> Result<(), StoreError> {
    let text = serde_json::Value::from(triggers).to_string();
    connection
        .prepare_cached(
            "INSERT INTO voicewake (id, triggers, updated_at) VALUES (1, ?1, ?2)
             ON CONFLICT (id) DO UPDATE SET triggers = excluded.triggers, updated_at = excluded.updated_at",
        )?
        .execute(params![text, i64::try_from(now.as_millis()).unwrap_or(i64::MAX)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::usable;

    fn check(list: Value, expected: Value) {
        assert_eq!(json!(usable(Some(&list))), expected, "{list}");
    }

    #[test]
    fn a_list_is_cleaned_and_bounded_and_never_empty() {
        let built_in = json!(["openclaw", "claude", "computer"]);
        check(json!(["  a ", "", 5, null, "b b"]), json!(["a", "b b"]));
        check(json!([]), built_in.clone());
        check(json!([" ", 1]), built_in);
        check(json!("a"), Value::Null);
        check(Value::Null, Value::Null);
        assert_eq!(usable(None), None);
        let many = json!(vec!["ü".repeat(100); 100]);
        let kept = usable(Some(&many)).unwrap();
        assert_eq!((kept.len(), kept[0].chars().count()), (32, 64));
    }
}
