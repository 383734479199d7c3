//! Rules, keys, identities, the feed of changes and the audit log, on both databases.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use weir_core::IdentityKey;
use weir_core::secret::expose;
use weir_store::database::{
    CHANGES_KEPT, Change, ChangeKind, IdentityChange, KeyOrigin, KeyOwner, NewKey, StoredRules,
};
use weir_store::{Database, ErrorKind};

use super::support::{Place, at, on_both_databases};

on_both_databases! {
    whoever_only_reads_makes_no_tables,
    any_number_of_nodes_may_open_an_empty_database_at_once,
    rules_are_replaced_in_order_and_only_over_the_expected_epoch,
    keys_are_found_until_they_are_revoked,
    spending_adds_up_whoever_adds,
    identities_keep_what_is_not_told_anew,
    an_exemption_is_given_and_taken_and_both_are_audited,
    every_write_is_in_the_feed_of_changes,
    a_reader_of_changes_misses_none_however_many_write,
    a_reader_that_was_away_too_long_is_told_to_read_everything,
    the_audit_log_is_listed_newest_first,
    what_was_acknowledged_is_there_after_opening_again,
}

async fn whoever_only_reads_makes_no_tables(place: Place) {
    let reading = async || Database::open_existing(place.options()).await;
    // Twice: the first attempt left nothing behind.
    for _ in 0..2 {
        let refused = reading().await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        assert!(refused.to_string().contains("no weir has written here yet"), "{refused}");
    }
    place.open().await.rules_replace("one", "first", "ann", at(1), Some(0)).await.unwrap();
    assert_eq!(reading().await.unwrap().rules_current().await.unwrap().epoch, 1);
}

async fn any_number_of_nodes_may_open_an_empty_database_at_once(place: Place) {
    let nodes = join_all((0..6).map(|_| place.open())).await;
    let hashes: Vec<_> = nodes.iter().map(|node| node.hasher().hash("weir_sk_x")).collect();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "all nodes share one pepper");
    let sealed = nodes[0].sealer().seal("key_1", "openai", &"sk".to_owned().into()).unwrap();
    assert_eq!(expose(&nodes[5].sealer().open("key_1", "openai", &sealed).unwrap()), "sk");
    place.open().await.ping().await.unwrap();
}

async fn rules_are_replaced_in_order_and_only_over_the_expected_epoch(place: Place) {
    let database = place.open().await;
    assert_eq!(database.rules_current().await.unwrap(), StoredRules::default());
    assert_eq!(database.rules_replace("one", "first", "ann", at(1), Some(0)).await, Ok(1));
    assert_eq!(database.rules_replace("two", "second", "bob", at(2), None).await, Ok(2));
    let stale = database.rules_replace("three", "third", "eve", at(3), Some(1)).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    assert_eq!(database.rules_current().await.unwrap(), StoredRules { epoch: 2, text: "two".to_owned() });

    let racing =
        join_all((0..8).map(|_| database.rules_replace("four", "race", "ann", at(4), Some(2)))).await;
    assert_eq!(racing.iter().filter(|r| **r == Ok(3)).count(), 1, "one of those who expect the same wins");
    let other = place.open().await;
    let all = join_all((0..8).map(|n| {
        let node = if n % 2 == 0 { &database } else { &other };
        node.rules_replace("five", "all", "ann", at(5), None)
    }));
    let mut epochs: Vec<_> = all.await.into_iter().map(Result::unwrap).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, (4..12).collect::<Vec<_>>(), "without an expectation all win, one after the other");

    let history = database.rules_history(3).await.unwrap();
    assert_eq!(history.iter().map(|v| v.epoch).collect::<Vec<_>>(), [11, 10, 9]);
    assert!(history.iter().all(|v| v.text.is_none()));
    let first = database.rules_version(1).await.unwrap().unwrap();
    assert_eq!((first.at, first.author.as_str(), first.text.as_deref()), (at(1), "ann", Some("one")));
    assert_eq!(database.rules_version(99).await, Ok(None));
}

