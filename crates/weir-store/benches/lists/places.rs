//! Where and how large: what the benchmarks over millions of records are told by variables.

use std::time::{Duration, Instant};

use weir_store::{Database, DatabaseLocation, DatabaseOptions};
use weir_testkit::PostgresServer;

use super::fill;
use super::traffic::Traffic;

/// How long one call of filling may take.
const FILL_DEADLINE: Duration = Duration::from_secs(300);

fn variable<T: std::str::FromStr>(name: &str, default: &str) -> Vec<T> {
    let text = std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let values: Option<Vec<T>> = text.split(',').map(|word| word.trim().parse().ok()).collect();
    values.unwrap_or_else(|| panic!("{name}: `{text}` cannot be read"))
}

/// Fills each store at each rate, and has it measured with the usual deadlines.
pub async fn each(measure: impl AsyncFn(Database, &Traffic)) {
    let records = variable::<u64>("WEIR_BENCH_RECORDS", "300000")[0];
    for store in variable::<String>("WEIR_BENCH_STORES", "sqlite,postgres") {
        for rate in variable::<u64>("WEIR_BENCH_RATE", "10000,40") {
            let traffic = Traffic { records, rate };
            println!("\n{store}, {records} records at {rate} a second");
            match store.as_str() {
                "sqlite" => {
                    let folder = tempfile::tempdir().unwrap();
                    let file = folder.path().join("weir.db");
                    measure(filled(DatabaseLocation::Sqlite(file.clone()), &traffic).await, &traffic).await;
                    let bytes = std::fs::metadata(file).unwrap().len();
                    println!("  the file: {} MB, {} bytes a record", bytes / 1_000_000, bytes / records);
                }
                "postgres" => {
                    let server = PostgresServer::start();
                    let location = DatabaseLocation::Postgres(server.url().into());
                    measure(filled(location, &traffic).await, &traffic).await;
                }
                other => panic!("WEIR_BENCH_STORES: `{other}` is neither sqlite nor postgres"),
            }
        }
    }
}

async fn filled(location: DatabaseLocation, traffic: &Traffic) -> Database {
    let begin = Instant::now();
    let patient = DatabaseOptions { deadline: FILL_DEADLINE, ..DatabaseOptions::new(location.clone()) };
    let database = Database::open(patient).await.unwrap();
    fill::records(&database, traffic).await;
    fill::counts(&database, traffic).await;
    database.close().await;
    println!("  filled in {:.0} s", begin.elapsed().as_secs_f64());
    Database::open(DatabaseOptions::new(location)).await.unwrap()
}
