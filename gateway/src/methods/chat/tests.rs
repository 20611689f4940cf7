use openclaw_shared::clock::WallTime;
use openclaw_shared::transcript::{AssistantMessage, Message, Part, Usage, UserMessage};
use serde_json::{Value, json};

use crate::services::sessions::{Conversation, Register, Used};
use crate::services::transcripts;
use crate::testing::{Client, Gateway};

async fn ok(client: &mut Client, method: &str, params: Value) -> Value {
    let mut answer = client.call(method, params).await;
    assert_eq!(answer["ok"], true, "{answer}");
    answer["payload"].take()
}

fn user(text: &str) -> Message {
    Message::User(UserMessage {
        content: vec![Part::text(text)],
        timestamp: 1,
    })
}

/// A run that says something and is answered.
async fn say(gateway: &Gateway, key: &str, text: &str, answer: &str) -> String {
    let register = Register::new(gateway.context.settings());
    let key = register.key(key).unwrap();
    let said = user(text);
    let usage = Usage {
        input: 11,
        output: 5,
        cache_read: 2,
        total_tokens: 18,
        ..Usage::default()
    };
    let answered = Message::Assistant(AssistantMessage {
        content: vec![Part::text(answer)],
        usage,
        timestamp: WallTime::now().as_millis(),
        ..AssistantMessage::default()
    });
    let used = Used {
        is_silent: false,
        usage,
        provider: "p".to_owned(),
        model: "m".to_owned(),
        context_tokens: Some(32_000),
        was_aborted: false,
    };
    gateway
        .context
        .store
        .write(move |tx| {
            let now = WallTime::now();
            let entry = register.begin(tx, now, &key, Conversation::IfFresh)?;
            transcripts::append(tx, &entry.session_id, &said)?;
            transcripts::append(tx, &entry.session_id, &answered)?;
            register.ended(tx, now, &key, &entry.session_id, &used)?;
            Ok::<_, crate::methods::MethodError>(entry.session_id)
        })
        .await
        .unwrap()
}

#[tokio::test(flavor = "local")]
async fn what_was_said_is_shown_listed_and_counted() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    assert_eq!(
        ok(&mut client, "chat.history", json!({"sessionKey": "main"})).await,
        json!({"sessionKey": "main", "messages": [], "thinkingLevel": "off"})
    );
    let wanted = json!({"includeDerivedTitles": true, "includeLastMessage": true});
    ok(&mut client, "sessions.list", wanted.clone()).await;
    let id = say(
        &gateway,
        "main",
        "[WebChat 2026-11-22 07:12] Hi\n[message_id: r1]",
        "Hello",
    )
    .await;
    let history = ok(&mut client, "chat.history", json!({"sessionKey": "main"})).await;
    assert_eq!(history["sessionId"], id);
    assert_eq!(
        history["messages"][0],
        json!({"role": "user", "content": [{"type": "text", "text": "Hi"}], "timestamp": 1})
    );
    assert_eq!(history["messages"][1]["content"][0]["text"], "Hello");
    let newest = json!({"sessionKey": "agent:main:main", "limit": 1});
    let newest = ok(&mut client, "chat.history", newest).await;
    assert_eq!(newest["messages"].as_array().unwrap().len(), 1);
    let list = ok(&mut client, "sessions.list", wanted.clone()).await;
    let row = &list["sessions"][0];
    for (field, value) in [
        ("derivedTitle", json!("Hi")),
        ("lastMessagePreview", json!("Hello")),
        ("inputTokens", json!(11)),
        ("outputTokens", json!(5)),
        ("totalTokens", json!(13)),
        ("modelProvider", json!("p")),
        ("model", json!("m")),
        ("contextTokens", json!(32_000)),
        ("abortedLastRun", json!(false)),
    ] {
        assert_eq!(row[field], value, "{field}: {row}");
    }
    let previews = ok(&mut client, "sessions.preview", json!({"keys": ["main"]})).await;
    assert_eq!(
        previews["previews"][0],
        json!({"key": "main", "status": "ok", "items": [
            {"role": "user", "text": "Hi"}, {"role": "assistant", "text": "Hello"},
        ]})
    );
    let cost = ok(&mut client, "usage.cost", json!({"days": 1})).await;
    assert_eq!(
        (
            &cost["totals"]["totalTokens"],
            &cost["daily"][0]["cacheRead"]
        ),
        (&json!(18), &json!(2))
    );
    let exported = ok(&mut client, "sessions.export", json!({"key": "main"})).await;
    assert_eq!(exported["entries"].as_array().unwrap().len(), 3);
    assert_eq!(exported.get("next"), None);
    let cut = ok(&mut client, "sessions.compact", json!({"key": "main"})).await;
    assert_eq!(
        cut,
        json!({"ok": true, "key": "agent:main:main", "compacted": false, "kept": 2})
    );
    let cut = ok(
        &mut client,
        "sessions.compact",
        json!({"key": "main", "maxLines": 1}),
    )
    .await;
    assert_eq!((&cut["compacted"], &cut["kept"]), (&json!(true), &json!(1)));
    let aside = json!({"sessionId": cut["archived"]});
    let aside = ok(&mut client, "sessions.export", aside).await;
    assert_eq!(aside["entries"][1]["message"]["role"], "user");
    ok(&mut client, "sessions.reset", json!({"key": "main"})).await;
    let history = ok(&mut client, "chat.history", json!({"sessionKey": "main"})).await;
    assert_eq!(history["messages"], json!([]));
    assert_ne!(history["sessionId"], id);
    let cut = ok(&mut client, "sessions.compact", json!({"key": "main"})).await;
    assert_eq!(cut["reason"], "no transcript");
    let cut = ok(&mut client, "sessions.compact", json!({"key": "nobody"})).await;
    assert_eq!(cut["reason"], "no sessionId");
}