fn new_key(database: &Database, user: &str) -> (NewKey, String) {
    let made = database.hasher().generate(&mut rand::rng());
    let sealed = database.sealer().seal(&made.id, "openai", &format!("sk-{user}").into()).unwrap();
    let key = NewKey {
        id: made.id,
        hash: made.hash,
        prefix: made.prefix,
        owner: KeyOwner {
            user: user.to_owned(),
            plan: Some("pro".to_owned()),
            tags: vec!["internal".to_owned()],
            budget_usd: Some(12.5),
            ..KeyOwner::default()
        },
        byok: BTreeMap::from([("openai".to_owned(), sealed)]),
        created_at: at(1),
        origin: KeyOrigin::Runtime,
    };
    (key, expose(&made.plain).to_owned())
}

async fn keys_are_found_until_they_are_revoked(place: Place) {
    let (database, other) = (place.open().await, place.open().await);
    let (key, plain) = new_key(&database, "ann");
    database.key_insert(&key).await.unwrap();
    assert_eq!(database.key_insert(&key).await.unwrap_err().kind(), ErrorKind::Conflict);

    let found = other.keys_all(false).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].hash, other.hasher().hash(&plain), "another node knows the key when it is presented");
    assert_eq!(
        (&found[0].owner, found[0].created_at, found[0].origin),
        (&key.owner, at(1), KeyOrigin::Runtime)
    );
    let own = other.sealer().open(&found[0].id, "openai", &found[0].byok["openai"]).unwrap();
    assert_eq!(expose(&own), "sk-ann");

    assert_eq!(other.key_revoke(&key.id, at(2)).await, Ok(true));
    assert_eq!(other.key_revoke(&key.id, at(3)).await, Ok(false), "only once");
    assert_eq!(other.key_revoke("key_none", at(3)).await, Ok(false));
    assert!(database.keys_all(false).await.unwrap().is_empty());
    assert_eq!(database.keys_all(true).await.unwrap()[0].revoked_at, Some(at(2)));
}

async fn spending_adds_up_whoever_adds(place: Place) {
    let (database, other) = (place.open().await, place.open().await);
    let (key, _) = new_key(&database, "ann");
    database.key_insert(&key).await.unwrap();
    let batch = [(key.id.clone(), 5), ("key_configured".to_owned(), 1), (key.id.clone(), 2)];
    let adding = join_all((0..10).map(|n| if n % 2 == 0 { &database } else { &other }.key_spend_add(&batch)));
    assert!(adding.await.into_iter().all(|added| added.is_ok()));
    assert_eq!(database.key_spend(&key.id).await, Ok(70));
    assert_eq!(
        database.key_spend("key_configured").await,
        Ok(10),
        "a key without a row of its own spends too"
    );
    assert_eq!(database.key_spend("key_none").await, Ok(0));
    assert_eq!(database.key_spend_all().await.unwrap().len(), 2);
    assert_eq!(database.keys_all(false).await.unwrap()[0].spent_microusd, 70);
    // An absurd price or count must not make a sum that cannot be read again.
    for _ in 0..20 {
        database
            .key_spend_add(&[(key.id.clone(), u64::MAX), ("key_configured".to_owned(), 1)])
            .await
            .unwrap();
    }
    assert!(database.key_spend(&key.id).await.unwrap() >= 1_000_000_000_000_000_000);
    assert_eq!(database.key_spend("key_configured").await, Ok(30));
    assert_eq!(database.key_spend_all().await.unwrap().len(), 2);
}

async fn identities_keep_what_is_not_told_anew(place: Place) {
    let database = place.open().await;
    let ann = IdentityKey::from_stored("user:ann");
    assert_eq!(database.identity(&ann).await, Ok(None));
    let told = IdentityChange {
        plan: Some("pro".to_owned()),
        verified: Some(true),
        tags: Some(vec!["x".to_owned()]),
        ..IdentityChange::default()
    };
    database.identity_merge(&ann, told, at(1)).await.unwrap();
    let told = IdentityChange { blocked: Some(true), created_at: Some(at(0)), ..IdentityChange::default() };
    database.identity_merge(&ann, told, at(2)).await.unwrap();
    let row = database.identity(&ann).await.unwrap().unwrap();
    assert_eq!((row.plan.as_deref(), row.verified, row.blocked), (Some("pro"), true, true));
    assert_eq!((row.tags, row.created_at, row.first_seen), (vec!["x".to_owned()], Some(at(0)), at(1)));
    let told = IdentityChange { verified: Some(false), tags: Some(Vec::new()), ..IdentityChange::default() };
    database.identity_merge(&ann, told, at(3)).await.unwrap();
    let row = database.identity(&ann).await.unwrap().unwrap();
    assert_eq!((row.verified, row.tags.len()), (false, 0), "false and none are told, too");
}

