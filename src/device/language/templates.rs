//! Templates and expressions of a profile: minijinja, strict about what is not defined, and bounded
//! in what they may compute.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use include_dir::{Dir, include_dir};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::config::reader::describe;
use crate::vlan::{VlanId, VlanSet};

/// Those in `templates/`, part of the binary, a directory a profile.
static BUILTIN: Dir = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// Steps of the interpreter that one rendering may take: a template that does not end is an error.
const FUEL: u64 = 1_000_000;

static EXPRESSIONS: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// What a template or an expression did wrong, with its file and line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct TemplateError {
    pub place: String,
    pub why: String,
}

/// The texts of one profile's templates, by file name.
#[derive(Clone, Debug, Default)]
pub struct TemplateSources(BTreeMap<String, TemplateSource>);

/// One text, and the file as errors name it.
#[derive(Clone, Debug)]
struct TemplateSource {
    place: String,
    text: String,
}

/// Compiled templates of one profile.
#[derive(Clone, Debug)]
pub struct Templates {
    places: BTreeMap<String, String>,
    environment: Arc<Environment<'static>>,
}

/// One compiled expression: `row.mode == 'trunk'`.
#[derive(Clone)]
pub struct Expression {
    source: String,
    compiled: Arc<minijinja::Expression<'static, 'static>>,
}

impl TemplateSources {
    /// Of a profile in the binary; none: it has no templates.
    pub fn builtin(profile: &str) -> Option<Self> {
        let directory = BUILTIN.get_dir(profile)?;
        let file = |file: &include_dir::File| {
            let name = file.path().file_name()?.to_str()?.to_owned();
            let place = format!("templates/{profile}/{name}");
            Some((name, TemplateSource { place, text: file.contents_utf8()?.to_owned() }))
        };
        Some(Self(directory.files().filter_map(file).collect()))
    }

    /// Every `.j2` file of an operator's directory.
    ///
    /// # Errors
    /// A directory or file that cannot be read.
    pub fn read(directory: &Path) -> Result<Self, TemplateError> {
        let failed = |path: &Path, error: &std::io::Error| TemplateError {
            place: path.display().to_string(),
            why: describe(error),
        };
        let mut files = BTreeMap::new();
        let entries = std::fs::read_dir(directory).map_err(|error| failed(directory, &error))?;
        for entry in entries {
            let path = entry.map_err(|error| failed(directory, &error))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".j2"));
            if let Some(name) = name {
                let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
                files.insert(name.to_owned(), TemplateSource { place: path.display().to_string(), text });
            }
        }
        Ok(Self(files))
    }

    /// Lays others over these.
    pub fn lay(&mut self, over: Option<Self>) {
        self.0.extend(over.into_iter().flat_map(|over| over.0));
    }
}

impl Templates {
    /// Compiles all of them.
    ///
    /// # Errors
    /// The first that does not parse, with its line.
    pub fn compile(sources: &TemplateSources) -> Result<Self, TemplateError> {
        let place = |(name, source): (&String, &TemplateSource)| (name.clone(), source.place.clone());
        let places = sources.0.iter().map(place).collect();
        let mut environment = environment();
        for (name, source) in &sources.0 {
            let added = environment.add_template_owned(name.clone(), source.text.clone());
            added.map_err(|error| explain(&error, &places))?;
        }
        Ok(Self { places, environment: Arc::new(environment) })
    }

    pub fn has(&self, name: &str) -> bool {
        self.environment.get_template(name).is_ok()
    }

    /// What a template takes from its context, in every branch: `port`, `after.mode`.
    pub fn variables(&self, name: &str) -> BTreeSet<String> {
        let template = self.environment.get_template(name);
        template.map(|found| found.undeclared_variables(true).into_iter().collect()).unwrap_or_default()
    }

    /// Every template: its file name, its place as errors name it, and its text.
    pub fn texts(&self) -> Vec<(String, String, String)> {
        let place = |name: &str| self.places.get(name).map_or("", String::as_str);
        let text = |name: &str| self.environment.get_template(name).map(|found| found.source().to_owned());
        let text = |name: &String| Some((name.clone(), place(name).to_owned(), text(name).ok()?));
        self.places.keys().filter_map(text).collect()
    }

