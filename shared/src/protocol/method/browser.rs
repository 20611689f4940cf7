//! Browser control, by way of the gateway.

use super::methods;
use crate::protocol::params::browser::BrowserRequestParams;

methods! {
    "Browser";
    /// Calls a route of browser control; the reply is the route's JSON body.
    BrowserRequest = "browser.request", Write, BrowserRequestParams => serde_json::Value, planned "browser control takes no orders yet";
}
