#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// What this process uses of the machine.
enum OwnUsage {
    /// The processor time of all threads so far, in nanoseconds.
    static var processorTime: UInt64 {
        let usage = usage
        return nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime)
    }

    /// Memory in bytes: what is resident now, or at most was where the system does not say.
    static var memory: UInt64 {
        #if os(Linux)
        if let pages = residentPages { return pages * UInt64(max(1, sysconf(Int32(_SC_PAGESIZE)))) }
        return UInt64(max(0, usage.ru_maxrss)) * 1024
        #else
        return UInt64(max(0, usage.ru_maxrss))
        #endif
    }

    #if os(Linux)
    private static var residentPages: UInt64? {
        let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 200)
        let count = read(file, &bytes, bytes.count)
        let words = bytes.prefix(max(0, count)).split(separator: UInt8(ascii: " "))
        return words.count > 1 ? UInt64(String(decoding: words[1], as: UTF8.self)) : nil
    }
    #endif

    private static var usage: rusage {
        var usage = rusage()
        #if canImport(Glibc)
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        #else
        getrusage(RUSAGE_SELF, &usage)
        #endif
        return usage
    }

    private static func nanoseconds(_ time: timeval) -> UInt64 {
        UInt64(max(0, time.tv_sec)) * 1_000_000_000 + UInt64(max(0, time.tv_usec)) * 1000
    }
}
