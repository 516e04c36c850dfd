//! The subset in `yang/` against OpenConfig's own modules, node by node.
//!
//! They are expected as plain files in one directory, with the two `when` expressions of 2019 that
//! look at `state/type` changed to `config/type` (as OpenConfig did in 2020).

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char};
use std::path::PathBuf;
use std::sync::Arc;
use std::{env, fs, ptr, slice};

use mercury::path::Path;
use mercury::schema::Schema;
use mercury::slice::Value;
use yang5::ffi;
use yang5::schema::{SchemaModule, SchemaNode, SchemaPathFormat};

/// Names a node of another module without a prefix; libyang refuses it. Nothing imports it.
const BROKEN: &str = "openconfig-aft-network-instance.yang";

/// OpenConfig's own modules; none: they are not here, and need not be.
fn openconfig() -> Option<Arc<Schema>> {
    let checkout = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let dir = env::var_os("MERCURY_OPENCONFIG").map_or(checkout.join(".cache/openconfig"), PathBuf::from);
    if !dir.join("openconfig-interfaces.yang").is_file() {
        let why = format!("no OpenConfig modules in {}", dir.display());
        assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
        println!("SKIPPED conformance: {why}");
        return None;
    }
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(&dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != BROKEN {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    Some(Schema::from_dir(copy.path()).unwrap())
}

#[test]
fn every_node_of_the_subset_is_openconfigs() {
    let Some(theirs) = openconfig() else { return };
    let differences = compare(&Schema::builtin().unwrap(), &theirs);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// The comparison would prove nothing if it missed something.
#[test]
fn the_comparison_sees_every_kind_of_change() {
    let subset = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("yang");
    let ours = Schema::builtin().unwrap();
    for (file, text, changed) in [
        ("openconfig-vlan-types.yang", "1..4094", "1..4095"),
        ("openconfig-vlan-types.yang", "[1-9])\\.\\.'", "[0-9])\\.\\.'"),
        ("openconfig-vlan-types.yang", "enum TRUNK", "enum HYBRID"),
        ("openconfig-vlan.yang", "\"../interface-mode = 'TRUNK'\"", "\"../interface-mode != 'ACCESS'\""),
        ("openconfig-vlan.yang", "leaf-list trunk-vlans {", "leaf-list trunk-vlans { ordered-by user;"),
        ("openconfig-vlan.yang", "default ACTIVE;", ""),
        ("openconfig-interfaces.yang", "mandatory true;", ""),
        ("openconfig-interfaces.yang", "default true;", "default false;"),
        ("openconfig-interfaces.yang", "type uint16;", "type uint32;"),
        ("openconfig-interfaces.yang", "../config/name", "/interfaces/interface/config/name"),
        ("openconfig-interfaces.yang", "list interface {", "list interface { max-elements 9;"),
        ("openconfig-interfaces.yang", "leaf mtu {", "leaf mtu { config false;"),
        ("openconfig-interfaces.yang", "leaf mtu {", "leaf size {"),
        ("openconfig-interfaces.yang", "leaf mtu {", "leaf-list mtu {"),
        ("openconfig-interfaces.yang", "enum UP { value 1;", "enum UP { value 0;"),
        ("openconfig-interfaces.yang", "enum DORMANT", "enum ASLEEP"),
        ("openconfig-interfaces.yang", "net/yang/interfaces", "net/yang/ports"),
        ("openconfig-if-ethernet.yang", "ianaift:ethernetCsmacd", "ianaift:other"),
        ("openconfig-if-types.yang", "base INTERFACE_TYPE;", ""),
        ("iana-if-type.yang", "identity ieee8023adLag ", "identity lag "),
    ] {
        let dir = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(&subset).unwrap() {
            let entry = entry.unwrap();
            let mut module = fs::read_to_string(entry.path()).unwrap();
            if entry.file_name() == file {
                assert!(module.contains(text), "{file} has no {text}");
                module = module.replacen(text, changed, 1);
            }
            fs::write(dir.path().join(entry.file_name()), module).unwrap();
        }
        let theirs = Schema::from_dir(dir.path()).unwrap();
        assert!(!compare(&ours, &theirs).is_empty(), "{file}: {text} -> {changed} is not seen");
    }
    assert!(compare(&ours, &ours).is_empty());
}

/// What `theirs` does not have, or has otherwise than `ours`.
fn compare(ours: &Schema, theirs: &Schema) -> Vec<String> {
    let mut differences = Vec::new();
    for module in ours.context().modules(true) {
        let Some(original) = theirs.context().get_module_implemented(module.name()) else {
            differences.push(format!("module {} is not there", module.name()));
            continue;
        };
        differences.extend(compare_modules(&module, &original));
        for node in module.data().flat_map(|top| top.traverse()) {
            let path = node.path(SchemaPathFormat::LOG);
            let (own, other) = match theirs.context().find_path(&path) {
                Ok(original) => (describe(&node), describe(&original)),
                Err(_) => (describe(&node), "nothing".to_owned()),
            };
            if own != other {
                differences.push(format!("{path}:\n  ours   {own}\n  theirs {other}"));
            }
        }
    }
    differences
}

/// Name, namespace, prefix, what each import prefix means (`when` and `path` use them), identities.
fn compare_modules(ours: &SchemaModule<'_>, theirs: &SchemaModule<'_>) -> Vec<String> {
    let mut differences = Vec::new();
    if (ours.namespace(), ours.prefix()) != (theirs.namespace(), theirs.prefix()) {
        differences.push(format!("module {}: another namespace or prefix", ours.name()));
    }
    let imports = |module: &SchemaModule<'_>| -> BTreeSet<(String, String)> {
        module.imports().map(|import| (import.prefix().to_owned(), import.name().to_owned())).collect()
    };
    for missing in imports(ours).difference(&imports(theirs)) {
        differences.push(format!("module {}: import {missing:?}", ours.name()));
    }
    for missing in identities(ours).difference(&identities(theirs)) {
        differences.push(format!("module {}: identity {missing:?}", ours.name()));
    }
    differences
}

/// The identities of a module: name, status flags, and one entry for each identity derived from
/// it within the modules of OpenConfig.
fn identities(module: &SchemaModule<'_>) -> BTreeSet<(String, u16, Option<String>)> {
    let mut found = BTreeSet::new();
    // SAFETY: the module's structures live as long as its context and are not changed.
    unsafe {
        for identity in sized_array((*module.as_raw()).identities) {
            let name = text(identity.name);
            found.insert((name.clone(), identity.flags, None));
            for derived in sized_array(identity.derived) {
                let derived = format!("{}:{}", text((*(**derived).module).name), text((**derived).name));
                found.insert((name.clone(), identity.flags, Some(derived)));
            }
        }
    }
    found
}

/// All that libyang compiled for one node, without its children, texts for people and extensions:
/// kind, type with its restrictions, default, units, config, mandatory, status, keys, order,
/// number of entries, leafref path, `must`, and `when` with the node it starts from.
fn describe(node: &SchemaNode<'_>) -> String {
    let mut description = plain(&printed(node));
    for when in node.whens() {
        // SAFETY: the context node lives as long as the schema.
        let context = unsafe { (*when.as_raw()).context };
        let mut buffer = [0; 1024];
        // SAFETY: libyang writes at most the given length and ends it with NUL.
        let path = unsafe {
            let format = ffi::LYSC_PATH_TYPE::LYSC_PATH_LOG;
            text(ffi::lysc_path(context, format, buffer.as_mut_ptr(), buffer.len()))
        };
        description.push_str(&format!(" when starts from {path}"));
    }
    description
}

/// The node as libyang prints its compiled form.
fn printed(node: &SchemaNode<'_>) -> String {
    let mut out = ptr::null_mut();
    let mut memory: *mut c_char = ptr::null_mut();
    // SAFETY: libyang allocates `memory`, which is copied before it is freed with the printer.
    unsafe {
        assert_eq!(ffi::ly_out_new_memory(&mut memory, 0, &mut out), ffi::LY_ERR::LY_SUCCESS);
        let format = ffi::LYS_OUTFORMAT::LYS_OUT_YANG_COMPILED;
        let code = ffi::lys_print_node(out, node.as_raw(), format, 0, ffi::LYS_PRINT_NO_SUBSTMT);
        assert_eq!(code, ffi::LY_ERR::LY_SUCCESS);
        let printed = text(memory);
        ffi::ly_out_free(out, None, 1);
        printed
    }
}

/// Statements without descriptions, references and extensions, in one line.
fn plain(yang: &str) -> String {
    let mut words = tokens(yang).into_iter().peekable();
    let mut kept: Vec<String> = Vec::new();
    let mut at_start = true;
    while let Some(word) = words.next() {
        let dropped =
            at_start && (matches!(word.as_str(), "description" | "reference") || word.contains(':'));
        if dropped {
            let mut depth = 0;
            for word in words.by_ref() {
                match word.as_str() {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    _ => {}
                }
                if depth == 0 && matches!(word.as_str(), ";" | "}") {
                    break;
                }
            }
            continue;
        }
        at_start = matches!(word.as_str(), "{" | "}" | ";");
        if word == "}" && kept.last().is_some_and(|last| last == "{") {
            kept.pop();
            kept.push(";".to_owned());
        } else {
            kept.push(word);
        }
    }
    kept.join(" ")
}

/// Strings, words and the three punctuation marks of YANG.
fn tokens(yang: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = yang.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '{' | '}' | ';' => 1,
            '"' => {
                let mut escaped = false;
                let end = rest[1..].find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                });
                end.unwrap() + 2
            }
            _ => rest.find(|c: char| c.is_whitespace() || "{};\"".contains(c)).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token.to_owned());
        rest = after.trim_start();
    }
    tokens
}

