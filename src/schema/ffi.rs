//! The unsafe part: what libyang offers and yang5 does not pass on. The rest of this module is
//! safe code.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use yang5::context::Context;
use yang5::data::DataNodeRef;
use yang5::ffi;

/// One error as libyang recorded it.
pub(super) struct Report {
    pub message: String,
    pub data_path: Option<String>,
    pub schema_path: Option<String>,
    pub app_tag: Option<String>,
    pub line: Option<u64>,
}

/// Runs `work` and hands back all errors it made libyang record, oldest first.
///
/// yang5 keeps only the last error and drops its line. libyang keeps errors by context and
/// thread, so concurrent calls on one context do not see each other's.
pub(super) fn with_reports<T>(context: &Context, work: impl FnOnce() -> T) -> (T, Vec<Report>) {
    // SAFETY: the context is borrowed, so it is there until `work` is done.
    unsafe { record(raw(context), work) }
}

/// # Safety
/// The context lives until `work` has returned.
unsafe fn record<T>(context: *const ffi::ly_ctx, work: impl FnOnce() -> T) -> (T, Vec<Report>) {
    let result = {
        let _keep = KeepAll::begin(context);
        work()
    };
    let mut reports = Vec::new();
    // SAFETY: the list belongs to this context and thread; nothing changes it while it is read,
    // and every string is copied before the list is freed.
    unsafe {
        let mut item = ffi::ly_err_first(context);
        while let Some(error) = item.as_ref() {
            if error.level == ffi::LY_LOG_LEVEL::LY_LLERR {
                reports.push(Report {
                    message: text(error.msg).unwrap_or_default(),
                    data_path: text(error.data_path),
                    schema_path: text(error.schema_path),
                    app_tag: text(error.apptag),
                    line: (error.line > 0).then_some(error.line),
                });
            }
            item = error.next;
        }
        ffi::ly_err_clean(context, ptr::null_mut());
    }
    (result, reports)
}

/// While it lives, libyang keeps every error of this thread instead of the last one.
struct KeepAll {
    previous: *mut u32,
}

/// What libyang is pointed at meanwhile. It only reads it.
static KEEP_ALL: u32 = ffi::LY_LOSTORE;

impl KeepAll {
    fn begin(context: *const ffi::ly_ctx) -> Self {
        // SAFETY: the option is thread-local in libyang and set back in `drop`, on the same thread
        // because this struct holds a raw pointer and so is not Send.
        unsafe {
            ffi::ly_err_clean(context, ptr::null_mut());
            Self { previous: ffi::ly_temp_log_options(ptr::from_ref(&KEEP_ALL).cast_mut()) }
        }
    }
}

impl Drop for KeepAll {
    fn drop(&mut self) {
        // SAFETY: restores what was set before; see `begin`.
        unsafe { ffi::ly_temp_log_options(self.previous) };
    }
}

/// Adds nodes in force by default to everything below `node`; those with a false `when` are not.
pub(super) fn add_defaults(node: &DataNodeRef<'_>) -> bool {
    // SAFETY: the node is alive as long as its tree is borrowed. Only nodes below it are added,
    // so neither it nor its siblings go away.
    let code =
        unsafe { ffi::lyd_new_implicit_tree(node.as_raw(), ffi::LYD_IMPLICIT_NO_STATE, ptr::null_mut()) };
    code == ffi::LY_ERR::LY_SUCCESS
}

/// Whether a leaf is there by default only. (yang5's `is_default` compares the value instead.)
pub(super) fn is_implied(node: &DataNodeRef<'_>) -> bool {
    // SAFETY: the node is alive as long as its tree is borrowed.
    unsafe { (*node.as_raw()).flags & ffi::LYD_DEFAULT != 0 }
}

/// Finds the text of a module or submodule by name and, when one is asked for, revision.
pub(super) type Find<'a> = &'a dyn Fn(&str, Option<&str>) -> Option<&'a CStr>;

/// What went wrong while modules were loaded.
pub(super) struct LoadFailure {
    pub reports: Vec<Report>,
    /// The last name that `find` did not know.
    pub missing: Option<String>,
}

/// Loads modules with all their features; what they import comes from `find` and nowhere else.
pub(super) fn load(context: &mut Context, names: &[&str], find: Find<'_>) -> Result<(), LoadFailure> {
    let features: &[&str] = &["*"];
    let modules: Vec<_> = names.iter().map(|name| (*name, None, features)).collect();
    let desk = Desk { find, missing: Cell::new(None) };
    let raw = raw(context);
    // SAFETY: `desk` outlives the loading and the callback is taken out after it. `context` is
    // borrowed for all of it.
    let (loaded, reports) = unsafe {
        context.set_module_import_callback(serve, ptr::from_ref(&desk).cast_mut().cast());
        record(raw, || context.load_modules(&modules))
    };
    context.unset_embedded_modules();
    loaded.map_err(|_| LoadFailure { reports, missing: desk.missing.into_inner() })
}

struct Desk<'a> {
    find: Find<'a>,
    missing: Cell<Option<String>>,
}

unsafe extern "C" fn serve(
    module: *const c_char,
    revision: *const c_char,
    submodule: *const c_char,
    submodule_revision: *const c_char,
    desk: *mut c_void,
    format: *mut ffi::LYS_INFORMAT::Type,
    data: *mut *const c_char,
    free: *mut ffi::ly_module_imp_data_free_clb,
) -> ffi::LY_ERR::Type {
    // SAFETY: `with_library` passed the desk; libyang passes null or C strings, and places for
    // the answer. The text outlives the loading, so there is nothing to free.
    unsafe {
        let desk = &*desk.cast::<Desk<'_>>();
        let (name, revision) = match text(submodule) {
            Some(name) => (name, text(submodule_revision)),
            None => (text(module).unwrap_or_default(), text(revision)),
        };
        let Some(found) = (desk.find)(&name, revision.as_deref()) else {
            desk.missing.set(Some(name));
            return ffi::LY_ERR::LY_ENOTFOUND;
        };
        *format = ffi::LYS_INFORMAT::LYS_IN_YANG;
        *data = found.as_ptr();
        *free = None;
    }
    ffi::LY_ERR::LY_SUCCESS
}

/// yang5 keeps the context's pointer to itself; every module has it too.
fn raw(context: &Context) -> *const ffi::ly_ctx {
    // SAFETY: a module lives as long as its context. A context always has internal modules; if
    // it had none, libyang takes null for "no context" and records nothing.
    context.modules(false).next().map_or(ptr::null(), |module| unsafe { (*module.as_raw()).ctx })
}

/// # Safety
/// `string` is null or a C string.
unsafe fn text(string: *const c_char) -> Option<String> {
    // SAFETY: see above.
    (!string.is_null()).then(|| unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned())
}
