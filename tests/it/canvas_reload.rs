//! A real browser sees a canvas page reload when its file changes.

use std::fs;

use openclaw_shared::control::ChildName;
use openclaw_tests::browser::Browser;
use openclaw_tests::faults::kill;
use openclaw_tests::home::Home;
use serde_json::json;

/// The page says by itself when it listens for changes, and whether it was loaded anew since a mark was set.
fn write_page(home: &Home, text: &str) {
    let page = format!(
        "<!doctype html><html><body><h1 id=\"it\">{text}</h1><script>
           window.WebSocket = class extends WebSocket {{
             constructor(url) {{
               super(url);
               this.addEventListener('open', () => {{ window.listens = true; }});
             }}
           }};
         </script></body></html>"
    );
    fs::write(home.canvas_root().join("index.html"), page).unwrap();
}

const LISTENS: &str = "window.listens === true";
const LISTENS_ANEW: &str = "window.listens === true && window.mark === undefined";
const TEXT: &str = "document.getElementById('it')?.textContent";

async fn open(port: u16) -> Option<Browser> {
    let browser = Browser::open(&format!("http://127.0.0.1:{port}/__openclaw__/canvas/")).await;
    if browser.is_none() {
        openclaw_tests::skip("there is no /usr/bin/chromium on this machine");
    }
    browser
}

#[tokio::test]
async fn a_page_on_the_canvas_port_reloads_when_its_file_changes() {
    let home = Home::new();
    let _instance = home.launch().ready().await;
    check_reload(&home, home.canvas_port()).await;
}

#[tokio::test]
async fn a_page_on_the_base_port_reloads_when_its_file_changes() {
    let home = Home::new();
    let _instance = home.launch().ready().await;
    check_reload(&home, home.port()).await;
}

async fn check_reload(home: &Home, port: u16) {
    write_page(home, "before");
    let Some(mut browser) = open(port).await else {
        return;
    };
    browser.shows(TEXT, &json!("before")).await;
    browser.shows(LISTENS, &json!(true)).await;
    browser.evaluate("window.mark = 1").await;
    write_page(home, "after");
    browser.shows(TEXT, &json!("after")).await;
    // And again, by the page that was loaded anew.
    browser.shows(LISTENS_ANEW, &json!(true)).await;
    write_page(home, "and again");
    browser.shows(TEXT, &json!("and again")).await;
}

#[tokio::test]
async fn a_page_finds_the_next_canvas_host_by_itself() {
    let home = Home::new();
    let instance = home.launch().ready().await;
    write_page(&home, "before");
    let Some(mut browser) = open(home.canvas_port()).await else {
        return;
    };
    browser.shows(LISTENS, &json!(true)).await;
    browser.evaluate("window.mark = 1").await;
    let before = instance.child(ChildName::CanvasHost).await;
    kill(instance.pid_of(ChildName::CanvasHost).await).await;
    instance
        .until_later_life(ChildName::CanvasHost, &before)
        .await;
    browser.shows(LISTENS_ANEW, &json!(true)).await;
    write_page(&home, "after the kill");
    browser.shows(TEXT, &json!("after the kill")).await;

    browser.shows(LISTENS, &json!(true)).await;
    browser.evaluate("window.mark = 1").await;
    instance.restart(None).await.unwrap();
    browser.shows(LISTENS_ANEW, &json!(true)).await;
    write_page(&home, "after the restart");
    browser.shows(TEXT, &json!("after the restart")).await;
}
