//! Nodes: what was asked under a key is asked once, what people allowed stays allowed for that one thing, whatever dies.

use openclaw_shared::control::ChildName;
use openclaw_tests::client::{Client, Received, Socket, connect_params, request};
use openclaw_tests::device::Device;
use openclaw_tests::eventually::eventually;
use openclaw_tests::faults::kill;
use openclaw_tests::home::{Home, TOKEN};
use openclaw_tests::instance::{Instance, pid};
use serde_json::{Value, json};

/// Connects the node of this number.
async fn node(instance: &Instance, number: u8) -> (Socket, String) {
    let device = Device::new(number);
    let mut params = connect_params(TOKEN);
    params["client"] = json!({"id": "node-host", "version": "1", "platform": "linux", "mode": "node", "displayName": "Box"});
    params["role"] = json!("node");
    params["scopes"] = json!([]);
    params["commands"] = json!(["system.run", "system.which"]);
    let (socket, attempt) = device.attempt(instance.home().port(), &[], params).await;
    assert_eq!(attempt.end, None, "{attempt:?}");
    let hello = attempt.answer.unwrap();
    assert_eq!(hello["payload"]["policy"]["maxPayload"], 8 * 1024 * 1024);
    (socket, device.id().to_owned())
}

/// Connects the operator of this number.
async fn operator(instance: &Instance, number: u8) -> Socket {
    let (socket, attempt) = Device::new(number)
        .attempt(instance.home().port(), &[], connect_params(TOKEN))
        .await;
    assert_eq!(attempt.end, None, "{attempt:?}");
    socket
}

/// The next frame of which this holds.
async fn until(socket: &mut Socket, is_it: impl Fn(&Value) -> bool) -> Value {
    loop {
        let frame = socket.frame().await;
        if is_it(&frame) {
            return frame;
        }
    }
}

async fn answer(socket: &mut Socket, id: &str) -> Value {
    until(socket, |frame| frame["type"] == "res" && frame["id"] == id).await
}

async fn asked(node: &mut Socket) -> Value {
    until(node, |frame| frame["event"] == "node.invoke.request").await["payload"].clone()
}

async fn say(node: &mut Socket, request_of_node: &Value, payload: Value) -> Value {
    let params = json!({"id": request_of_node["id"], "nodeId": request_of_node["nodeId"], "ok": true, "payload": payload});
    node.send(&request("said", "node.invoke.result", params))
        .await;
    answer(node, "said").await["payload"].clone()
}

async fn ask(operator: &mut Socket, node: &str, command: &str, key: &str, params: Value) {
    let params =
        json!({"nodeId": node, "command": command, "params": params, "idempotencyKey": key});
    operator.send(&request(key, "node.invoke", params)).await;
}

/// Kills the gateway; its successor serves.
async fn kill_gateway(instance: &Instance) {
    let before = instance.child(ChildName::Gateway).await;
    kill(pid(&before).unwrap()).await;
    instance.until_later_life(ChildName::Gateway, &before).await;
}

#[tokio::test]
async fn what_was_asked_under_a_key_is_asked_once_through_a_kill() {
    let instance = Home::new().launch().ready().await;
    let (mut box_, id) = node(&instance, 1).await;
    let mut first = operator(&instance, 2).await;
    ask(
        &mut first,
        &id,
        "system.which",
        "done",
        json!({"bins": ["sh"]}),
    )
    .await;
    let wanted = asked(&mut box_).await;
    assert_eq!(
        say(&mut box_, &wanted, json!({"n": 1})).await,
        json!({"ok": true})
    );
    let done = answer(&mut first, "done").await["payload"].clone();
    assert_eq!(done["payload"], json!({"n": 1}));
    ask(&mut first, &id, "system.which", "open", json!({})).await;
    asked(&mut box_).await;
    kill_gateway(&instance).await;

    let (mut box_, _) = node(&instance, 1).await;
    let mut second = operator(&instance, 2).await;
    ask(
        &mut second,
        &id,
        "system.which",
        "done",
        json!({"bins": ["sh"]}),
    )
    .await;
    assert_eq!(answer(&mut second, "done").await["payload"], done);
    ask(&mut second, &id, "system.which", "open", json!({})).await;
    let open = answer(&mut second, "open").await["error"].clone();
    assert_eq!(
        (&open["code"], &open["details"]["code"]),
        (&json!("UNAVAILABLE"), &json!("OUTCOME_UNKNOWN"))
    );
    ask(
        &mut second,
        &id,
        "system.which",
        "done",
        json!({"bins": []}),
    )
    .await;
    assert_eq!(
        answer(&mut second, "done").await["error"]["code"],
        "INVALID_REQUEST"
    );
    ask(&mut second, &id, "system.which", "new", json!({})).await;
    assert_eq!(asked(&mut box_).await["idempotencyKey"], "new");
}