/// # Safety
/// `array` is null or an array of libyang, whose length stands before its first element.
unsafe fn sized_array<'a, T>(array: *const T) -> &'a [T] {
    if array.is_null() {
        return &[];
    }
    // SAFETY: see above.
    unsafe { slice::from_raw_parts(array, *array.cast::<u64>().sub(1) as usize) }
}

/// # Safety
/// `string` is a C string.
unsafe fn text(string: *const c_char) -> String {
    // SAFETY: see above.
    unsafe { CStr::from_ptr(string) }.to_str().unwrap().to_owned()
}

#[test]
fn an_operators_directory_replaces_the_subset() {
    let Some(theirs) = openconfig() else { return };
    let ours = Schema::builtin().unwrap();
    let reply = r#"
        <interfaces xmlns="http://openconfig.net/yang/interfaces"><interface><name>eth1</name>
          <config><name>eth1</name><enabled>true</enabled><loopback-mode>true</loopback-mode>
            <type xmlns:i="urn:ietf:params:xml:ns:yang:iana-if-type">i:ethernetCsmacd</type></config>
          <ethernet xmlns="http://openconfig.net/yang/interfaces/ethernet">
            <switched-vlan xmlns="http://openconfig.net/yang/vlan"><config>
              <interface-mode>TRUNK</interface-mode><trunk-vlans>5..7</trunk-vlans></config></switched-vlan>
          </ethernet></interface></interfaces>
        <network-instances xmlns="http://openconfig.net/yang/network-instance"><network-instance>
          <name>default</name><config><name>default</name></config>
          <vlans><vlan><vlan-id>7</vlan-id><config><vlan-id>7</vlan-id></config></vlan></vlans>
        </network-instance></network-instances>"#;
    let entry = Path::parse("/openconfig-interfaces:interfaces/interface[name='eth1']").unwrap();
    let loopback = entry.child("config").child("loopback-mode");
    let vlans =
        entry.child("openconfig-if-ethernet:ethernet").child("openconfig-vlan:switched-vlan").child("config");
    let mut more = theirs.read_xml(reply).unwrap();
    let less = ours.read_xml(reply).unwrap();
    // The subset reads what it knows just as the original does, and no more.
    for (path, value) in less.iter() {
        assert_eq!(more.value(path), Some(value), "{path}");
    }
    assert_eq!(more.value(&loopback), Some(&Value::Leaf("true".to_owned())));
    assert_eq!(less.value(&loopback), None);
    assert!(theirs.has(&loopback) && !ours.has(&loopback));
    theirs.validate(&more).unwrap();
    assert_eq!(theirs.read_xml(&theirs.to_xml(&more).unwrap()).unwrap(), more);

    let mut less = less;
    for (schema, state) in [(&theirs, &mut more), (&ours, &mut less)] {
        state.set(vlans.child("access-vlan"), Value::Leaf("5".to_owned()));
        state.set(vlans.child("native-vlan"), Value::Leaf("4095".to_owned()));
        let paths: BTreeSet<String> =
            schema.validate(state).unwrap_err().into_iter().map(|v| v.path).collect();
        let expected = ["access-vlan", "native-vlan"].map(|leaf| vlans.child(leaf).to_string());
        assert_eq!(paths, BTreeSet::from(expected));
    }
}
