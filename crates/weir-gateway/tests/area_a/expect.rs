//! Holds what a case expects against what was seen, member by member. An unknown member is an error.

use serde_json::{Value, json};
use tracing::Level;
use weir_testkit::logs::LoggedEvent;

use super::drive::Seen;
use super::given::{ASKED_PROVIDER, FREE_PROVIDER};

/// # Errors
/// The first member that does not hold, or is not known.
pub fn check(expect: &Value, seen: &Seen) -> Result<(), String> {
    expect.as_object().unwrap().iter().try_for_each(|(name, value)| {
        member(name, value, seen).map_err(|why| format!("`{name}`: expected {value}, {why}"))
    })
}

fn member(name: &str, value: &Value, seen: &Seen) -> Result<(), String> {
    match name {
        // What the seed did, and weir mends.
        "seed_behaviour" => Ok(()),
        "status" => same(value, json!(seen.answer.status)),
        "error_type" => same(value, seen.answer.json()["error_type"].clone()).and(limit_is_told_apart(seen)),
        // In the seed's dialect both hold the text of a 403 and of a 429.
        "message" => same(value, seen.answer.json()["message"].clone())
            .and(same(value, seen.answer.json()["error"].clone())),
        "upstream_calls" => same(value, json!(seen.upstream.len())),
        "upstream_model" => same(value, json!(only(&seen.upstream)?.model)),
        "upstream_called_at_ms" => same(value, json!(seen.called_at_ms)),
        "upstream_called_before_classification_done" => {
            // Without the clock moving: a request that waits for a bound is not on the fast path either.
            let at_once = !seen.upstream.is_empty() && seen.answered_when_done == 0 && seen.elapsed_ms == 0;
            same(value, json!(at_once))
        }
        "delay_ms" => same(value, json!(seen.delays_ms.iter().sum::<u64>())).and(once(seen)),
        "min_elapsed_ms" => match value.as_u64() {
            Some(least) if seen.elapsed_ms >= least => Ok(()),
            _ => Err(format!("{} passed", seen.elapsed_ms)),
        },
        "response_delay_due_to_classification_ms" => {
            // Every sleep counts but the delay that a decision put on the request.
            let put: u64 = seen.records.iter().filter_map(|record| record.result.abuse_delay).sum();
            let waited = seen.elapsed_ms - put;
            same(value, json!(waited)).and(same(&json!(0), json!(seen.answered_when_done)))
        }
        "provider_resolutions" => same(value, json!(seen.resolutions)),
        "candidate_lookups" => same(value, json!(seen.look_ups)),
        "second_resolution_model" => same(value, json!(only(&seen.usage)?.requested_model)),
        "usage" => usage(value, seen),
        "cache_value_after" | "cache_value_eventually" => same(value, json!(seen.cached)),
        "cache_writes" => {
            let writes = seen.cache_writes.ok_or("the case's cache does not count")?;
            same(value, json!(vec![seen.cached.clone(); usize::try_from(writes).unwrap()]))
        }
        "classify_http_calls" => same(value, json!(seen.classifications.len())),
        "cost_calls" => same(value, json!(seen.costs)),
        "user_rows_changed" => same(value, json!(seen.rows_changed)),
        "headers_absent" => names(value)?.iter().try_for_each(|name| {
            let sent = seen.classifications.iter().any(|request| request.headers.contains_key(*name));
            // Only what the service could have been sent at all can be missed.
            let known = name.starts_with("CF-Access-Client-") && !seen.classifications.is_empty();
            if known && !sent { Ok(()) } else { Err(format!("{name} was sent, or is not known")) }
        }),
        "headers_present" => names(value)?.iter().try_for_each(|name| {
            seen.answer.header(name).map(drop).ok_or_else(|| format!("{name} is absent"))
        }),
        "user_id" => same(value, json!(only(&seen.usage)?.user_id)),
        "user_prompt" => same(
            value,
            seen.classifications.first().ok_or("nothing was classified")?.body["user_prompt"].clone(),
        ),
        // A failure of weir's own would be a 5xx.
        "throws" => same(value, json!(seen.answer.status >= 500)),
        // A report is an event at the level of an error.
        "sentry" => same(value, json!(seen.logs.iter().any(|event| event.level == Level::ERROR))),
        "log" => log(value, seen),
        _ => Err("is not known".to_owned()),
    }
}

