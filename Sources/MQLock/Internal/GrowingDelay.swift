/// How long to wait before another try: twice as long each time up to a limit, half of it random, so clients that fail
/// together do not come back together. It uses whole numbers only, and none is too large.
package struct GrowingDelay: Sendable, Hashable {
    /// The first delay; above zero, so no one tries without a pause.
    package let first: Duration
    /// No delay is longer.
    package let longest: Duration

    /// - Parameter range: the first delay and the longest.
    package init(_ range: ClosedRange<Duration>) {
        first = max(range.lowerBound.bounded, .milliseconds(1))
        longest = max(range.upperBound.bounded, first)
    }

    /// The delay before a try.
    /// - Parameters:
    ///   - attempt: 1 for the first delay, and so on; anything below counts as 1.
    ///   - random: 0 to 1000, for the shortest and the longest that this delay can be.
    package func delay(before attempt: Int, random: Int = .random(in: 0...1000)) -> Duration {
        var whole = first
        // From a millisecond to a hundred years it doubles fewer than 42 times.
        for _ in 1..<min(max(attempt, 1), 64) where whole < longest { whole *= 2 }
        let half = min(whole, longest) / 2
        return half + half * min(max(random, 0), 1000) / 1000
    }
}
