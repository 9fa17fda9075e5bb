import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// `ContinuousClock` as a number with the same meaning in every process of this machine: nanoseconds since boot,
/// including time asleep.
enum BootClock {
    #if os(Linux)
    private static var clock: clockid_t { CLOCK_BOOTTIME }
    #else
    // What `ContinuousClock` reads on Darwin, `mach_continuous_time`, in nanoseconds.
    private static var clock: clockid_t { CLOCK_MONOTONIC_RAW }
    #endif

    static var now: Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// An instant of `ContinuousClock`, never later than it really is: if we are stopped between the two readings, the
    /// result only comes out earlier.
    static func nanoseconds(_ instant: ContinuousClock.Instant) -> Int64 {
        let boot = now
        return boot + ContinuousClock.now.duration(to: instant).wholeNanoseconds
    }

    static func after(_ delay: Duration) -> Int64 { now + delay.wholeNanoseconds }
}

extension Duration {
    /// Nanoseconds, clamped to a century so that adding them to any instant of this machine cannot overflow.
    var wholeNanoseconds: Int64 { bounded.nanoseconds }
}
