/// How often durations of each length came, in buckets from a tenth of a millisecond to an hour.
struct Histogram: Sendable, Equatable {
    /// The upper ends of the buckets, inclusive, in seconds as they are printed; a last one gets all longer durations.
    static let bounds: [(seconds: String, duration: Duration)] = [
        ("0.0001", .microseconds(100)), ("0.00025", .microseconds(250)), ("0.0005", .microseconds(500)),
        ("0.001", .milliseconds(1)), ("0.0025", .microseconds(2500)), ("0.005", .milliseconds(5)),
        ("0.01", .milliseconds(10)), ("0.025", .milliseconds(25)), ("0.05", .milliseconds(50)),
        ("0.1", .milliseconds(100)), ("0.25", .milliseconds(250)), ("0.5", .milliseconds(500)),
        ("1", .seconds(1)), ("2.5", .milliseconds(2500)), ("5", .seconds(5)), ("10", .seconds(10)),
        ("30", .seconds(30)), ("60", .seconds(60)), ("120", .seconds(120)), ("300", .seconds(300)),
        ("600", .seconds(600)), ("3600", .seconds(3600)),
    ]

    /// Not cumulative; one more than there are bounds.
    private(set) var buckets = [UInt64](repeating: 0, count: Histogram.bounds.count + 1)
    private(set) var sum = Duration.zero

    var count: UInt64 { buckets.reduce(0, &+) }

    mutating func add(_ duration: Duration) {
        let duration = max(.zero, duration)
        // Most are short.
        let index = Self.bounds.firstIndex { duration <= $0.duration } ?? Self.bounds.count
        buckets[index] &+= 1
        sum += duration
    }
}
