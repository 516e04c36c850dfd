//! The profiles, templates and models are part of the binary: a file added to one of their directories has to
//! build it anew.

fn main() {
    println!("cargo:rerun-if-changed=devices");
    println!("cargo:rerun-if-changed=templates");
    println!("cargo:rerun-if-changed=yang");
}