    /// Renders one; `name` is a file name.
    ///
    /// # Errors
    /// What is not defined, or does not end, with file and line.
    pub fn render(&self, name: &str, context: Value) -> Result<String, TemplateError> {
        let rendered = self.environment.get_template(name).and_then(|template| template.render(context));
        rendered.map_err(|error| explain(&error, &self.places))
    }
}

impl Expression {
    /// As the profile has it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it takes from its context, in either branch: `port`, `row.mode`.
    pub fn variables(&self) -> BTreeSet<String> {
        self.compiled.undeclared_variables(true).into_iter().collect()
    }

    /// Reads an expression.
    ///
    /// # Errors
    /// What minijinja says of it.
    pub fn new(source: &str) -> Result<Self, String> {
        let compiled = EXPRESSIONS.compile_expression_owned(source.to_owned());
        let compiled = compiled.map_err(|error| why(&error))?;
        Ok(Self { source: source.to_owned(), compiled: Arc::new(compiled) })
    }

    /// A text with `{{ }}` in it, as an expression that gives the text.
    ///
    /// # Errors
    /// What minijinja says of one of its parts.
    pub fn text(source: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) = after.split_once("}}").ok_or("`{{` without `}}`")?;
            parts.push(format!("{before:?}"));
            parts.push(format!("({inside})"));
            rest = after;
        }
        parts.push(format!("{rest:?}"));
        let compiled = Self::new(&parts.join(" ~ "))?;
        Ok(Self { source: source.to_owned(), ..compiled })
    }

    /// What it gives.
    ///
    /// # Errors
    /// What is not defined, with the expression.
    pub fn value(&self, context: &Value) -> Result<Value, TemplateError> {
        let failed = |error: Error| TemplateError { place: format!("`{}`", self.source), why: why(&error) };
        let value = self.compiled.eval(context).map_err(failed)?;
        if value.is_undefined() {
            return Err(TemplateError {
                place: format!("`{}`", self.source),
                why: "is not defined".to_owned(),
            });
        }
        Ok(value)
    }

    /// What it gives, as text; none: `none` or nothing.
    ///
    /// # Errors
    /// As [`Expression::value`], and a value that is no text, number, truth or list of those.
    pub fn fact(&self, context: &Value) -> Result<Option<String>, TemplateError> {
        let value = self.value(context)?;
        let text = match value.kind() {
            ValueKind::None => return Ok(None),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<String> =
                    value.try_iter().into_iter().flatten().map(|item| item.to_string()).collect();
                items.join(",")
            }
            ValueKind::Bool => value.is_true().to_string(),
            ValueKind::Number | ValueKind::String => value.to_string(),
            kind => {
                let why = format!("gives a {kind}");
                return Err(TemplateError { place: format!("`{}`", self.source), why });
            }
        };
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.source)
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_syntax(
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().unwrap_or_default(),
    );
    environment.set_fuel(Some(FUEL));
    environment.add_filter("ranges", ranges);
    environment.add_filter("shell", shell);
    environment.add_filter("parts", parts);
    environment.add_filter("nested", nested);
    environment
}

/// `[10, 11, 12, 20] | ranges` is `10-12,20`; the separators can be given.
fn ranges(vlans: Vec<u16>, comma: Option<String>, dash: Option<String>) -> Result<String, Error> {
    let ids: Result<VlanSet, _> = vlans.into_iter().map(|id| VlanId::new(i64::from(id))).collect();
    let set = ids.map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    let (comma, dash) = (comma.as_deref().unwrap_or(","), dash.as_deref().unwrap_or("-"));
    let run = |(first, last): (VlanId, VlanId)| match first == last {
        true => first.to_string(),
        false => format!("{first}{dash}{last}"),
    };
    Ok(set.ranges().iter().copied().map(run).collect::<Vec<_>>().join(comma))
}

