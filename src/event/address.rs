//! Internet addresses: reading them and telling public ones from all others.
//!
//! `IpAddr::is_global` of the standard library is not stable, so the registries of special-purpose
//! addresses (IANA, RFC 6890 and its successors) are written out here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Reads an address; an IPv4 address written as an IPv6 one (`::ffff:10.0.0.1`) becomes the former.
pub fn parse(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The ranges in a text, with blanks, commas or semicolons between them; an address alone is one, too.
/// What is neither comes as an error.
pub fn ranges(text: &str) -> impl Iterator<Item = Result<IpNet, &str>> {
    let parts = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';'));
    parts.filter(|part| !part.is_empty()).map(|part| {
        let range = part.parse::<IpNet>().ok();
        range.or_else(|| parse(part).map(IpNet::from)).ok_or(part)
    })
}

/// Whether the address belongs to the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // "This network".
        [0, ..] => true,
        // Shared by carriers (100.64/10).
        [100, b, ..] => b & 0xC0 == 64,
        // Protocol assignments, of which two are anycast services of the internet.
        [192, 0, 0, d] => !matches!(d, 9 | 10),
        // Deprecated 6to4 relays.
        [192, 88, 99, _] => true,
        // Benchmarking (198.18/15).
        [198, 18 | 19, ..] => true,
        // Reserved, and the broadcast address.
        [240..=255, ..] => true,
        _ => {
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_documentation()
                || address.is_multicast()
        }
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // NAT64 carries an IPv4 address at the end, 6to4 right behind the prefix.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(embedded(high, low)),
        [0x2002, high, low, ..] => is_public_v4(embedded(high, low)),
        // Documentation.
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // Protocol assignments: a few services, AMT, AS112, ORCHIDv2 and drone ids are public.
        [0x2001, 1, 0, 0, 0, 0, 0, last] => matches!(last, 1..=3),
        [0x2001, 3 | 0x20..=0x3f, ..] | [0x2001, 4, 0x112, ..] => true,
        [0x2001, 0..=0x1ff, ..] => false,
        // Everything else that is given out is in 2000::/3.
        [first, ..] => first & 0xE000 == 0x2000,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> Option<bool> {
        parse(text).map(is_public)
    }

    #[test]
    fn public_addresses() {
        for text in [
            "8.8.8.8",
            "20.50.2.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.0.9",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "2603:1020::1",
            "2001:4860:4860::8888",
            "2001:20::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert_eq!(public(text), Some(true), "{text}");
        }
    }

    #[test]
    fn special_addresses_are_not_public() {
        for text in [
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "3fff:1::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert_eq!(public(text), Some(false), "{text}");
        }
    }

    #[test]
    fn what_is_no_address() {
        for text in ["", "10.0.0", "10.0.0.1:443", "10.0.0.0/8", "localhost", " 10.0.0.1", "fe80::1%eth0"] {
            assert_eq!(public(text), None, "{text}");
        }
    }
}