async fn an_exemption_is_given_and_taken_and_both_are_audited(place: Place) {
    let database = place.open().await;
    let ann = IdentityKey::from_stored("user:ann");
    database.identity_exempt(&ann, Some(at(9_000)), "ops", at(1)).await.unwrap();
    let row = database.identity(&ann).await.unwrap().unwrap();
    assert_eq!((row.exempt_until, row.first_seen), (Some(at(9_000)), at(1)));
    database.identity_exempt(&ann, None, "ops", at(2)).await.unwrap();
    assert_eq!(database.identity(&ann).await.unwrap().unwrap().exempt_until, None);
    let audit = database.audit_list(None, 10).await.unwrap();
    let words: Vec<_> =
        audit.iter().map(|e| (e.action.as_str(), e.subject.as_str(), e.author.as_str())).collect();
    assert_eq!(words, [("identity.unexempt", "user:ann", "ops"), ("identity.exempt", "user:ann", "ops")]);
}

async fn every_write_is_in_the_feed_of_changes(place: Place) {
    let (writer, reader) = (place.open().await, place.open().await);
    assert_eq!(reader.changes_since(0).await, Ok((0, Vec::new())));
    let (key, _) = new_key(&writer, "ann");
    let ann = IdentityKey::from_stored("user:ann");
    writer.rules_replace("r", "s", "a", at(1), None).await.unwrap();
    writer.key_insert(&key).await.unwrap();
    writer.key_revoke(&key.id, at(2)).await.unwrap();
    writer.key_revoke(&key.id, at(2)).await.unwrap();
    writer.identity_merge(&ann, IdentityChange::default(), at(3)).await.unwrap();
    writer.identity_exempt(&ann, None, "ops", at(4)).await.unwrap();
    writer.rules_replace("r", "s", "a", at(1), Some(77)).await.unwrap_err();
    writer.key_spend_add(&[(key.id.clone(), 1)]).await.unwrap();

    let change = |kind, key: &str| Change { kind, key: key.to_owned() };
    let expected = vec![
        change(ChangeKind::Rules, ""),
        change(ChangeKind::Keys, &key.id),
        change(ChangeKind::Keys, &key.id),
        change(ChangeKind::Identities, "user:ann"),
        change(ChangeKind::Identities, "user:ann"),
    ];
    assert_eq!(
        reader.changes_since(0).await,
        Ok((5, expected.clone())),
        "what failed or changed nothing is not in it"
    );
    assert_eq!(reader.changes_since(3).await, Ok((5, expected[3..].to_vec())));
    assert_eq!(reader.changes_since(5).await, Ok((5, Vec::new())));
    assert_eq!(reader.changes_position().await, Ok(5));
}

async fn a_reader_of_changes_misses_none_however_many_write(place: Place) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 10;
    let (database, reader) = (place.open().await, place.open().await);
    let writing = join_all((0..WRITERS).map(|writer| {
        let database = database.clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                let key = IdentityKey::from_stored(format!("user:{writer}-{n}"));
                database.identity_merge(&key, IdentityChange::default(), at(0)).await.unwrap();
            }
        })
    }));
    let reading = async {
        let (mut seq, mut seen) = (0, Vec::new());
        while seq < WRITERS * EACH {
            let (next, changes) = reader.changes_since(seq).await.unwrap();
            assert_eq!(changes.len() as u64, next - seq, "numbers have no gaps");
            seen.extend(changes.into_iter().map(|c| c.key));
            seq = next;
            tokio::task::yield_now().await;
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len() as u64, WRITERS * EACH);
    };
    let (written, ()) = tokio::join!(writing, reading);
    assert!(written.into_iter().all(|w| w.is_ok()));
}

