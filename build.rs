//! The profiles, templates and models are part of the binary: a file added to one of their directories has to
//! build it anew. And gNMI's service, which needs no protoc: its messages are in `src/gnmi`.

use tonic_build::manual::{Builder, Method, MethodBuilder, Service};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=devices");
    println!("cargo:rerun-if-changed=templates");
    println!("cargo:rerun-if-changed=yang");
    let service = Service::builder()
        .name("gNMI")
        .package("gnmi")
        .method(method("capabilities", "Capabilities", "Capability").build())
        .method(method("get", "Get", "Get").build())
        .method(method("set", "Set", "Set").build())
        .method(method("subscribe", "Subscribe", "Subscribe").client_streaming().server_streaming().build())
        .build();
    Builder::new().compile(&[service]);
}

fn method(name: &str, route: &str, messages: &str) -> MethodBuilder {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type(format!("crate::gnmi::{messages}Request"))
        .output_type(format!("crate::gnmi::{messages}Response"))
        .codec_path("tonic_prost::ProstCodec")
}
