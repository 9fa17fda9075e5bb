import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// `ContinuousClock` as a number that means the same in every process of this machine: nanoseconds since boot, time
/// asleep included.
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

    /// An instant of `ContinuousClock`, never later than it is: should we be stopped between the two readings, the
    /// result only comes out earlier.
    static func nanoseconds(_ instant: ContinuousClock.Instant) -> Int64 {
        let boot = now
        return boot + ContinuousClock.now.duration(to: instant).wholeNanoseconds
    }

    static func after(_ delay: Duration) -> Int64 { now + delay.wholeNanoseconds }
}

extension Duration {
    /// Nanoseconds, clamped to a century so that they can be added to any instant of this machine.
    var wholeNanoseconds: Int64 { bounded.nanoseconds }
}
