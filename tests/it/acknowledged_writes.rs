//! An acknowledged write is there, whenever the gateway is killed: 200 times kill -9 at random moments, under mixed writes.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use openclaw_shared::clock::Moment;
use openclaw_shared::control::ChildName;
use openclaw_tests::client::{Client, Received, Socket, Target, connect_params, request};
use openclaw_tests::eventually::eventually;
use openclaw_tests::home::Home;
use openclaw_tests::instance::{Launch, pid};
use openclaw_tests::process::{self, Signal, is_alive};
use serde_json::{Value, json};

/// How often the gateway is killed.
const KILLS: u32 = 200;
/// Kills within one life of the instance. The first is answered with a restart at once; a gateway that dies again and again
/// is left alone for a while, which is another promise, so the second kill takes the supervisor along.
const KILLS_PER_LIFE: u32 = 2;
/// Before a kill so many writes have been acknowledged, or a few less.
const ACKNOWLEDGED: u64 = 8;
/// Clients that write at the same time.
const WRITERS: u64 = 4;

/// What one writer was promised, across all lives.
#[derive(Debug, Default)]
struct Promised {
    /// Keys of sessions, names of jobs.
    keys: BTreeSet<String>,
    /// The word that was set last and acknowledged, and those that were sent after it.
    word: Option<String>,
    words_in_doubt: Vec<String>,
}

/// A small generator; the same seed gives the same moments.
struct Moments(u64);

impl Moments {
    fn next_below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Writes until the connection ends, or the kill has happened: who comes late is connected to the successor.
async fn write(
    target: &Target,
    writer: u64,
    round: u32,
    promised: &mut Promised,
    (acknowledged, has_killed): (&Cell<u64>, &Cell<bool>),
) {
    let Ok(mut socket) = Socket::open(target.port).await else {
        return;
    };
    // The challenge; a gateway that is killed before it is no gateway yet.
    let Received::Frame(_) = socket.receive().await else {
        return;
    };
    socket
        .send(&request("hello", "connect", connect_params(&target.token)))
        .await;
    for number in 0_u32.. {
        if has_killed.get() {
            return;
        }
        let name = format!("w{writer}-r{round}-n{number}");
        // Only one writer sets the word, so that the last one is known.
        let (method, params) = match (number % 3, writer) {
            (0, 0) => {
                promised.words_in_doubt.push(name.clone());
                ("voicewake.set", json!({ "triggers": [name] }))
            }
            (1, _) => (
                "cron.add",
                json!({
                    "name": name, "enabled": true, "sessionTarget": "main", "wakeMode": "next-heartbeat",
                    "schedule": { "kind": "every", "everyMs": 3_600_000 },
                    "payload": { "kind": "systemEvent", "text": "hello" },
                }),
            ),
            _ => ("sessions.patch", json!({ "key": name, "label": name })),
        };
        let id = format!("{number}");
        socket.send(&request(&id, method, params)).await;
        loop {
            match socket.receive().await {
                Received::Frame(frame) if frame["id"] == id.as_str() => {
                    assert_eq!(frame["ok"], true, "{method}: {frame}");
                    break;
                }
                Received::Frame(_) => {}
                Received::Closed { .. } | Received::Cut => return,
            }
        }
        acknowledged.set(acknowledged.get() + 1);
        match method {
            "voicewake.set" => {
                promised.word = Some(name);
                promised.words_in_doubt.clear();
            }
            _ => {
                promised.keys.insert(name);
            }
        }
    }
}

async fn everything(client: &mut Client) -> (BTreeSet<String>, String) {
    let sessions = client.call("sessions.list", json!({})).await;
    let jobs = client
        .call("cron.list", json!({ "includeDisabled": true }))
        .await;
    let words = client.call("voicewake.get", json!({})).await;
    let (sessions, jobs, words) = (
        sessions.expect("sessions are listed"),
        jobs.expect("jobs are listed"),
        words.expect("words are told"),
    );
    let texts = |list: &Value, field: &str| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(|item| item[field].as_str().map(str::to_owned))
            .collect()
    };
    let mut keys: BTreeSet<String> = texts(&sessions["sessions"], "label").into_iter().collect();
    keys.extend(texts(&jobs["jobs"], "name"));
    let word = words["triggers"][0].as_str().unwrap_or_default().to_owned();
    (keys, word)
}

/// The gateway alone: a hundred starts of what nobody writes to would take half of the time.
fn launch(home: &Home) -> Launch {
    home.launch()
        .variable("OPENCLAW_SKIP_CANVAS_HOST", "1")
        .variable("OPENCLAW_SKIP_BROWSER_CONTROL_SERVER", "1")
}

#[tokio::test]
async fn rules_118_123_every_acknowledged_write_survives_two_hundred_kills() {
    let home = Home::new();
    let mut moments = Moments(0x9e37_79b9_7f4a_7c15);
    let mut promised: Vec<Promised> = (0..WRITERS).map(|_| Promised::default()).collect();
    let mut killed = 0;
    while killed < KILLS {
        let instance = launch(&home).ready().await;
        for nth in 1..=KILLS_PER_LIFE {
            let life = instance.child(ChildName::Gateway).await;
            let gateway = pid(&life).unwrap();
            let target = instance.target();
            let (acknowledged, has_killed) = (Cell::new(0), Cell::new(false));
            // Some kills come while clients connect, some in the middle of their writes, however fast the machine is.
            let wanted = moments.next_below(ACKNOWLEDGED);
            let delay = Duration::from_micros(moments.next_below(5_000));
            let seen = (&acknowledged, &has_killed);
            let writers = promised
                .iter_mut()
                .zip(0..)
                .map(|(promised, writer)| write(&target, writer, killed, promised, seen));
            let kill = async {
                let start = Moment::now();
                eventually("writes are acknowledged", async || {
                    let so_far = acknowledged.get();
                    (so_far >= wanted).then_some(()).ok_or(so_far)
                })
                .await;
                tokio::time::sleep(delay).await;
                assert!(
                    is_alive(gateway),
                    "dead after {:?}",
                    Moment::now().since(start)
                );
                process::send(gateway, Signal::SIGKILL);
                if nth == KILLS_PER_LIFE {
                    instance.signal(Signal::SIGKILL);
                }
                has_killed.set(true);
            };
            tokio::join!(futures_util::future::join_all(writers), kill);
            killed += 1;
            if nth < KILLS_PER_LIFE {
                instance.until_later_life(ChildName::Gateway, &life).await;
            }
        }
    }
    let instance = launch(&home).ready().await;
    let (keys, word) = everything(&mut instance.client().await).await;
    let mut total = 0;
    for promised in &promised {
        let lost: Vec<_> = promised.keys.difference(&keys).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        total += promised.keys.len();
    }
    assert!(
        total > 300,
        "only {total} writes were acknowledged between the kills"
    );
    let last = &promised[0];
    assert!(
        last.word.as_ref() == Some(&word) || last.words_in_doubt.contains(&word),
        "{word} is neither the last acknowledged word {:?} nor one in doubt",
        last.word
    );
}
