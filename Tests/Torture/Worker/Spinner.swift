import Foundation
import MQLock

/// Looks at a lease all the time and tells what a stopped process sees when it goes on.
struct Spinner {
    let lease: Lease
    /// A pause longer than this is not the scheduler's.
    private static let pause: Int64 = 500_000_000

    /// Lines: `proven INSTANT` every 20 ms; `gap NANOSECONDS VALID` with what the first look after a long pause saw;
    /// `invalid INSTANT` at the end.
    func run() {
        var last = Boot.now
        var told: Int64 = 0
        var pauseInsideLook: Int64?
        while true {
            let before = Boot.now
            let valid = lease.isValid
            let after = Boot.now
            // A look that was itself interrupted may have been made before the pause: the next one counts.
            if let gap = pauseInsideLook ?? (before - last > Self.pause ? before - last : nil) {
                say("gap \(gap) \(valid)")
            }
            pauseInsideLook = after - before > Self.pause ? after - before : nil
            last = after
            guard valid || pauseInsideLook != nil else { return say("invalid \(before)") }
            if after - told > 20_000_000, let until = lease.record.validUntil {
                told = after
                say("proven \(Boot.nanoseconds(until))")
            }
            // Others need the processor, too: several of these look at once.
            usleep(100)
        }
    }
}
