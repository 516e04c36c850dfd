//! A configuration: a libyang data tree together with the schema it belongs to.

use std::sync::Arc;

use yang5::context::Context;
use yang5::data::{
    Data, DataDiffFlags, DataFormat, DataNodeRef, DataParserFlags, DataPrinterFlags, DataTree,
    DataValidationFlags,
};

use crate::schema::Schema;

/// Defaults that validation has added are in the tree and count as absent everywhere here: the
/// simulator's basic mode is `explicit` (RFC 6243 2.3).
pub(super) struct Tree {
    /// Before `schema`, so that it is dropped first.
    tree: DataTree<'static>,
    schema: Arc<Schema>,
}

impl Tree {
    pub fn empty(schema: &Arc<Schema>) -> Self {
        // SAFETY: the context is owned by the `Arc` that this value holds as long as the tree,
        // and a context does not move. The invented lifetime does not leave this type: all that
        // goes out is tied to a borrow of `self`.
        let context: &'static Context = unsafe { &*std::ptr::from_ref(schema.context()) };
        Self { tree: DataTree::new(context), schema: Arc::clone(schema) }
    }

    /// From XML without an element around the top-level nodes; not validated.
    pub fn parse(schema: &Arc<Schema>, xml: &str) -> Result<Self, yang5::Error> {
        let mut new = Self::empty(schema);
        if !xml.trim().is_empty() {
            let parse = DataParserFlags::STRICT | DataParserFlags::NO_STATE | DataParserFlags::NO_VALIDATION;
            // The binding panics at a NUL, which no XML may hold anyway.
            let xml = xml.replace('\0', "");
            let context = new.tree.context();
            let check = DataValidationFlags::empty();
            new.tree = quietly(|| DataTree::parse_string(context, xml, DataFormat::XML, parse, check))?;
        }
        Ok(new)
    }

    pub fn copy(&self) -> Result<Self, yang5::Error> {
        Ok(Self { tree: self.tree.duplicate()?, schema: Arc::clone(&self.schema) })
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The first top-level node.
    pub fn first(&self) -> Option<DataNodeRef<'_>> {
        self.tree.reference()
    }

    /// Whether the node is configured. A container without presence is when something below it is.
    pub fn holds(&self, path: &str) -> bool {
        quietly(|| self.tree.find_path(path).is_ok_and(|node| !is_implicit(&node)))
    }

    /// The configured nodes that an XPath in libyang's JSON form selects.
    pub fn select(&self, xpath: &str) -> Result<Vec<DataNodeRef<'_>>, yang5::Error> {
        // libyang takes no empty tree here.
        if self.first().is_none() {
            return Ok(Vec::new());
        }
        let found = quietly(|| self.tree.find_xpath(xpath))?;
        Ok(found.filter(|node| !is_implicit(node)).collect())
    }

    /// Sets a leaf, or creates a list entry, a leaf-list value or a container, and what is above.
    /// Says whether that changed anything.
    pub fn set(&mut self, path: &str, value: Option<&str>) -> Result<bool, yang5::Error> {
        quietly(|| self.tree.new_path(path, value, false).map(|node| node.is_some()))
    }

    /// Takes the node and all below it away; it must be there.
    pub fn remove(&mut self, path: &str) -> Result<(), yang5::Error> {
        quietly(|| self.tree.remove(path))
    }

    /// All YANG rules (RFC 7950 8.1). A node that was there before and whose `when` has become
    /// false goes away (RFC 7950 8.2.1); one that is new is an error.
    pub fn validate(&mut self) -> Result<(), yang5::Error> {
        quietly(|| self.tree.validate(DataValidationFlags::NO_STATE | DataValidationFlags::PRESENT))
    }

    /// Whether both hold the same configuration.
    pub fn same_as(&self, other: &Self) -> Result<bool, yang5::Error> {
        Ok(self.tree.diff(&other.tree, DataDiffFlags::empty())?.iter().next().is_none())
    }

    pub fn xml(&self) -> Result<String, yang5::Error> {
        self.tree.print_string(DataFormat::XML, DataPrinterFlags::WITH_SIBLINGS | DataPrinterFlags::SHRINK)
    }
}

/// `[name='value']`; no XPath literal has both kinds of quotes.
pub(super) fn predicate(name: &str, value: &str) -> Option<String> {
    match (value.contains('\''), value.contains('"')) {
        (false, _) => Some(format!("[{name}='{value}']")),
        (true, false) => Some(format!("[{name}=\"{value}\"]")),
        (true, true) => None,
    }
}

/// Whether only validation put the node there: a default, or a container around nothing else.
pub(super) fn is_implicit(node: &DataNodeRef<'_>) -> bool {
    // SAFETY: a node reference borrows its tree, so the node is alive.
    unsafe { (*node.as_raw()).flags & yang5::ffi::LYD_DEFAULT != 0 }
}

/// What libyang does with errors while [`quietly`] runs: keep the last one, print none.
static KEEP_LAST: u32 = yang5::ffi::LY_LOSTORE_LAST;

/// Runs something that may fail without libyang writing to our standard error.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: the option is this thread's own, libyang only reads what it points to, and it is
    // set back below; if `work` panics, this thread stays quiet, which harms nobody.
    let before = unsafe { yang5::ffi::ly_temp_log_options(std::ptr::from_ref(&KEEP_LAST).cast_mut()) };
    let result = work();
    // SAFETY: as above.
    unsafe { yang5::ffi::ly_temp_log_options(before) };
    result
}
