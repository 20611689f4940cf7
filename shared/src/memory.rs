//! What a process does with memory that it has needed once.
//!
//! Two kinds are given back. glibc returns what is free at the end of its heap only; a thousand clients that come and go leave it
//! full of holes that nobody needs, and one buffer that lives longer keeps all of them resident. And whatever part of the
//! program has run stays mapped, with the 64 KiB around it, although most of it is needed at the start only. Pages that nobody has
//! mapped are the first that the kernel takes for others when memory is short. The same goes for what was once needed of the stack.
//! Where there is no glibc, this does nothing.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether everything is to be given back when the runtime's thread sleeps next.
static RESTS: AtomicBool = AtomicBool::new(false);

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

/// Nothing is to be done for a while: what is free, and the pages of the program, are given back as soon as the runtime has
/// nothing to do. What is run again comes back from the page cache by itself, 64 KiB at a time and in about a microsecond.
///
/// It waits for that moment because whatever ran between here and there would be resident again, for as long as the rest lasts.
pub fn rest() {
    RESTS.store(true, Ordering::Relaxed);
}

/// What a runtime does right before its thread sleeps. Costs nothing unless a [`rest`] was asked for.
pub fn before_sleep() {
    if RESTS.load(Ordering::Relaxed) {
        RESTS.store(false, Ordering::Relaxed);
        give_everything_back();
    }
}

#[cold]
fn give_everything_back() {
    give_back();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    stack::unmap();
    // A debugger's breakpoints are changed copies of these pages, and would be lost.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if cfg!(not(debug_assertions)) {
        program::unmap();
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod stack {
    //! What lies below the frames that are in use on the stack of the first thread.

    use std::ffi::c_void;

    use libc::{MADV_DONTNEED, madvise};
    use nix::unistd::{getpid, gettid};

    /// Frames that may still be in use below the one that asks: those of the call to the system.
    const IN_USE: usize = 32 * 1024;
    /// How far down pages are looked for. The kernel leaves at least 128 MiB to the first thread's stack, whatever its limit is, so
    /// that nothing else can be there.
    const DEPTH: usize = 4 * 1024 * 1024;

    /// Gives back the pages that deeper calls have left behind. Other threads have stacks that end with them.
    pub(super) fn unmap() {
        if gettid() == getpid() {
            unmap_below(DEPTH);
        }
    }

    /// The same for a stack that goes at least this much further down.
    #[inline(never)]
    pub(super) fn unmap_below(depth: usize) {
        let frame = 0_u8;
        let here = (&raw const frame).addr();
        // Pages are at most 64 KiB, and the kernel wants the beginning of one.
        let end = (here - IN_USE) & !0xffff;
        let start = end - depth;
        #[expect(unsafe_code, reason = "the kernel is told about raw addresses")]
        // SAFETY: the range belongs to the stack of this very thread, below everything that it has in use. What a later call finds
        // there are zeros, and it expects nothing. What is not mapped is passed over, and reported, which is of no interest.
        let _not_all_is_mapped = unsafe { madvise(start as *mut c_void, depth, MADV_DONTNEED) };
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

    #[test]
    fn a_rest_begins_when_the_runtime_has_nothing_to_do() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .on_thread_park(before_sleep)
            .build()
            .unwrap();
        runtime.block_on(async {
            rest();
            assert!(RESTS.load(Ordering::Relaxed));
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            assert!(!RESTS.load(Ordering::Relaxed));
        });
    }

    #[test]
    fn what_is_below_the_frames_in_use_can_be_given_back_and_used_again() {
        const DEPTH: usize = 1024 * 1024;
        #[inline(never)]
        fn deep(byte: u8) -> (usize, u64) {
            let frame = std::hint::black_box([byte; DEPTH / 2]);
            let sum = frame.iter().map(|byte| u64::from(*byte)).sum();
            (frame.as_ptr().addr(), sum)
        }
        let stack = std::thread::Builder::new().stack_size(8 * DEPTH);
        let thread = stack.spawn(|| {
            let mine = std::hint::black_box([7_u8; 1024]);
            let (address, before) = deep(3);
            let full = resident(address);
            stack::unmap_below(DEPTH);
            assert!(resident(address) + 256 * 1024 < full);
            assert_eq!(deep(3).1, before);
            assert!(mine.iter().all(|byte| *byte == 7));
        });
        thread.unwrap().join().unwrap();
    }

    static DATA: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
}
