import MQLock

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// CLOCK_BOOTTIME, the clock behind `ContinuousClock`, as a number that processes can compare.
enum Boot {
    static var now: Int64 {
        var time = timespec()
        #if os(Linux)
        clock_gettime(CLOCK_BOOTTIME, &time)
        #else
        clock_gettime(CLOCK_MONOTONIC, &time)
        #endif
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    static func nanoseconds(_ instant: ContinuousClock.Instant) -> Int64 {
        let (clock, now) = (ContinuousClock.now, Self.now)
        return now - instant.duration(to: clock).nanoseconds
    }
}
