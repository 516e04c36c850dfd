//! From files to a libyang context, with errors that name file and line.

use std::cell::Cell;
use std::ffi::CString;
use std::fs;
use std::path::{Path as FilePath, PathBuf};

use yang5::context::{Context, ContextFlags};

use super::SchemaError;
use super::ffi::{self, LoadFailure};

/// One file with a module or a submodule.
pub(super) struct Source {
    file: PathBuf,
    name: String,
    submodule: bool,
    text: CString,
}

impl Source {
    pub(super) fn new(file: &FilePath, text: &str) -> Result<Self, SchemaError> {
        let fail = |line, message: &str| {
            Err(SchemaError::Module { file: file.to_owned(), line, message: message.to_owned() })
        };
        if let Some(place) = text.find('\0') {
            let line = text[..place].matches('\n').count() as u64 + 1;
            return fail(Some(line), "a NUL character");
        }
        let Some((keyword, name)) = header(text) else {
            return fail(None, "neither a module nor a submodule");
        };
        match CString::new(text) {
            Ok(text) => Ok(Self {
                file: file.to_owned(),
                name: name.to_owned(),
                submodule: keyword == "submodule",
                text,
            }),
            Err(_) => fail(None, "a NUL character"),
        }
    }

    /// The line on which this file imports or includes `name`.
    fn line_of_import(&self, name: &str) -> Option<u64> {
        let place = self.text.to_str().ok()?.lines().position(|line| import(line) == Some(name))?;
        Some(place as u64 + 1)
    }
}

/// The modules that a module's text imports or includes.
pub fn imports(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(import)
}

fn import(line: &str) -> Option<&str> {
    statement(line).filter(|(keyword, _)| matches!(*keyword, "import" | "include")).map(|(_, name)| name)
}

/// The keyword of a statement that begins on this line, and the first word of its argument.
pub fn statement(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split([' ', '\t', '"', '\'', '{', ';']).filter(|word| !word.is_empty());
    Some((words.next()?, words.next()?))
}

/// Reads every `.yang` file of a directory, in the order of their names.
pub(super) fn read_dir(dir: &FilePath) -> Result<Vec<Source>, SchemaError> {
    let unreadable = |path: &FilePath| {
        let path = path.to_owned();
        move |source| SchemaError::Unreadable { path, source }
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable(dir))? {
        let path = entry.map_err(unreadable(dir))?.path();
        if path.extension().is_some_and(|extension| extension == "yang") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(SchemaError::NoModules { dir: dir.to_owned() });
    }
    // A file that is not UTF-8 is an error of `read_to_string`.
    files.iter().map(|file| Source::new(file, &fs::read_to_string(file).map_err(unreadable(file))?)).collect()
}

/// Loads all modules and makes all of them implemented: identities and augments count only then.
pub(super) fn compile(sources: &[Source]) -> Result<Context, SchemaError> {
    let mut context = Context::new(
        ContextFlags::NO_YANGLIBRARY
            | ContextFlags::DISABLE_SEARCHDIRS
            | ContextFlags::DISABLE_SEARCHDIR_CWD
            | ContextFlags::from_bits_retain(yang5::ffi::LY_CTX_STATIC_PLUGINS_ONLY),
    )
    .map_err(|error| SchemaError::Library { message: error.to_string() })?;
    let mut names: Vec<&str> = sources.iter().filter(|s| !s.submodule).map(|s| s.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let last = Cell::new(None);
    let find = |name: &str, revision: Option<&str>| {
        let source = pick(sources, name, revision)?;
        last.set(Some(source));
        Some(source.text.as_c_str())
    };
    match ffi::load(&mut context, &names, &find) {
        Ok(()) => Ok(context),
        Err(failure) => Err(explain(sources, last.get(), failure)),
    }
}

/// The newest file of a module by its name, which ends in `@revision` by convention.
fn pick<'a>(sources: &'a [Source], name: &str, revision: Option<&str>) -> Option<&'a Source> {
    let mut candidates = sources.iter().filter(|source| source.name == name);
    let dated = |source: &&Source| {
        let stem = source.file.file_stem().and_then(|stem| stem.to_str());
        revision.is_some_and(|revision| stem.is_some_and(|stem| stem.ends_with(revision)))
    };
    candidates.clone().find(dated).or_else(|| candidates.next_back())
}

