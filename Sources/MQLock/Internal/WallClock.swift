#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The time of day, for numbers that other machines compare. It can be set, so nothing that has to last depends on it.
package enum WallClock {
    /// Milliseconds since 1970.
    package static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// UTC to the millisecond, as in `2026-03-02T02:30:00.125Z`; of moments from 1970 on.
    package static func stamp(_ milliseconds: Int64) -> String {
        let milliseconds = max(0, milliseconds)
        let whole = text(milliseconds)
        guard whole.hasSuffix("Z") else { return whole }
        return "\(whole.dropLast()).\(String(1000 + milliseconds % 1000).dropFirst())Z"
    }

    /// As in `2026-03-02T02:30:00Z`.
    package static func text(_ milliseconds: Int64) -> String {
        var seconds = time_t(milliseconds / 1000)
        var parts = tm()
        // A year that is too large for the calendar.
        guard gmtime_r(&seconds, &parts) != nil else { return "\(milliseconds) ms since 1970" }
        func padded(_ number: Int32) -> String { (number < 10 ? "0" : "") + String(number) }
        let date = "\(Int(parts.tm_year) + 1900)-\(padded(parts.tm_mon + 1))-\(padded(parts.tm_mday))"
        return "\(date)T\(padded(parts.tm_hour)):\(padded(parts.tm_min)):\(padded(parts.tm_sec))Z"
    }
}
