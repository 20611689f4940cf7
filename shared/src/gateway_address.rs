//! Where a gateway is, as the WebSocket address of it says.

use std::fmt;

use http::Uri;

/// The address of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayAddress {
    /// As the address has it: an IPv6 address in brackets.
    host: String,
    port: u16,
    is_encrypted: bool,
}

/// Why a text is no address of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It cannot be read.
    #[error("it is no URL")]
    NoUrl,
    /// It is one of something else.
    #[error("it must begin with ws:// or wss://")]
    Scheme,
    /// It leads nowhere.
    #[error("it names no host")]
    NoHost,
}

impl GatewayAddress {
    /// Reads an address. Without a port it is that of its scheme.
    ///
    /// # Errors
    /// When it is no address of a WebSocket server.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let uri: Uri = url.parse().map_err(|_| AddressError::NoUrl)?;
        let is_encrypted = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            Some(_) | None => return Err(AddressError::Scheme),
        };
        let host = uri.host().filter(|host| !host.is_empty());
        Ok(Self {
            host: host.ok_or(AddressError::NoHost)?.to_owned(),
            port: uri
                .port_u16()
                .unwrap_or(if is_encrypted { 443 } else { 80 }),
            is_encrypted,
        })
    }

    /// The host by itself, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it wants TLS.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }
}

/// Host and port.
impl fmt::Display for GatewayAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_a_port_and_whether_it_is_encrypted() {
        for (url, host, shown, is_encrypted) in [
            (
                "ws://127.0.0.1:18789",
                "127.0.0.1",
                "127.0.0.1:18789",
                false,
            ),
            ("ws://[::1]:1/path", "::1", "[::1]:1", false),
            ("ws://box", "box", "box:80", false),
            ("wss://box", "box", "box:443", true),
        ] {
            let address = GatewayAddress::parse(url).unwrap();
            assert_eq!(
                (address.host(), address.to_string(), address.is_encrypted()),
                (host, shown.to_owned(), is_encrypted)
            );
        }
        for (wrong, why) in [
            ("", AddressError::NoUrl),
            ("ws://", AddressError::NoUrl),
            ("box:1", AddressError::Scheme),
            ("http://box", AddressError::Scheme),
        ] {
            assert_eq!(GatewayAddress::parse(wrong), Err(why), "{wrong}");
        }
    }
}