/// Lists of VLANs of at most `most` runs each, for lines that must not get too long.
fn parts(vlans: Vec<u16>, most: usize) -> Result<Value, Error> {
    let ids: Result<VlanSet, _> = vlans.into_iter().map(|id| VlanId::new(i64::from(id))).collect();
    let set = ids.map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    let part = |runs: &[(VlanId, VlanId)]| -> Vec<u16> {
        runs.iter().flat_map(|(first, last)| first.as_u16()..=last.as_u16()).collect()
    };
    let parts: Vec<Vec<u16>> = set.ranges().chunks(most.max(1)).map(part).collect();
    Ok(Value::from(Serde(parts)))
}

/// Pairs of an entry and each entry of the list of this name in it, which need not be there.
fn nested(entries: Vec<Value>, name: &str) -> Result<Vec<Value>, Error> {
    let mut pairs = Vec::new();
    for entry in entries {
        let list = entry.get_attr(name)?;
        if !list.is_undefined() {
            pairs.extend(list.try_iter()?.map(|inner| Value::from(vec![entry.clone(), inner])));
        }
    }
    Ok(pairs)
}

/// A word that a POSIX shell takes as it is.
fn shell(word: String) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn explain(error: &Error, places: &BTreeMap<String, String>) -> TemplateError {
    let line = error.line().map(|line| format!(":{line}")).unwrap_or_default();
    let name = error.name().unwrap_or("?");
    let place = format!("{}{line}", places.get(name).map_or(name, String::as_str));
    TemplateError { place, why: why(error) }
}

fn why(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    #[test]
    fn texts_and_facts() {
        let text = Expression::text("show interface {{ port }} \"{{ 1 + 1 }}\"").unwrap();
        assert_eq!(text.fact(&context! { port => "eth1" }).unwrap().unwrap(), "show interface eth1 \"2\"");
        assert!(Expression::text("show {{ port").is_err());
        let fact = |source: &str| {
            let row = context! { row => context! { tag => "100", none => (), list => vec![1, 2] } };
            Expression::new(source).unwrap().fact(&row)
        };
        assert_eq!(fact("row.tag").unwrap().as_deref(), Some("100"));
        assert_eq!(fact("row.list").unwrap().as_deref(), Some("1,2"));
        assert_eq!(fact("row.tag == '100'").unwrap().as_deref(), Some("true"));
        assert_eq!(fact("row.none"), Ok(None));
        assert_eq!(fact("''"), Ok(None));
        for undefined in ["row.tga", "tag", "row.tga or 1", "1 if row.tga else 2"] {
            let why = fact(undefined).unwrap_err();
            assert!(why.to_string().contains(undefined), "{why}");
        }
        assert!(fact("{'a': 1}").is_err());
    }

    fn compile(files: &[(&str, &str)]) -> Result<Templates, TemplateError> {
        let source = |(name, text): &(&str, &str)| {
            (
                name.to_string(),
                TemplateSource { place: format!("templates/x/{name}"), text: text.to_string() },
            )
        };
        Templates::compile(&TemplateSources(files.iter().map(source).collect()))
    }

    #[test]
    fn a_template_names_its_place_and_comes_to_an_end() {
        let filters = "{{ [1, 2, 4] | ranges }} {{ [1, 2] | ranges(' ', ' to ') }} {{ [1, 2, 4, 6] | parts(2) }} \
                       {{ \"it's\" | shell }}";
        let templates = compile(&[("port.j2", "a\n{{ nothing }}\n"), ("vlan.j2", filters)]).unwrap();
        let why = templates.render("port.j2", context! {}).unwrap_err();
        assert!(why.place == "templates/x/port.j2:2" && why.why.contains("undefined"), "{why}");
        let rendered = templates.render("vlan.j2", context! {}).unwrap();
        assert_eq!(rendered, r"1-2,4 1 to 2 [[1, 2, 4], [6]] 'it'\''s'");
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
        assert!(compile(&[("port.j2", endless)]).unwrap().render("port.j2", context! {}).is_err());
        let broken = compile(&[("port.j2", "x\n{% if %}")]).unwrap_err();
        assert_eq!(broken.place, "templates/x/port.j2:2");
    }
}
