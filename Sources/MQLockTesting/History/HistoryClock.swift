import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The clock of histories, which all processes of a machine share: nanoseconds of CLOCK_BOOTTIME, which keeps counting
/// while a process is stopped and while the machine sleeps.
public enum HistoryClock {
    /// The current instant in nanoseconds.
    public static var now: UInt64 { nanoseconds(of: .now) }

    /// An instant of `ContinuousClock` in nanoseconds of this clock; instants before the clock's zero become zero.
    ///
    /// Both count the same way. Where their zeros lie is measured once per process, to well under a microsecond.
    public static func nanoseconds(of instant: ContinuousClock.Instant) -> UInt64 {
        let offset = anchor.instant.duration(to: instant).bounded
        return UInt64(max(0, anchor.nanoseconds + offset.nanoseconds))
    }

    private static let anchor: (instant: ContinuousClock.Instant, nanoseconds: Int64) = {
        var best: (instant: ContinuousClock.Instant, nanoseconds: Int64) = (.now, raw())
        var narrowest = Int64.max
        // The reading with the least time between its two neighbors is the one that nothing interrupted.
        for _ in 0..<32 {
            let before = raw()
            let instant = ContinuousClock.now
            let width = raw() - before
            guard width < narrowest else { continue }
            narrowest = width
            best = (instant, before + width / 2)
        }
        return best
    }()

    private static func raw() -> Int64 {
        var time = timespec()
        #if os(Linux)
        clock_gettime(CLOCK_BOOTTIME, &time)
        #else
        clock_gettime(CLOCK_MONOTONIC_RAW, &time)
        #endif
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
