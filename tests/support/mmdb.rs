//! Writes databases of addresses in MaxMind's format (MMDB 2.0), small and whole, for tests.
//!
//! An IPv6 tree with 32-bit records; IPv4 networks stand at `::/96`, as in the databases of MaxMind.

use std::net::IpAddr;

use ipnet::IpNet;

/// A value of a record.
#[derive(Debug, Clone)]
pub enum Value {
    Text(&'static str),
    Double(f64),
    Int(u32),
    Short(u16),
    Map(Vec<(&'static str, Value)>),
}

/// A record as a City database has it.
pub fn city(iso_code: &'static str, latitude: f64, longitude: f64, radius: u16) -> Value {
    let location = vec![
        ("latitude", Value::Double(latitude)),
        ("longitude", Value::Double(longitude)),
        ("accuracy_radius", Value::Short(radius)),
    ];
    let country = vec![("iso_code", Value::Text(iso_code))];
    Value::Map(vec![("country", Value::Map(country)), ("location", Value::Map(location))])
}

/// A record as an ASN database has it.
pub fn system(number: u32, organisation: &'static str) -> Value {
    let fields = vec![
        ("autonomous_system_number", Value::Int(number)),
        ("autonomous_system_organization", Value::Text(organisation)),
    ];
    Value::Map(fields)
}

/// The file of a database of this type.
pub fn write(kind: &'static str, networks: &[(&str, Value)]) -> Vec<u8> {
    // Each node is two records: nothing, another node, or a place among the data.
    let mut nodes: Vec<[Record; 2]> = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for (network, value) in networks {
        let (bits, length) = bits(network.parse().unwrap());
        let mut node = 0;
        for depth in 0..length {
            let side = (bits >> (127 - depth)) as usize & 1;
            if depth + 1 == length {
                nodes[node][side] = Record::Data(data.len());
                continue;
            }
            node = match nodes[node][side] {
                Record::Node(next) => next,
                _ => {
                    nodes.push([Record::Nothing; 2]);
                    let next = nodes.len() - 1;
                    nodes[node][side] = Record::Node(next);
                    next
                }
            };
        }
        encode(value, &mut data);
    }
    let mut file = Vec::new();
    for record in nodes.iter().flatten() {
        let number = match record {
            Record::Nothing => nodes.len(),
            Record::Node(node) => *node,
            Record::Data(offset) => nodes.len() + 16 + offset,
        };
        file.extend((number as u32).to_be_bytes());
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    file.push(7 << 5 | 9);
    let mut field = |name: &'static str, bytes: &[u8]| {
        encode(&Value::Text(name), &mut file);
        file.extend(bytes);
    };
    field("binary_format_major_version", &[5 << 5 | 1, 2]);
    field("binary_format_minor_version", &[5 << 5]);
    let built = 1_767_225_600u32.to_be_bytes();
    field("build_epoch", &[&[4, 2][..], &built].concat());
    let mut kind_bytes = Vec::new();
    encode(&Value::Text(kind), &mut kind_bytes);
    field("database_type", &kind_bytes);
    let mut description = Vec::new();
    encode(&Value::Map(vec![("en", Value::Text("made for a test"))]), &mut description);
    field("description", &description);
    field("ip_version", &[5 << 5 | 1, 6]);
    field("languages", &[1, 4, 2 << 5 | 2, b'e', b'n']);
    let count = (nodes.len() as u32).to_be_bytes();
    field("node_count", &[&[6 << 5 | 4][..], &count].concat());
    field("record_size", &[5 << 5 | 1, 32]);
    file
}

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// A network's bits in the IPv6 tree, and how many of them count.
fn bits(network: IpNet) -> (u128, usize) {
    match network.addr() {
        IpAddr::V4(address) => (u128::from(u32::from(address)), usize::from(network.prefix_len()) + 96),
        IpAddr::V6(address) => (u128::from(address), usize::from(network.prefix_len())),
    }
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => {
            match text.len() {
                n @ 0..=28 => out.push(2 << 5 | n as u8),
                n => out.extend([2 << 5 | 29, u8::try_from(n - 29).unwrap()]),
            }
            out.extend(text.as_bytes());
        }
        Value::Double(number) => {
            out.push(3 << 5 | 8);
            out.extend(number.to_be_bytes());
        }
        Value::Int(number) => {
            out.push(6 << 5 | 4);
            out.extend(number.to_be_bytes());
        }
        Value::Short(number) => {
            out.push(5 << 5 | 2);
            out.extend(number.to_be_bytes());
        }
        Value::Map(fields) => {
            out.push(7 << 5 | fields.len() as u8);
            for (name, value) in fields {
                encode(&Value::Text(name), out);
                encode(value, out);
            }
        }
    }
}
