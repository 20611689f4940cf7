//! What the allocator does with memory that is free again.
//!
//! glibc gives back what is free at the end of its heap only. A thousand clients that come and go leave it full of holes
//! that nobody needs, and one buffer that lives longer keeps all of them resident. Where there is no glibc, this does
//! nothing.

/// From this size on an allocation is a mapping of its own, which is gone when it is freed. Left to itself, glibc raises
/// this to the size of the largest such block it has seen freed, up to 32 MB, and large messages then make holes too.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_FROM: std::ffi::c_int = 128 * 1024;

/// Tells the allocator how this process uses memory; to be called before there are threads.
pub(crate) fn settle() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(
            unsafe_code,
            reason = "the allocator's parameters are set through its C interface"
        )]
        // SAFETY: mallopt takes two integers and is called while there is one thread.
        let taken = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM) };
        debug_assert_eq!(taken, 1, "glibc knows this parameter");
    }
}

/// Gives pages that hold nothing back to the system. Takes well below a millisecond for the heap of this process.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "only the allocator knows which pages are free")]
        // SAFETY: malloc_trim may be called at any time, from any thread, and touches free memory only.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}
