//! What a process does with memory that it has needed once.
//!
//! Two kinds are given back. glibc returns what is free at the end of its heap only; a thousand clients that come and go leave it
//! full of holes that nobody needs, and one buffer that lives longer keeps all of them resident. And whatever part of the
//! program has run stays mapped, with the 64 KiB around it, although most of it is needed at the start only. Pages that nobody has
//! mapped are the first that the kernel takes for others when memory is short. Where there is no glibc, this does nothing.

/// From this size on an allocation is a mapping of its own, which is gone when it is freed. Left to itself, glibc raises
/// this to the size of the largest such block it has seen freed, up to 32 MB, and large messages then make holes too.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_FROM: std::ffi::c_int = 128 * 1024;

/// Tells the allocator how this process uses memory; to be called before there are threads.
pub fn settle() {
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

/// Gives pages that hold nothing back to the system. Takes well below a millisecond for the heap of a gateway.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "only the allocator knows which pages are free")]
        // SAFETY: malloc_trim may be called at any time, from any thread, and touches free memory only.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// Nothing is to be done for a while: gives back what is free, and the pages of the program. What is run again comes back from the
/// page cache by itself, 64 KiB at a time and in about a microsecond.
pub fn rest() {
    give_back();
    // A debugger's breakpoints are changed copies of these pages, and would be lost.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if cfg!(not(debug_assertions)) {
        program::unmap();
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod program {
    //! The file of the program, where the loader has put it.

    use std::ffi::{c_int, c_void};
    use std::ops::Range;
    use std::slice;

    use libc::{MADV_DONTNEED, PF_W, PT_LOAD, dl_iterate_phdr, dl_phdr_info, madvise, size_t};
    use nix::unistd::{SysconfVar, sysconf};

    /// Takes code and constants of the program out of this process until they are used again.
    pub(super) fn unmap() {
        for Range { start, end } in constant() {
            #[expect(unsafe_code, reason = "the kernel is told about raw addresses")]
            // SAFETY: the range is a private mapping of a file, which nothing can write to, and the loader has changed nothing in
            // it: position-independent code has its relocations where it may write. The same bytes come back with the next access.
            let told = unsafe { madvise(start as *mut c_void, end - start, MADV_DONTNEED) };
            if told != 0 {
                tracing::debug!(target: "memory", "the pages of the program are locked, and stay");
            }
        }
    }

    /// The parts that are mapped to be read or run only. Each begins with a page.
    pub(super) fn constant() -> Vec<Range<usize>> {
        let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
        let Some(page) = page.and_then(|page| usize::try_from(page).ok()) else {
            return Vec::new();
        };
        let mut segments: Vec<Range<usize>> = Vec::new();
        #[expect(unsafe_code, reason = "the loader answers through a callback")]
        // SAFETY: the callback has run when this returns, and is given the vector that it expects.
        unsafe {
            dl_iterate_phdr(Some(collect), (&raw mut segments).cast());
        }
        for segment in &mut segments {
            segment.start -= segment.start % page;
        }
        segments
    }

    #[expect(unsafe_code, reason = "it is called by the loader")]
    unsafe extern "C" fn collect(
        info: *mut dl_phdr_info,
        _: size_t,
        segments: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader passes its own record, valid while this runs, and the vector as it was given by `constant`.
        let (info, segments) = unsafe { (&*info, &mut *segments.cast::<Vec<Range<usize>>>()) };
        // SAFETY: the record says where the headers are, and how many.
        let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        let address = |offset| usize::try_from(info.dlpi_addr + offset);
        let constant = headers
            .iter()
            .filter(|header| header.p_type == PT_LOAD && header.p_flags & PF_W == 0);
        segments.extend(constant.filter_map(|header| {
            let start = address(header.p_vaddr).ok()?;
            Some(start..start + usize::try_from(header.p_memsz).ok()?)
        }));
        // The program is the first that is told of; its libraries are shared with all other processes.
        1
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    /// How much of the mapping that an address lies in is resident, in bytes.
    fn resident(address: usize) -> u64 {
        let process = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_it = false;
        for line in process.lines() {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap();
            if let Some((start, end)) = first.split_once('-') {
                let parse = |text| usize::from_str_radix(text, 16);
                if let (Ok(start), Ok(end)) = (parse(start), parse(end)) {
                    is_it = (start..end).contains(&address);
                }
            } else if is_it && first == "Rss:" {
                return words.next().unwrap().parse::<u64>().unwrap() * 1024;
            }
        }
        panic!("nothing is mapped there");
    }

    #[test]
    fn the_program_is_found_and_can_be_read_and_run_after_it_was_given_back() {
        let code = resident as fn(usize) -> u64 as usize;
        let segments = program::constant();
        assert!(segments.iter().any(|segment| segment.contains(&code)));
        let text = "a constant of the program".as_ptr() as usize;
        assert!(segments.iter().any(|segment| segment.contains(&text)));
        let writable = (&raw const DATA).cast::<u8>() as usize;
        assert!(!segments.iter().any(|segment| segment.contains(&writable)));

        // Everything is read, and so is resident.
        let all = segments
            .iter()
            .find(|segment| segment.contains(&code))
            .unwrap();
        let sum = || -> u64 {
            let length = all.end - all.start;
            #[expect(unsafe_code, reason = "the test reads its own program")]
            // SAFETY: the segment is mapped, and nothing writes to it.
            let bytes = unsafe { std::slice::from_raw_parts(all.start as *const u8, length) };
            bytes.iter().map(|byte| u64::from(*byte)).sum()
        };
        let before = sum();
        let full = resident(code);
        program::unmap();
        assert!(resident(code) < full / 2);
        assert_eq!(sum(), before);
    }

    static DATA: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
}
