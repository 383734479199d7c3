//! What a held request shows of the time, and of the order in which the action cache is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use weir_core::secret::Secret;
use weir_store::CacheLocation;
use weir_testkit::ClassifierScript;

use crate::support::{Api, Ask, Node, Options, World, eventually};

/// The real providers stamp an answer when they make it. A simulated one that stamped it with the time of the request
/// would tell of the delay.
#[tokio::test]
async fn a_simulated_answer_is_stamped_after_the_delay() {
    let rules =
        "rules:\n- {id: all, on: request, when: 'true', then: quarantine-2, because: A test.}\n".to_owned();
    for (api, member) in [(Api::Chat, "created"), (Api::Responses, "created_at")] {
        let world = World::new().await;
        let config = world
            .config()
            .set("providers", "[{name: sim, simulated: true}]")
            .set("models", "[]")
            .set("abuse", "{mode: inline}");
        let node = Node::with(&world, &config, Options { rules: rules.clone(), ..Options::default() }).await;
        let asked_at = world.clock.manual.now().as_second();
        let request = node.spawn(&Ask::new(api, "sim/echo"));
        let delay = world.clock.nth_sleep(0).await;
        assert!(delay >= Duration::from_secs(2), "a delay that shows in whole seconds: {delay:?}");
        world.clock.manual.advance(delay);
        let answer = request.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let stamped = answer.json()[member].as_i64().unwrap();
        assert_eq!(stamped, asked_at + i64::try_from(delay.as_secs()).unwrap(), "{api:?}");
    }
}

/// A cache whose reads take long: so long that a verdict on the same request overtakes them, if nothing holds it back.
/// It speaks as much of Redis as the action cache needs.
struct SlowReads {
    port: u16,
    written: Arc<Written>,
}

#[derive(Default)]
struct Written {
    is: AtomicBool,
    changed: Notify,
}

/// How long a read takes unless a write comes before its answer: many times what the verdict takes.
const READ_TAKES: Duration = Duration::from_millis(400);

/// What the cache holds once it was written.
const LEARNED: &str = "block";

impl SlowReads {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, written) = (listener.local_addr().unwrap().port(), Arc::<Written>::default());
        let told = Arc::clone(&written);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                converse(stream, &told);
            }
        });
        Self { port, written }
    }

    fn location(&self) -> CacheLocation {
        CacheLocation::Redis(Secret::from(format!("redis://127.0.0.1:{}", self.port)))
    }
}

/// Reads commands as they come, so that a write is noticed while a read that came before it is still being answered.
fn converse(stream: TcpStream, written: &Arc<Written>) {
    let (reader, writer) = stream.into_split();
    let (sender, commands) = mpsc::unbounded_channel();
    let noticed = Arc::clone(written);
    tokio::spawn(async move {
        let mut reader = BufReader::new(reader);
        while let Some(words) = command(&mut reader).await {
            if words[0] == "SET" {
                noticed.is.store(true, Ordering::SeqCst);
                noticed.changed.notify_waiters();
            }
            let _ = sender.send(words);
        }
    });
    tokio::spawn(answer_in_order(writer, commands, Arc::clone(written)));
}

/// One command: an array of bulk strings.
async fn command(reader: &mut BufReader<OwnedReadHalf>) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for _ in 0..number(reader, '*').await? {
        let mut bytes = vec![0; number(reader, '$').await? + 2];
        reader.read_exact(&mut bytes).await.ok()?;
        words.push(String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned());
    }
    Some(words)
}

async fn number(reader: &mut BufReader<OwnedReadHalf>, kind: char) -> Option<usize> {
    let mut line = String::new();
    reader.read_line(&mut line).await.ok()?;
    line.trim_end().strip_prefix(kind)?.parse().ok()
}

async fn answer_in_order(
    mut writer: OwnedWriteHalf,
    mut commands: mpsc::UnboundedReceiver<Vec<String>>,
    written: Arc<Written>,
) {
    while let Some(words) = commands.recv().await {
        let answer = match words[0].as_str() {
            "GET" => read(&written).await,
            "SET" => "+OK\r\n".to_owned(),
            "PING" => "+PONG\r\n".to_owned(),
            "CLIENT" => "+OK\r\n".to_owned(),
            // The one script that has to answer counts the living nodes.
            "EVALSHA" => ":1\r\n".to_owned(),
            _ => "-ERR not in this test\r\n".to_owned(),
        };
        if writer.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// What a read finds, as late as it may be.
async fn read(written: &Written) -> String {
    let changed = written.changed.notified();
    tokio::pin!(changed);
    changed.as_mut().enable();
    if !written.is.load(Ordering::SeqCst) {
        let _ = tokio::time::timeout(READ_TAKES, changed).await;
    }
    if written.is.load(Ordering::SeqCst) {
        format!("${}\r\n{LEARNED}\r\n", LEARNED.len())
    } else {
        "$-1\r\n".to_owned()
    }
}

/// The first request of a new abuser passes, however fast the service answers and however slow the cache is.
#[tokio::test]
async fn the_cache_is_read_before_it_learns_from_the_same_request() {
    let (world, cache) = (World::new().await, SlowReads::start().await);
    world.classifier.respond_with(ClassifierScript::resolved(Some(LEARNED)));
    let options = Options { cache: cache.location(), ..Options::default() };
    let node = Node::with(&world, &world.config(), options).await;

    let first = node.send(&Ask::chat("paid/big")).await;
    assert_eq!(first.status, 200, "the verdict on this request was in force for it: {}", first.text());
    eventually("the verdict in the cache", async || cache.written.is.load(Ordering::SeqCst).then_some(()))
        .await;
    let second = node.send(&Ask::chat("paid/big")).await;
    let told: Value = second.json();
    assert_eq!((second.status, &told["error"]["code"]), (403, &Value::from("abuse_blocked")), "{told}");
}
