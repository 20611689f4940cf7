//! Whole conversations on a real socket, against the accept loop and the connection of this crate.

use crate::testing::{Client, Seen};

mod admission;
mod bounds;
mod ends;
mod heavy;
mod http_api;
mod slow_files;
mod talk;

fn closed(code: u16, reason: &str) -> Seen {
    Seen::Closed(code, reason.to_owned())
}

impl Client {
    async fn stream_binary(&mut self, bytes: &'static [u8]) {
        use futures_util::SinkExt as _;
        use tokio_tungstenite::tungstenite::Message;
        self.stream
            .send(Message::Binary(bytes.into()))
            .await
            .unwrap();
    }

    /// Sends as far as the gateway takes it.
    async fn feed_text(&mut self, text: &str) {
        use futures_util::SinkExt as _;
        use tokio_tungstenite::tungstenite::Message;
        let _ = self.stream.send(Message::text(text)).await;
    }

    /// Sends a message that never ends, as far as the gateway takes it.
    async fn feed_fragments(&mut self, count: usize, size: usize) {
        use futures_util::SinkExt as _;
        use tokio_tungstenite::tungstenite::Message;
        use tokio_tungstenite::tungstenite::protocol::frame::Frame;
        use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
        for number in 0..count {
            let kind = if number == 0 {
                Data::Text
            } else {
                Data::Continue
            };
            let frame = Frame::message(vec![b'x'; size], OpCode::Data(kind), false);
            if self.stream.feed(Message::Frame(frame)).await.is_err() {
                return;
            }
        }
        let _ = self.stream.flush().await;
    }

    /// Sends bytes as they are.
    async fn raw(&mut self, bytes: &[u8]) {
        use tokio::io::AsyncWriteExt as _;
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }
}