/// What limits in these cases is an action: the header says so, as no type could (spec A2), and no other answer has it.
fn limit_is_told_apart(seen: &Seen) -> Result<(), String> {
    let limited = (seen.answer.status == 429).then_some("abuse");
    same(&json!(limited), json!(seen.answer.header("x-weir-limit")))
}

/// A delay is slept once, and the record says how long it was.
fn once(seen: &Seen) -> Result<(), String> {
    let recorded: Vec<u64> = seen.records.iter().filter_map(|record| record.result.abuse_delay).collect();
    same(&json!(seen.delays_ms), json!(recorded))
}

fn usage(value: &Value, seen: &Seen) -> Result<(), String> {
    let row = serde_json::to_value(only(&seen.usage)?).unwrap();
    value.as_object().ok_or("is no object")?.iter().try_for_each(|(name, value)| {
        let found = row.get(name).ok_or_else(|| format!("a usage record has no `{name}`"))?;
        same(value, found.clone())
    })
}

fn log(value: &Value, seen: &Seen) -> Result<(), String> {
    let of_gateway = seen.logs.iter().filter(|event| event.target.starts_with("weir_gateway"));
    let mut of_gateway = of_gateway.filter(|event| !event.message.starts_with("SECURITY:"));
    let (given, identity) = (&seen.given, json!(seen.given.identity()));
    // One trouble of the cache must not stand in for another.
    let about = match given.cache.as_deref() {
        Some("error") => "cache could not be read",
        _ if given.cache_write_fails => "cache could not be written",
        _ => "unknown action",
    };
    let mut warned = |test: &dyn Fn(&LoggedEvent) -> bool| {
        of_gateway.any(|event| event.level == Level::WARN && event.message.contains(about) && test(event))
    };
    let found = match value.as_str() {
        None => return override_line(value, seen),
        Some("warn") => warned(&|_| true),
        Some("warn with identity key") => warned(&|event| *event.field("identity_key") == identity),
        Some("error with status and body") => of_gateway.any(|event| {
            event.level == Level::ERROR
                && *event.field("status") == json!(500)
                && event.field("body").is_string()
        }),
        Some(_) => return Err("is not known".to_owned()),
    };
    if found { Ok(()) } else { Err("no such line".to_owned()) }
}

/// An object speaks of the one line that tells of an override: its level, its fields, or the values of some.
fn override_line(value: &Value, seen: &Seen) -> Result<(), String> {
    let lines: Vec<_> = seen.logs.iter().filter(|event| event.message.contains("overridden")).collect();
    let line = only(&lines)?;
    if !line.message.starts_with("SECURITY:") {
        return Err(format!("the message is {}", line.message));
    }
    value.as_object().ok_or("is no object")?.iter().try_for_each(|(name, value)| match name.as_str() {
        "level" => same(value, json!(line.level.as_str().to_lowercase())),
        "fields" => names(value)?.iter().try_for_each(|name| field(name, line, seen)),
        // Lists are logged as text.
        _ if value.is_array() => same(&json!(value.to_string()), line.field(name).clone()),
        "no_such_member" => Err("is not known".to_owned()),
        _ => same(value, line.field(name).clone()),
    })
}

/// The field is there, and says what the case's own data tells of it.
fn field(name: &str, line: &LoggedEvent, seen: &Seen) -> Result<(), String> {
    let found = line.fields.get(name).ok_or_else(|| format!("no field {name}"))?;
    let given = &seen.given;
    let told = match name {
        "kilo_user_id" => json!(given.user_id),
        "identity_key" => json!(given.identity()),
        "abuse_request_id" => json!(given.request_id),
        "rules_engine_action" => json!(given.fresh),
        "original_model" => json!(given.model),
        "overridden_model" => json!(given.free_candidates.first()),
        "original_provider" => json!(ASKED_PROVIDER),
        "overridden_provider" => json!(FREE_PROVIDER),
        "user_byok" => json!(given.byok),
        _ => return Ok(()),
    };
    same(&told, found.clone()).map_err(|why| format!("{name}: expected {told}, {why}"))
}

fn same(expected: &Value, found: Value) -> Result<(), String> {
    if *expected == found { Ok(()) } else { Err(format!("found {found}")) }
}

fn only<T>(items: &[T]) -> Result<&T, String> {
    match items {
        [one] => Ok(one),
        _ => Err(format!("there are {}", items.len())),
    }
}

fn names(value: &Value) -> Result<Vec<&str>, String> {
    let items = value.as_array().ok_or("is no list")?;
    items.iter().map(|item| item.as_str().ok_or_else(|| "holds what is no name".to_owned())).collect()
}
