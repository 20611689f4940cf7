//! `discovery`: how apps find the gateway.

use crate::config::setting::{choice, section};

section! {
    /// Discovery.
    pub struct Discovery {
        /// Through DNS, across networks.
        "wideArea" => wide_area: WideArea = WideArea::default();
        /// Through multicast DNS, in the local network.
        "mdns" => mdns: Mdns = Mdns::default();
    }
}

section! {
    /// Discovery across networks.
    pub struct WideArea {
        /// Whether it is used.
        "enabled" => enabled: bool = false;
        /// The domain.
        "domain" => domain: Option<String> = None;
    }
}

section! {
    /// Discovery in the local network.
    pub struct Mdns {
        /// How much is announced.
        "mode" => mode: MdnsMode = MdnsMode::Minimal;
    }
}

choice! {
    /// How much is announced in the local network.
    pub enum MdnsMode {
        /// Nothing.
        Off = "off",
        /// What is needed to connect.
        Minimal = "minimal",
        /// Also paths and ports of this machine.
        Full = "full",
    }
}
