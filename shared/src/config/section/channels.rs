//! `channels`: the messaging networks. Each channel reads its own block; an extension may bring another.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::config::model::Shape;
use crate::config::setting::{Block, Setting, Walk};

/// The block of every channel, by the channel's name; `defaults` holds for all.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Channels {
    /// The blocks.
    pub blocks: BTreeMap<String, Block>,
}

impl Setting for Channels {
    fn read(value: &Value, walk: &mut Walk<'_>) -> Option<Self> {
        Setting::read(value, walk).map(|blocks| Self { blocks })
    }

    fn shape() -> Shape {
        BTreeMap::<String, Block>::shape()
    }
}
