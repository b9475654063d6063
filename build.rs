//! Makes a detection, query or list that was added or removed part of the binary at the next build:
//! `include_dir!` alone notices only changes to files it already knows.

fn main() {
    println!("cargo:rerun-if-changed=detections");
    println!("cargo:rerun-if-changed=queries");
}