#[tokio::test]
async fn rule_49_what_waits_for_people_survives_a_kill_and_what_they_allow_holds_once() {
    let instance = Home::new().launch().ready().await;
    let (_box, id) = node(&instance, 1).await;
    let mut asker = operator(&instance, 2).await;
    let wish = json!({"id": "a1", "command": "echo hi", "argv": ["echo", "hi"], "host": "node", "nodeId": id});
    asker
        .send(&request("wish", "exec.approval.request", wish))
        .await;
    until(&mut asker, |frame| {
        frame["event"] == "exec.approval.requested"
    })
    .await;
    kill_gateway(&instance).await;

    let (mut box_, _) = node(&instance, 1).await;
    let mut owner = operator(&instance, 3).await;
    owner
        .send(&request("list", "exec.approval.list", json!({})))
        .await;
    let waits = answer(&mut owner, "list").await["payload"]["pending"].clone();
    assert_eq!(waits[0]["request"]["argv"], json!(["echo", "hi"]));
    owner
        .send(&request(
            "yes",
            "exec.approval.resolve",
            json!({"id": "a1", "decision": "allow-once"}),
        ))
        .await;
    assert_eq!(
        answer(&mut owner, "yes").await["payload"],
        json!({"ok": true})
    );
    kill_gateway(&instance).await;
    drop(box_);

    (box_, _) = node(&instance, 1).await;
    let run =
        json!({"command": ["echo", "hi"], "approved": true, "approvalDecision": "allow-once"});
    let mut thief = operator(&instance, 3).await;
    let mut asker = operator(&instance, 2).await;
    for (who, key, approved) in [
        (&mut thief, "k1", Value::Null),
        (&mut asker, "k2", json!(true)),
    ] {
        ask(who, &id, "system.run", key, run.clone()).await;
        let wanted = asked(&mut box_).await;
        let sent: Value = serde_json::from_str(wanted["paramsJSON"].as_str().unwrap()).unwrap();
        assert_eq!(sent["approved"], approved, "{key}");
    }
    kill_gateway(&instance).await;
    let (mut box_, _) = node(&instance, 1).await;
    let mut asker = operator(&instance, 2).await;
    ask(&mut asker, &id, "system.run", "k3", run).await;
    let wanted = asked(&mut box_).await;
    assert!(
        !wanted["paramsJSON"].as_str().unwrap().contains("approved"),
        "it is used up"
    );
}

/// A node ends its commands with its connection, so a replacement that cut it off would end what it is at.
#[tokio::test]
async fn a_replacement_waits_for_nodes_that_are_at_work_and_not_for_people() {
    let instance = Home::new().launch().ready().await;
    let (mut box_, id) = node(&instance, 1).await;
    let mut asker = operator(&instance, 2).await;
    ask(&mut asker, &id, "system.which", "k", json!({})).await;
    let wanted = asked(&mut box_).await;
    asker
        .send(&request(
            "wish",
            "exec.approval.request",
            json!({"command": "id"}),
        ))
        .await;
    until(&mut asker, |frame| {
        frame["event"] == "exec.approval.requested"
    })
    .await;
    let works = async {
        until(&mut box_, |frame| frame["event"] == "shutdown").await;
        let taken = say(&mut box_, &wanted, json!({"n": 1})).await;
        assert_eq!(taken, json!({"ok": true}));
        let (_, end) = box_.rest().await;
        assert!(
            matches!(end, Received::Closed { code: 1012, .. }),
            "{end:?}"
        );
    };
    let waits = async {
        let (frames, end) = asker.rest().await;
        let answer = |id: &str| frames.iter().find(|frame| frame["id"] == id).cloned();
        assert_eq!(
            answer("wish").unwrap()["error"]["code"],
            "UNAVAILABLE",
            "{frames:?}"
        );
        assert_eq!(
            answer("k").unwrap()["payload"]["payload"],
            json!({"n": 1}),
            "{frames:?}"
        );
        assert!(
            matches!(end, Received::Closed { code: 1012, .. }),
            "{end:?}"
        );
    };
    let (restarted, (), ()) =
        tokio::join!(instance.restart(Some(ChildName::Gateway)), works, waits);
    restarted.unwrap();
    let (_box, _) = node(&instance, 1).await;
    let mut asker = operator(&instance, 2).await;
    ask(&mut asker, &id, "system.which", "k", json!({})).await;
    assert_eq!(
        answer(&mut asker, "k").await["payload"]["payload"],
        json!({"n": 1})
    );
}

#[tokio::test]
async fn a_node_that_is_away_is_remembered_through_a_kill() {
    let instance = Home::new().launch().ready().await;
    let (box_, id) = node(&instance, 1).await;
    drop(box_);
    let mut client = instance.client().await;
    let row = away(&mut client, &id).await;
    assert_eq!(row["commands"], json!(["system.run", "system.which"]));
    kill_gateway(&instance).await;
    let mut client = instance.client().await;
    let after = away(&mut client, &id).await;
    assert_eq!(
        (&after["commands"], &after["version"], &after["paired"]),
        (&row["commands"], &json!("1"), &json!(true))
    );
}

async fn away(client: &mut Client, id: &str) -> Value {
    eventually("the node is known and away", async || {
        let list = client.call("node.list", json!({})).await.unwrap();
        let row = list["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["nodeId"] == id)
            .cloned();
        row.filter(|row| row["connected"] == false && row["commands"] != json!([]))
            .ok_or_else(|| list.to_string())
    })
    .await
}