/// Finds the file and line to blame. `last` is the file that libyang read last.
fn explain(sources: &[Source], last: Option<&Source>, failure: LoadFailure) -> SchemaError {
    if let Some(missing) = failure.missing {
        let importer = sources.iter().find_map(|source| Some((source, source.line_of_import(&missing)?)));
        let (file, line) = match importer {
            Some((source, line)) => (source.file.clone(), Some(line)),
            None => (PathBuf::from(&missing), None),
        };
        let message = format!("module `{missing}` is needed and no file here holds it");
        return SchemaError::Module { file, line, message };
    }
    // The first report is the cause; those after it say where it led to.
    let Some(cause) = failure.reports.into_iter().next() else {
        return SchemaError::Library { message: "modules not loaded, no reason given".to_owned() };
    };
    // With a line, the text itself is wrong, and it is the text read last. Without one, the
    // module is the last one named in the schema path: `/module:node/other-module:node`.
    let named = cause.schema_path.as_deref().and_then(|path| {
        let prefixed = path.rsplit('/').find(|step| step.contains(':'))?;
        prefixed.split(':').next()
    });
    let blamed = match (cause.line, named) {
        (None, Some(module)) => pick(sources, module, None).or(last),
        _ => last,
    };
    let message = match &cause.schema_path {
        Some(path) => format!("{} (at {path})", cause.message),
        None => cause.message,
    };
    match blamed {
        Some(source) => SchemaError::Module { file: source.file.clone(), line: cause.line, message },
        None => SchemaError::Library { message },
    }
}

/// The keyword and the argument of the outermost statement.
fn header(text: &str) -> Option<(&str, &str)> {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while let Some(comment) = rest.strip_prefix('/') {
        let (end, skip) = if comment.starts_with('/') { ("\n", 1) } else { ("*/", 2) };
        rest = comment[comment.find(end)? + skip..].trim_start();
    }
    let (keyword, rest) = rest.split_once(char::is_whitespace)?;
    let name = rest.trim_start().split(['{', ' ', '\t', '\r', '\n']).next()?.trim_matches(['"', '\'']);
    let identifier = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let known = matches!(keyword, "module" | "submodule") && !name.is_empty() && name.chars().all(identifier);
    known.then_some((keyword, name))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Schema;
    use super::*;
    use crate::path::Path;

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn load(files: &[(&str, &str)]) -> Result<Arc<Schema>, String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let shorten =
            |error: SchemaError| error.to_string().replace(&format!("{}/", dir.path().display()), "");
        Schema::from_dir(dir.path()).map_err(shorten)
    }

    fn module(name: &str, body: &str) -> String {
        format!("module {name} {{\n  namespace urn:{name};\n  prefix {name};\n{body}\n}}\n")
    }

    #[test]
    fn its_modules_replace_the_subset() {
        let a = module(
            "a",
            "  import b { prefix b; }\n  include a-part;\n  container top { leaf x { type b:t; } }",
        );
        let part = "// comment\n/* another */ submodule a-part {\n  belongs-to a { prefix a; }\n  container part;\n}";
        let b = module("b", "  typedef t { type string; }");
        let files =
            [("a.yang", a.as_str()), ("a-part.yang", part), ("b@2020-01-01.yang", &b), ("README", "-")];
        let schema = load(&files).unwrap();
        assert!(schema.has(&path("/a:top/x")) && schema.has(&path("/a:part")));
        assert_eq!(schema.namespace("openconfig-interfaces"), None);
    }

    #[test]
    fn the_newest_file_of_a_module_counts() {
        let old = module("a", "  revision 2019-01-01;\n  container old;");
        let new = module("a", "  revision 2020-01-01;\n  container new;");
        let schema = load(&[("a@2020-01-01.yang", &new), ("a@2019-01-01.yang", &old)]).unwrap();
        assert!(schema.has(&path("/a:new")) && !schema.has(&path("/a:old")));
        let user = module("u", "  import a { prefix a; revision-date 2019-01-01; }");
        load(&[("a@2020-01-01.yang", &new), ("a@2019-01-01.yang", &old), ("u.yang", &user)]).unwrap();
    }

    #[test]
    fn errors_name_file_and_line() {
        let good = module("b", "  typedef t { type string; }");
        for (text, expected) in [
            (module("a", "  container x {\n    lief y;\n  }"), "a.yang:5: "),
            (
                module("a", "  import b { prefix b; }\n  import c { prefix c; }"),
                "a.yang:5: module `c` is needed",
            ),
            (module("a", "  include c;"), "a.yang:4: module `c` is needed"),
            (module("a", "  leaf x { type nothing; }"), "a.yang: "),
            (module("a", "  leaf x { type leafref { path \"/a:y\"; } }"), "a.yang: "),
            (module("a", "\n\0"), "a.yang:5: a NUL"),
            ("hello".to_owned(), "a.yang: neither a module"),
            (String::new(), "a.yang: neither a module"),
        ] {
            let error = load(&[("a.yang", &text), ("b.yang", &good)]).err().unwrap();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_directory_without_modules_is_an_error() {
        assert!(load(&[("README", "-")]).err().unwrap().contains("no YANG module"));
        let missing = FilePath::new("/nonexistent/yang");
        assert!(Schema::from_dir(missing).err().unwrap().to_string().contains("/nonexistent/yang"));
    }
}