async fn a_reader_that_was_away_too_long_is_told_to_read_everything(place: Place) {
    let database = place.open().await;
    let ann = IdentityKey::from_stored("user:ann");
    let everything = |changes: &[Change]| {
        changes.iter().map(|c| c.kind).eq(ChangeKind::ALL) && changes.iter().all(|c| c.key.is_empty())
    };
    // As if it had been another database, which was further on.
    let (seq, changes) = database.changes_since(500).await.unwrap();
    assert!(seq == 0 && everything(&changes));

    skip_changes(&place, CHANGES_KEPT + 20).await;
    database.identity_merge(&ann, IdentityChange::default(), at(0)).await.unwrap();
    let newest = CHANGES_KEPT + 21;
    let (seq, changes) = database.changes_since(3).await.unwrap();
    assert!(seq == newest && everything(&changes), "{seq} {changes:?}");
    let (seq, changes) = database.changes_since(newest - 1).await.unwrap();
    assert_eq!((seq, changes.len()), (newest, 1), "who has seen all but the last gets the last");
}

/// Many changes, without making each: the counter moves on and the last one is written.
async fn skip_changes(place: &Place, to: u64) {
    let set = format!("UPDATE counters SET value = {to} WHERE name = 'changes'");
    let add = format!("INSERT INTO changes (seq, kind, key) VALUES ({to}, 'keys', 'k')");
    for sql in [set, add] {
        let sql = sqlx::AssertSqlSafe(sql);
        match place.options().url {
            weir_store::DatabaseLocation::Sqlite(path) => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
                let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
                sqlx::query(sql).execute(&pool).await.unwrap();
                pool.close().await;
            }
            weir_store::DatabaseLocation::Postgres(url) => {
                let pool = sqlx::PgPool::connect(expose(&url)).await.unwrap();
                sqlx::query(sql).execute(&pool).await.unwrap();
                pool.close().await;
            }
            weir_store::DatabaseLocation::SqliteMemory => unreachable!("tests of both use a file"),
        }
    }
}

async fn the_audit_log_is_listed_newest_first(place: Place) {
    let database = place.open().await;
    for n in 0..5 {
        let detail = serde_json::json!({ "n": n });
        database.audit("ops", "rules.apply", &format!("epoch {n}"), &detail, at(n)).await.unwrap();
    }
    let page = database.audit_list(None, 2).await.unwrap();
    assert_eq!(page.iter().map(|e| e.id).collect::<Vec<_>>(), [5, 4]);
    assert_eq!((page[0].at, &page[0].detail), (at(4), &serde_json::json!({ "n": 4 })));
    let page = database.audit_list(Some(4), 10).await.unwrap();
    assert_eq!(page.iter().map(|e| e.id).collect::<Vec<_>>(), [3, 2, 1]);
}

async fn what_was_acknowledged_is_there_after_opening_again(place: Place) {
    let database = place.open().await;
    let (key, plain) = new_key(&database, "ann");
    database.key_insert(&key).await.unwrap();
    database.rules_replace("text", "s", "a", at(1), None).await.unwrap();
    drop(database);
    let database = place.open().await;
    assert_eq!(database.rules_current().await.unwrap().text, "text");
    let found = database.keys_all(false).await.unwrap();
    assert_eq!(found[0].hash, database.hasher().hash(&plain));
    assert!(database.sealer().open(&key.id, "openai", &found[0].byok["openai"]).is_ok());
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_what_sqlite_writes() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::sqlite();
    let database = place.open().await;
    database.rules_replace("text", "s", "a", at(1), None).await.unwrap();
    let Place::File(folder) = &place else { unreachable!("it is a file") };
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder.path().join("data")).unwrap().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        seen.push(entry.file_name().into_string().unwrap());
        assert_eq!(mode, 0o600, "{seen:?}");
    }
    seen.sort_unstable();
    assert_eq!(seen, ["weir.db", "weir.db-shm", "weir.db-wal", "weir.db.lock", "weir.db.secret"]);
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_refused_without_being_told() {
    let url = "postgres://user:s3cret@127.0.0.1:notaport/weir".to_owned().into();
    let options = weir_store::DatabaseOptions::new(weir_store::DatabaseLocation::Postgres(url));
    let error = Database::open(options).await.err().expect("it cannot be opened");
    assert!(!error.to_string().contains("s3cret"), "{error}");
}