#[tokio::test(flavor = "local")]
async fn a_deleted_conversation_is_kept_for_a_while_and_nobody_has_it() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let id = say(&gateway, "side", "Hi", "Hello").await;
    let deleted = ok(&mut client, "sessions.delete", json!({"key": "side"})).await;
    assert_eq!(
        deleted,
        json!({"ok": true, "key": "agent:main:side", "deleted": true, "archived": [id]})
    );
    let history = ok(&mut client, "chat.history", json!({"sessionKey": "side"})).await;
    assert_eq!(history["messages"], json!([]));
    let exported = ok(&mut client, "sessions.export", json!({"sessionId": id})).await;
    assert_eq!(
        (
            exported.get("key"),
            exported["entries"].as_array().unwrap().len()
        ),
        (None, 3)
    );
    let again = ok(&mut client, "sessions.delete", json!({"key": "side"})).await;
    assert_eq!(
        (&again["deleted"], &again["archived"]),
        (&json!(false), &json!([]))
    );
}

#[tokio::test(flavor = "local")]
async fn injected_words_are_kept_and_everybody_hears_them() {
    let gateway = Gateway::start().await;
    let (mut client, _) = gateway.client().await;
    let (mut other, _) = gateway.client().await;
    let nobody = json!({"sessionKey": "main", "message": "x"});
    let refused = client.call("chat.inject", nobody).await;
    assert_eq!(
        (&refused["error"]["code"], &refused["error"]["message"]),
        (&json!("INVALID_REQUEST"), &json!("session not found"))
    );
    say(&gateway, "main", "Hi", "Hello").await;
    let words = json!({"sessionKey": "main", "message": "By the way", "label": "L"});
    let injected = ok(&mut client, "chat.inject", words).await;
    let id = injected["messageId"].as_str().unwrap();
    let heard = other.event("chat").await;
    let message = json!({
        "role": "assistant",
        "content": [{"type": "text", "text": "[L]\n\nBy the way"}],
        "timestamp": heard["payload"]["message"]["timestamp"],
        "stopReason": "injected",
        "usage": {"input": 0, "output": 0, "totalTokens": 0},
    });
    assert_eq!(
        heard["payload"],
        json!({"runId": format!("inject-{id}"), "sessionKey": "main", "seq": 0, "state": "final", "message": message})
    );
    let history = ok(&mut client, "chat.history", json!({"sessionKey": "main"})).await;
    assert_eq!(history["messages"][2], message);
}

#[tokio::test(flavor = "local")]
async fn a_message_after_silence_begins_another_conversation() {
    let gateway = Gateway::start_with(&json!({"session": {"idleMinutes": 5}})).await;
    let first = say(&gateway, "main", "Hi", "Hello").await;
    assert_eq!(say(&gateway, "main", "Still there?", "Yes").await, first);
    let register = Register::new(gateway.context.settings());
    let key = register.key("main").unwrap();
    let (later, mut ids) = (
        WallTime::from_millis(WallTime::now().as_millis() + 360_000),
        Vec::new(),
    );
    for wanted in [
        Conversation::Present,
        Conversation::IfFresh,
        Conversation::IfFresh,
        Conversation::Another,
    ] {
        let (register, key) = (register.clone(), key.clone());
        let begun = gateway
            .context
            .store
            .write(move |tx| register.begin(tx, later, &key, wanted));
        ids.push(begun.await.unwrap().session_id);
    }
    assert_eq!(ids[0], first);
    assert_ne!(ids[1], first);
    assert_eq!(ids[2], ids[1]);
    assert_ne!(ids[3], ids[1]);
    let expiring: i64 = gateway
        .context
        .store
        .read(|reader| {
            reader.query_row(
                "SELECT count(*) FROM transcripts WHERE expires_ms IS NOT NULL",
                [],
                |row| row.get(0),
            )
        })
        .unwrap();
    assert_eq!(expiring, 2);
}
