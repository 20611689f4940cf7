//! What is too much, too long or too late.

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::closed;
use crate::testing::{Gateway, Seen};

#[tokio::test(flavor = "local")]
async fn rules_63_64_65_too_much_is_refused_before_and_after_authentication() {
    let gateway = Gateway::start().await;
    let mut stranger = gateway.open().await;
    stranger.event("connect.challenge").await;
    stranger.feed_text(&"x".repeat(8 * 1024 * 1024)).await;
    assert_eq!(stranger.end().await, closed(1009, ""));
    let mut stranger = gateway.open().await;
    stranger.feed_text(&"x".repeat(65 * 1024)).await;
    assert_eq!(stranger.end().await, closed(1009, ""));

    let (mut client, _) = gateway.client().await;
    client.feed_text(&" ".repeat(524_288)).await;
    assert_eq!(client.call("health", json!({})).await["ok"], true);
    client.feed_text(&"x".repeat(524_289)).await;
    assert_eq!(client.end().await, closed(1009, ""));

    let (mut client, _) = gateway.client().await;
    client.feed_fragments(600, 1024).await;
    assert_eq!(client.end().await, closed(1009, ""));
    let (mut client, _) = gateway.client().await;
    client.feed_fragments(100_000, 0).await;
    gateway.client().await;
}

#[tokio::test(flavor = "local")]
async fn what_is_no_websocket_is_closed() {
    let gateway = Gateway::start().await;
    for (name, bytes) in [
        ("unmasked", &b"\x81\x02{}"[..]),
        ("reserved bits", b"\xf1\x80\0\0\0\0"),
        ("opcode 11", b"\x8b\x80\0\0\0\0"),
        ("lone continuation", b"\x80\x80\0\0\0\0"),
        ("long ping", b"\x89\xfe\0\xc8\0\0\0\0"),
        ("2^40 bytes", b"\x81\xff\0\0\x01\0\0\0\0\0\0\0\0\0"),
        ("no UTF-8", b"\x81\x82\0\0\0\0\xff\xfe"),
    ] {
        let (mut client, _) = gateway.client().await;
        client.raw(bytes).await;
        if name == "long ping" {
            client.raw(&[0; 200]).await;
        }
        let Seen::Closed(code, _) = client.end().await else {
            panic!("{name}")
        };
        assert!([1002, 1007, 1009].contains(&code), "{name}: {code}");
    }
}

#[tokio::test(flavor = "local")]
async fn the_oldest_silent_socket_makes_room() {
    let gateway = Gateway::start().await;
    let mut first = gateway.open().await;
    first.event("connect.challenge").await;
    // As many real sockets take longer on a slow machine than a silent one may stay.
    let hub = &gateway.context.hub;
    let others = (1..crate::limits::UNAUTHENTICATED_SOCKETS).map(|_| hub.enter(None));
    let _others: Vec<_> = others.collect();
    let _last = gateway.open().await;
    assert_eq!(first.end().await, Seen::Broken);
    gateway.client().await;
    assert_eq!(
        gateway.context.hub.counts().1,
        crate::limits::UNAUTHENTICATED_SOCKETS - 1
    );
}

#[tokio::test(flavor = "local")]
async fn a_client_that_does_not_read_is_dropped_and_its_memory_is_bounded() {
    let gateway = Gateway::start().await;
    let (mut slow, _) = gateway.client().await;
    let (mut other, _) = gateway.client().await;
    // About 100 bytes a time would take long to fill the kernel's buffers; a long list of presence entries does not.
    for number in 0..150 {
        let text = format!("{number}{}", "x".repeat(250));
        let note = json!({"text": text, "host": text, "reason": "r".repeat(250)});
        assert_eq!(other.call("system-event", note).await["ok"], true);
    }
    let mut rounds = 0;
    while gateway.context.hub.counts().0 == 2 {
        rounds += 1;
        assert!(rounds < 100_000, "the slow client is never dropped");
        gateway.context.publish_presence();
        gateway.context.refresh_health();
        assert_eq!(other.call("status", json!({})).await["ok"], true);
    }
    let end = slow.end().await;
    assert!(
        end == closed(1008, "slow consumer") || end == Seen::Broken,
        "{end:?}"
    );
}

#[tokio::test(flavor = "local")]
async fn rule_65_empty_fragments_without_end_are_too_large_a_message() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let wire = client.stream.get_mut();
    wire.write_all(&[0x01, 0x80, 0, 0, 0, 0]).await.unwrap();
    let fragments = [0x00, 0x80, 0, 0, 0, 0].repeat(10_000);
    // Each is six bytes; 100,000 of them come to more than the framing of one message may. The gateway may have hung up
    // in the middle of it.
    for _ in 0..20 {
        if wire.write_all(&fragments).await.is_err() {
            break;
        }
    }
    assert_eq!(client.end().await, closed(1009, ""));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_silent_socket_is_closed_after_ten_seconds() {
    let gateway = Gateway::start().await;
    let begun = tokio::time::Instant::now();
    let mut silent = gateway.open().await;
    silent.event("connect.challenge").await;
    // The clock goes on while something outside of this runtime is waited for, which a start does.
    let opened = tokio::time::Instant::now();
    assert_eq!(silent.end().await, closed(1000, ""));
    let (most, least) = (begun.elapsed().as_millis(), opened.elapsed().as_millis());
    assert!(
        most >= 10_000 && least < 10_200,
        "between {least} and {most} ms"
    );
}
