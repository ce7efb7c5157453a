//! The allocator.

/// A tenth of a checkout's time went into the system's allocator: JSON is many small pieces.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives memory that was freed back to the system. The allocator does so by itself only when somebody asks it for more:
/// a host at rest would keep the room of its last large uploads.
#[expect(unsafe_code, reason = "the allocator's crate has no safe way to say it")]
pub fn give_back() {
    // SAFETY: may be called at any time from any thread; it frees what nobody uses.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
