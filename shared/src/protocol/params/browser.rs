//! `browser.request`: browser control, through the gateway or a node.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::literals;
use crate::protocol::strict::{Int, NonEmpty, present_object, strict_options};

literals! {
    /// What to do with a route.
    pub enum BrowserMethod {
        /// Look.
        Get = "GET",
        /// Do.
        Post = "POST",
        /// Remove.
        Delete = "DELETE",
    }
}

/// Parameters of `browser.request`; unknown ones are ignored.
#[strict_options]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrowserRequestParams {
    /// The HTTP method.
    pub method: BrowserMethod,
    /// The route of browser control.
    pub path: NonEmpty,
    /// The query, by name.
    #[serde(
        default,
        deserialize_with = "present_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub query: Option<BTreeMap<String, Value>>,
    /// The JSON body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// How long to wait, in milliseconds.
    pub timeout_ms: Option<Int<0>>,
}
